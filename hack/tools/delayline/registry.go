package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	manifestLimit = 4 * 1024 * 1024
	writeBytes    = 1024 * 1024
	cutFrom       = 256 * 1024 // shorter answers are not worth cutting
	signature     = "signature=of-the-blob-host"
)

// A Registry speaks the distribution protocol over a store: enough of it for every client of the benchmark, and nothing
// that costs more than it has to. What it refuses, a real registry refuses too.
type Registry struct {
	store     *Store
	counters  *Counters
	basic     string           // "user:password", or empty
	blobsAt   string           // base URL of the blob host, or empty: blobs are served here
	keep      bool             // what is uploaded, to be read back; otherwise it is only hashed
	sizes     map[string]int64 // of blobs that somebody may upload
	sendfile  bool             // connections are neither encrypted nor far away
	cuts      *atomic.Int64
	manifests *bucket
	starts    *bucket

	mutex   sync.Mutex
	uploads map[string]*Upload
	serial  int
}

func (r *Registry) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	path, isAPI := strings.CutPrefix(request.URL.Path, "/v2/")
	if !isAPI {
		refuse(writer, http.StatusNotFound, "UNSUPPORTED")
		return
	}
	if !r.isAllowed(request) {
		r.counters.count(request.Method + " refused")
		writer.Header().Set("WWW-Authenticate", `Basic realm="benchmark"`)
		refuse(writer, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	for _, kind := range []struct {
		part   string
		answer func(http.ResponseWriter, *http.Request, string, string)
	}{
		{"/blobs/uploads", r.upload},
		{"/blobs/", r.blob},
		{"/manifests/", r.manifest},
		{"/tags/list", r.tags},
		{"/referrers/", r.referrers},
	} {
		if name, rest, found := strings.Cut(path, kind.part); found {
			r.counters.count(request.Method + " " + strings.Trim(kind.part, "/"))
			kind.answer(writer, request, name, strings.TrimPrefix(rest, "/"))
			return
		}
	}
	r.counters.count(request.Method + " other")
	if path != "" {
		refuse(writer, http.StatusNotFound, "UNSUPPORTED")
	}
}

func (r *Registry) isAllowed(request *http.Request) bool {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(r.basic))
	return r.basic == "" || request.Header.Get("Authorization") == want
}

func (r *Registry) blob(writer http.ResponseWriter, request *http.Request, name, digest string) {
	r.store.mutex.Lock()
	blob := r.store.repository(name).blobs[digest]
	r.store.mutex.Unlock()
	switch {
	case blob == nil:
		refuse(writer, http.StatusNotFound, "BLOB_UNKNOWN")
	case request.Method == http.MethodHead:
		writer.Header().Set("Docker-Content-Digest", digest)
		writer.Header().Set("Content-Type", "application/octet-stream")
		writer.Header().Set("Accept-Ranges", "bytes")
		writer.Header().Set("Content-Length", strconv.FormatInt(blob.size, 10))
	case request.Method != http.MethodGet:
		refuse(writer, http.StatusMethodNotAllowed, "UNSUPPORTED")
	case r.blobsAt != "":
		url := fmt.Sprintf("%s/%s/%s?%s", r.blobsAt, name, digest, signature)
		http.Redirect(writer, request, url, http.StatusTemporaryRedirect)
	default:
		r.serveBlob(writer, request, blob, digest)
	}
}

// serveBlob answers GET, whole or one range.
func (r *Registry) serveBlob(writer http.ResponseWriter, request *http.Request, blob *Blob, digest string) {
	first, last, isRange, ok := parseRange(request.Header.Get("Range"), blob.size)
	if !ok {
		writer.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", blob.size))
		refuse(writer, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
		return
	}
	length := last - first + 1
	header := writer.Header()
	header.Set("Docker-Content-Digest", digest)
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.FormatInt(length, 10))
	if isRange {
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, blob.size))
		writer.WriteHeader(http.StatusPartialContent)
	}
	isCut := length > cutFrom && r.cuts != nil && r.cuts.Add(-1) >= 0
	if isCut {
		length /= 2
		r.counters.count("cuts")
	}
	sent, _ := r.send(writer, blob, first, length)
	r.counters.served.Add(sent)
	if isCut {
		panic(http.ErrAbortHandler) // the way to break a connection off
	}
}

func (r *Registry) send(writer http.ResponseWriter, blob *Blob, first, length int64) (int64, error) {
	if blob.path != "" && r.sendfile {
		return sendFile(writer, blob.path, first, length)
	}
	sent := int64(0)
	for sent < length {
		part := blob.at(first+sent, min(length-sent, writeBytes))
		count, err := writer.Write(part)
		sent += int64(count)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// sendFile lets the kernel do the work: net/http finds out by itself that both ends are descriptors.
func sendFile(writer http.ResponseWriter, path string, first, length int64) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, err := file.Seek(first, io.SeekStart); err != nil {
		return 0, err
	}
	return io.CopyN(writer, file, length)
}

// at gives some of the bytes that begin at an offset, at most `limit`.
func (b *Blob) at(offset, limit int64) []byte {
	if b.mapped != nil {
		return b.mapped[offset : offset+limit]
	}
	chunk := b.chunks[offset/chunkBytes]
	inside := offset % chunkBytes
	return chunk[inside:min(inside+limit, int64(len(chunk)))]
}

func parseRange(header string, size int64) (first, last int64, isRange, ok bool) {
	if header == "" {
		return 0, size - 1, false, true
	}
	if count, _ := fmt.Sscanf(header, "bytes=%d-%d", &first, &last); count == 1 {
		last = size - 1
	} else if count != 2 {
		return 0, 0, false, false
	}
	last = min(last, size-1)
	return first, last, true, 0 <= first && first <= last
}

func (r *Registry) manifest(writer http.ResponseWriter, request *http.Request, name, reference string) {
	if request.Method == http.MethodPut {
		r.putManifest(writer, request, name, reference)
		return
	}
	r.store.mutex.Lock()
	repository := r.store.repository(name)
	digest := reference
	if tagged := repository.tags[reference]; tagged != "" {
		digest = tagged
	}
	manifest := repository.manifests[digest]
	r.store.mutex.Unlock()
	if manifest == nil {
		refuse(writer, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	writer.Header().Set("Content-Type", manifest.MediaType)
	writer.Header().Set("Docker-Content-Digest", digest)
	writer.Header().Set("Content-Length", strconv.Itoa(len(manifest.content)))
	if request.Method == http.MethodGet {
		count, _ := writer.Write(manifest.content)
		r.counters.served.Add(int64(count))
	}
}

func (r *Registry) putManifest(writer http.ResponseWriter, request *http.Request, name, reference string) {
	content, err := io.ReadAll(io.LimitReader(request.Body, manifestLimit))
	if err != nil {
		return
	}
	r.counters.received.Add(int64(len(content)))
	if !r.manifests.take() {
		r.tooMany(writer)
		return
	}
	digest := digestOf(content)
	isDigest := strings.Contains(reference, ":")
	r.store.mutex.Lock()
	defer r.store.mutex.Unlock()
	repository := r.store.repository(name)
	switch {
	case isDigest && reference != digest:
		refuse(writer, http.StatusBadRequest, "DIGEST_INVALID")
		return
	case !repository.hasAll(content):
		refuse(writer, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		return
	}
	repository.manifests[digest] = &Manifest{request.Header.Get("Content-Type"), content}
	if !isDigest {
		repository.tags[reference] = digest
	}
	writer.Header().Set("Docker-Content-Digest", digest)
	writer.Header().Set("Location", fmt.Sprintf("/v2/%s/manifests/%s", name, digest))
	writer.WriteHeader(http.StatusCreated)
}

func (r *Repository) hasAll(manifest []byte) bool {
	type descriptor struct{ Digest string }
	var parsed struct {
		Config    *descriptor
		Layers    []descriptor
		Manifests []descriptor
	}
	if json.Unmarshal(manifest, &parsed) != nil {
		return false
	}
	if parsed.Config != nil {
		parsed.Layers = append(parsed.Layers, *parsed.Config)
	}
	for _, child := range parsed.Manifests {
		if r.manifests[child.Digest] == nil {
			return false
		}
	}
	return !slices.ContainsFunc(parsed.Layers, func(blob descriptor) bool { return r.blobs[blob.Digest] == nil })
}

func (r *Registry) tags(writer http.ResponseWriter, request *http.Request, name, _ string) {
	r.store.mutex.Lock()
	tags := []string{}
	for tag := range r.store.repository(name).tags {
		tags = append(tags, tag)
	}
	r.store.mutex.Unlock()
	slices.Sort(tags)
	writeJSON(writer, map[string]any{"name": name, "tags": tags})
}

func (r *Registry) referrers(writer http.ResponseWriter, _ *http.Request, _, _ string) {
	writer.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	writeJSON(writer, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []string{},
	})
}

func (r *Registry) tooMany(writer http.ResponseWriter) {
	r.counters.count("429")
	writer.Header().Set("Retry-After", "1")
	refuse(writer, http.StatusTooManyRequests, "TOOMANYREQUESTS")
}

func refuse(writer http.ResponseWriter, status int, code string) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	writeJSON(writer, map[string]any{"errors": []map[string]string{{"code": code, "message": strings.ToLower(code)}}})
}

func writeJSON(writer http.ResponseWriter, value any) {
	if writer.Header().Get("Content-Type") == "" {
		writer.Header().Set("Content-Type", "application/json")
	}
	_ = json.NewEncoder(writer).Encode(value)
}

// A BlobHost is where a registry sends those who want a blob. Like a store of objects that was given a signed URL, it
// refuses a request that brings credentials of somebody else's.
type BlobHost struct{ registry *Registry }

func (h BlobHost) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	h.registry.counters.count(request.Method + " blob host")
	name, digest, _ := strings.Cut(strings.Trim(request.URL.Path, "/"), "/sha256:")
	h.registry.store.mutex.Lock()
	blob := h.registry.store.repository(name).blobs["sha256:"+digest]
	h.registry.store.mutex.Unlock()
	switch {
	case request.Header.Get("Authorization") != "":
		refuse(writer, http.StatusBadRequest, "TWO_AUTHORIZATIONS")
	case request.URL.RawQuery != signature || request.Method != http.MethodGet:
		refuse(writer, http.StatusForbidden, "DENIED")
	case blob == nil:
		refuse(writer, http.StatusNotFound, "BLOB_UNKNOWN")
	default:
		h.registry.serveBlob(writer, request, blob, "sha256:"+digest)
	}
}

// A bucket allows so many calls a second, with a burst of one second; nil allows all.
type bucket struct {
	mutex sync.Mutex
	rate  float64
	level float64
	seen  time.Time
}

func newBucket(rate float64) *bucket {
	if rate == 0 {
		return nil
	}
	return &bucket{rate: rate, level: rate, seen: time.Now()}
}

func (b *bucket) take() bool {
	if b == nil {
		return true
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	now := time.Now()
	b.level = min(b.rate, b.level+b.rate*now.Sub(b.seen).Seconds())
	b.seen = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
