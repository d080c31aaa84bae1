package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Blobs of a destination are kept in pieces that are used again by the next round: fresh memory is dear (the kernel
// clears it), and a registry that pays for it in some rounds only would be measured instead of the client.
const chunkBytes = 1024 * 1024

// A Blob is a file of the source, or memory of the destination, or only a size and a digest that was checked.
type Blob struct {
	size   int64
	path   string
	mapped []byte
	chunks [][]byte
}

// A Manifest is kept as it came.
type Manifest struct {
	MediaType string `json:"mediaType"`
	content   []byte
}

// A Repository is what a registry has under one name.
type Repository struct {
	blobs     map[string]*Blob
	manifests map[string]*Manifest
	tags      map[string]string
}

// A Store is the content of one registry.
type Store struct {
	mutex        sync.Mutex
	repositories map[string]*Repository
	spare        [][]byte
}

func newStore() *Store {
	return &Store{repositories: map[string]*Repository{}}
}

func (s *Store) repository(name string) *Repository {
	if s.repositories[name] == nil {
		s.repositories[name] = &Repository{map[string]*Blob{}, map[string]*Manifest{}, map[string]string{}}
	}
	return s.repositories[name]
}

// content is what the benchmark's generator writes: paths are relative to its own folder.
type content struct {
	Repository string `json:"repository"`
	Blobs      []string
	Images     []struct {
		Tag       string
		MediaType string
		Manifest  string
	}
}

func loadStore(path string) (*Store, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var wanted content
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return nil, err
	}
	store := newStore()
	repository := store.repository(wanted.Repository)
	for _, name := range wanted.Blobs {
		blob, err := openBlob(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return nil, err
		}
		repository.blobs["sha256:"+filepath.Base(name)] = blob
	}
	for _, image := range wanted.Images {
		digest := digestOf([]byte(image.Manifest))
		repository.manifests[digest] = &Manifest{image.MediaType, []byte(image.Manifest)}
		repository.tags[image.Tag] = digest
	}
	return store, nil
}

func openBlob(path string) (*Blob, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, err
	}
	mapped, err := syscall.Mmap(int(file.Fd()), 0, int(about.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	return &Blob{size: about.Size(), path: path, mapped: mapped}, err
}

// prepare takes, and touches, the memory that a copy of another store needs.
func (s *Store) prepare(of *Store) {
	for _, repository := range of.repositories {
		for _, blob := range repository.blobs {
			for range blob.size/chunkBytes + 1 {
				chunk := make([]byte, chunkBytes)
				for page := 0; page < chunkBytes; page += 4096 {
					chunk[page] = 1
				}
				s.spare = append(s.spare, chunk)
			}
		}
	}
}

// reset forgets everything, and keeps the memory for what comes next.
func (s *Store) reset() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, repository := range s.repositories {
		for _, blob := range repository.blobs {
			s.spare = append(s.spare, blob.chunks...)
		}
	}
	s.repositories = map[string]*Repository{}
}

// fill makes a store have all that another has.
func (s *Store) fill(from *Store) {
	s.reset()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for name, theirs := range from.repositories {
		ours := s.repository(name)
		for digest, blob := range theirs.blobs {
			ours.blobs[digest] = blob
		}
		for digest, manifest := range theirs.manifests {
			ours.manifests[digest] = manifest
		}
		for tag, digest := range theirs.tags {
			ours.tags[tag] = digest
		}
	}
}

func (s *Store) chunk() []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if last := len(s.spare) - 1; last >= 0 {
		chunk := s.spare[last]
		s.spare = s.spare[:last]
		return chunk[:chunkBytes]
	}
	return make([]byte, chunkBytes)
}

func (s *Store) release(blob *Blob) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.spare = append(s.spare, blob.chunks...)
	blob.chunks = nil
}

// An Upload collects one blob. What is kept is not hashed: the benchmark reads them back, with another client,
// after the clock has stopped. Those that are not kept are hashed on the way in.
type Upload struct {
	mutex sync.Mutex
	blob  Blob
	hash  hash.Hash
}

func newUpload(keep bool) *Upload {
	if keep {
		return &Upload{}
	}
	return &Upload{hash: sha256.New()}
}

// receive appends a body; it returns how many bytes came, also when the body broke off.
func (u *Upload) receive(body io.Reader, store *Store) (int64, error) {
	began := u.blob.size
	for {
		into := u.room(store)
		count, err := body.Read(into)
		if u.hash != nil {
			u.hash.Write(into[:count])
		} else {
			last := len(u.blob.chunks) - 1
			u.blob.chunks[last] = u.blob.chunks[last][:len(u.blob.chunks[last])+count]
		}
		u.blob.size += int64(count)
		if errors.Is(err, io.EOF) { // io.ErrUnexpectedEOF is another error
			return u.blob.size - began, nil
		}
		if err != nil {
			return u.blob.size - began, err
		}
	}
}

// room is where the next bytes go: what is left of the last chunk, or a new one.
func (u *Upload) room(store *Store) []byte {
	last := len(u.blob.chunks) - 1
	if last < 0 || (u.hash == nil && len(u.blob.chunks[last]) == chunkBytes) {
		u.blob.chunks = append(u.blob.chunks, store.chunk()[:0])
		last++
	}
	if u.hash != nil {
		return u.blob.chunks[last][:chunkBytes]
	}
	return u.blob.chunks[last][len(u.blob.chunks[last]):chunkBytes]
}

// matches trusts the content of a blob that is kept when it is one of the source's and has its size: whoever reads it
// back sees what it is. Everything else is hashed, or was.
func (u *Upload) matches(digest string, expectedSize int64) bool {
	if u.hash == nil && expectedSize > 0 {
		return u.blob.size == expectedSize
	}
	sum := u.hash
	if sum == nil {
		sum = sha256.New()
		for _, chunk := range u.blob.chunks {
			sum.Write(chunk)
		}
	}
	return "sha256:"+hex.EncodeToString(sum.Sum(nil)) == digest
}

// sizes are those of all blobs, by their digests.
func (s *Store) sizes() map[string]int64 {
	found := map[string]int64{}
	for _, repository := range s.repositories {
		for digest, blob := range repository.blobs {
			found[digest] = blob.size
		}
	}
	return found
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
