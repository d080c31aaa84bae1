package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// CeilingConfig says what a client that only moves bytes is to move.
type CeilingConfig struct {
	Download      string `json:"download"`       // URL of a blob
	DownloadBytes int64  `json:"download_bytes"` // of it, by each connection
	Upload        string `json:"upload"`         // URL that starts an upload
	UploadBytes   int64  `json:"upload_bytes"`   // by each connection
	Connections   int    `json:"connections"`
	Credentials   string `json:"credentials"`
	Authority     string `json:"authority"` // a PEM file
}

// Ceiling is what such a client gets: bytes per second.
type Ceiling struct {
	Download float64 `json:"download"`
	Upload   float64 `json:"upload"`
}

const moveBytes = 256 * 1024

func ceiling() error {
	var config CeilingConfig
	if err := readInput(&config); err != nil {
		return err
	}
	movers, err := newMovers(config)
	if err != nil {
		return err
	}
	var measured Ceiling
	if measured.Download, err = measure(movers, config.DownloadBytes, (*mover).download); err != nil {
		return err
	}
	if measured.Upload, err = measure(movers, config.UploadBytes, (*mover).upload); err != nil {
		return err
	}
	return writeOutput(measured)
}

// A mover is one connection to each server.
type mover struct {
	config CeilingConfig
	client *http.Client
	block  []byte
}

func newMovers(config CeilingConfig) ([]*mover, error) {
	roots := x509.NewCertPool()
	if config.Authority != "" {
		pem, err := os.ReadFile(config.Authority)
		if err != nil {
			return nil, err
		}
		roots.AppendCertsFromPEM(pem)
	}
	movers := []*mover{}
	for range config.Connections {
		transport := &http.Transport{
			TLSClientConfig:    &tls.Config{RootCAs: roots},
			ReadBufferSize:     moveBytes,
			WriteBufferSize:    moveBytes,
			DisableCompression: true,
		}
		movers = append(movers, &mover{config, &http.Client{Transport: transport}, make([]byte, moveBytes)})
	}
	return movers, nil
}

// measure has all of them move at the same time, and returns bytes per second. A first byte goes before the clock
// starts: shaking hands is no matter of throughput.
func measure(movers []*mover, size int64, move func(*mover, int64) error) (float64, error) {
	if err := together(movers, func(m *mover) error { return move(m, 1) }); err != nil {
		return 0, err
	}
	began := time.Now()
	err := together(movers, func(m *mover) error { return move(m, size) })
	return float64(size) * float64(len(movers)) / time.Since(began).Seconds(), err
}

func together(movers []*mover, do func(*mover) error) error {
	errs := make(chan error, len(movers))
	for _, each := range movers {
		go func() { errs <- do(each) }()
	}
	var first error
	for range movers {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (m *mover) do(method, address string, headers map[string]string, body io.Reader, size int64) (*http.Response, error) {
	request, err := http.NewRequest(method, address, body)
	if err != nil {
		return nil, err
	}
	if m.config.Credentials != "" {
		encoded := base64.StdEncoding.EncodeToString([]byte(m.config.Credentials))
		request.Header.Set("Authorization", "Basic "+encoded) // net/http keeps it from another host
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	request.ContentLength = size
	response, err := m.client.Do(request)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		response.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, request.URL.Path, response.Status)
	}
	return response, err
}

func (m *mover) download(size int64) error {
	wanted := map[string]string{"Range": fmt.Sprintf("bytes=0-%d", size-1)}
	response, err := m.do(http.MethodGet, m.config.Download, wanted, nil, 0)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, m.block)
	if err == nil && got != size {
		err = fmt.Errorf("download of %d bytes ended after %d", size, got)
	}
	return err
}

// upload sends what happens to be in memory, in one request, and takes it back.
func (m *mover) upload(size int64) error {
	started, err := m.do(http.MethodPost, m.config.Upload, nil, nil, 0)
	if err != nil {
		return err
	}
	started.Body.Close()
	base, err := url.Parse(m.config.Upload)
	if err != nil {
		return err
	}
	session, err := base.Parse(started.Header.Get("Location"))
	if err != nil {
		return err
	}
	sent, err := m.do(http.MethodPatch, session.String(), nil, io.LimitReader(memory(m.block), size), size)
	if err != nil {
		return err
	}
	sent.Body.Close()
	if session, err = session.Parse(sent.Header.Get("Location")); err != nil {
		return err
	}
	ended, err := m.do(http.MethodDelete, session.String(), nil, nil, 0)
	if err == nil {
		ended.Body.Close()
	}
	return err
}

// memory is read again and again.
type memory []byte

func (m memory) Read(into []byte) (int, error) {
	return copy(into, m), nil
}
