package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// upload answers everything below `/v2/<name>/blobs/uploads/`. As with distribution, a POST that brings the whole blob
// opens a session all the same; as with ECR in its default settings, mounts do, too. What a broken body has brought stays,
// and as with distribution whoever goes on without having asked for the offset is refused: the location carries it.
func (r *Registry) upload(writer http.ResponseWriter, request *http.Request, name, id string) {
	if request.Method == http.MethodPost && id == "" {
		r.startUpload(writer, request, name)
		return
	}
	r.mutex.Lock()
	session := r.uploads[id]
	r.mutex.Unlock()
	if session == nil {
		refuse(writer, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		return
	}
	session.mutex.Lock()
	defer session.mutex.Unlock()
	if isWriting := request.Method == http.MethodPatch || request.Method == http.MethodPut; isWriting &&
		request.URL.Query().Get("offset") != strconv.FormatInt(session.blob.size, 10) {
		refuse(writer, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
		return
	}
	switch request.Method {
	case http.MethodGet:
		tellUpload(writer, name, id, session.blob.size, http.StatusNoContent)
	case http.MethodDelete:
		r.forget(id)
		r.store.release(&session.blob)
		writer.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		if r.append(writer, request, session) {
			tellUpload(writer, name, id, session.blob.size, http.StatusAccepted)
		}
	case http.MethodPut:
		if r.append(writer, request, session) {
			r.commit(writer, request, session, name, id)
		}
	default:
		refuse(writer, http.StatusMethodNotAllowed, "UNSUPPORTED")
	}
}

func (r *Registry) startUpload(writer http.ResponseWriter, request *http.Request, name string) {
	count, _ := io.Copy(io.Discard, request.Body)
	r.counters.received.Add(count)
	if !r.starts.take() {
		r.tooMany(writer)
		return
	}
	r.mutex.Lock()
	r.serial++
	id := strconv.Itoa(r.serial)
	r.uploads[id] = newUpload(r.keep)
	r.mutex.Unlock()
	tellUpload(writer, name, id, 0, http.StatusAccepted)
}

func tellUpload(writer http.ResponseWriter, name, id string, size int64, status int) {
	writer.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s?offset=%d", name, id, size))
	writer.Header().Set("Docker-Upload-UUID", id)
	writer.Header().Set("Range", fmt.Sprintf("0-%d", max(0, size-1)))
	writer.WriteHeader(status)
}

// append takes a body; chunks must come in order.
func (r *Registry) append(writer http.ResponseWriter, request *http.Request, session *Upload) bool {
	if first, _, isChunk := strings.Cut(request.Header.Get("Content-Range"), "-"); isChunk {
		if offset, err := strconv.ParseInt(first, 10, 64); err != nil || offset != session.blob.size {
			refuse(writer, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
			return false
		}
	}
	count, err := session.receive(request.Body, r.store)
	r.counters.received.Add(count)
	if err != nil {
		refuse(writer, http.StatusBadRequest, "BLOB_UPLOAD_INVALID")
		return false
	}
	return true
}

func (r *Registry) commit(writer http.ResponseWriter, request *http.Request, session *Upload, name, id string) {
	digest := request.URL.Query().Get("digest")
	r.forget(id)
	if !session.matches(digest, r.sizes[digest]) {
		refuse(writer, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	r.store.mutex.Lock()
	r.store.repository(name).blobs[digest] = &session.blob
	r.store.mutex.Unlock()
	r.counters.count("blobs committed")
	writer.Header().Set("Docker-Content-Digest", digest)
	writer.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/%s", name, digest))
	writer.WriteHeader(http.StatusCreated)
}

func (r *Registry) forget(id string) {
	r.mutex.Lock()
	delete(r.uploads, id)
	r.mutex.Unlock()
}
