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
	"sync"
	"time"
)

// CeilingConfig says what a client that only moves bytes is to move.
type CeilingConfig struct {
	Download    string `json:"download"` // URL of a blob
	Upload      string `json:"upload"`   // URL that starts an upload
	Size        int64  `json:"size"`     // bytes each way, in all
	Connections int    `json:"connections"`
	Credentials string `json:"credentials"`
	Authority   string `json:"authority"` // a PEM file
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
	mover, err := newMover(config)
	if err != nil {
		return err
	}
	var measured Ceiling
	for _, way := range []struct {
		into *float64
		move func(first, last int64) error
	}{{&measured.Download, mover.download}, {&measured.Upload, mover.upload}} {
		if *way.into, err = mover.measure(way.move); err != nil {
			return err
		}
	}
	return writeOutput(measured)
}

type mover struct {
	config CeilingConfig
	client *http.Client
	block  []byte
}

func newMover(config CeilingConfig) (*mover, error) {
	roots := x509.NewCertPool()
	if config.Authority != "" {
		pem, err := os.ReadFile(config.Authority)
		if err != nil {
			return nil, err
		}
		roots.AppendCertsFromPEM(pem)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: config.Connections,
		ReadBufferSize:      moveBytes,
		WriteBufferSize:     moveBytes,
		DisableCompression:  true,
	}
	return &mover{config, &http.Client{Transport: transport}, make([]byte, moveBytes)}, nil
}

// measure divides the work among the connections and returns bytes per second.
func (m *mover) measure(move func(first, last int64) error) (float64, error) {
	errs := make(chan error, m.config.Connections)
	share := m.config.Size / int64(m.config.Connections)
	began := time.Now()
	var all sync.WaitGroup
	for index := range int64(m.config.Connections) {
		all.Go(func() { errs <- move(index*share, (index+1)*share-1) })
	}
	all.Wait()
	took := time.Since(began).Seconds()
	for range m.config.Connections {
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	return float64(share*int64(m.config.Connections)) / took, nil
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

func (m *mover) download(first, last int64) error {
	wanted := map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", first, last)}
	response, err := m.do(http.MethodGet, m.config.Download, wanted, nil, 0)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	buffer := make([]byte, moveBytes)
	got := int64(0)
	for {
		count, err := response.Body.Read(buffer)
		got += int64(count)
		if err == io.EOF && got == last-first+1 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("download of %d bytes ended after %d: %w", last-first+1, got, err)
		}
	}
}

// upload sends zeros in one request, and takes them back.
func (m *mover) upload(first, last int64) error {
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
	size := last - first + 1
	sent, err := m.do(http.MethodPatch, session.String(), nil, io.LimitReader(&zeros{m.block}, size), size)
	if err != nil {
		return err
	}
	sent.Body.Close()
	ended, err := m.do(http.MethodDelete, session.String(), nil, nil, 0)
	if err == nil {
		ended.Body.Close()
	}
	return err
}

// zeros never ends; its WriteTo would not be used by net/http, so a large buffer must do.
type zeros struct{ block []byte }

func (z *zeros) Read(into []byte) (int, error) {
	return copy(into, z.block), nil
}
