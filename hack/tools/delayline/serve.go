package main

import (
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// ServeConfig describes two registries, `source` and `destination`, and the host of the source's blobs.
//
// The inspection listeners answer for the same registries to whoever checks them: without TLS, credentials, distance,
// redirects or counting.
type ServeConfig struct {
	Network     Network `json:"network"`
	Listen      Listen  `json:"listen"`
	BlobsAt     string  `json:"blobs_at"`    // base URL of the blob host; empty: the source serves its blobs itself
	Certificate string  `json:"certificate"` // a PEM file with the chain and the key; empty: plain HTTP
	Credentials string  `json:"credentials"` // "user:password"; empty: everybody may
	Content     string  `json:"content"`     // what the source has
	Keep        bool    `json:"keep"`        // whether the destination keeps blobs, or only hashes them
	Cuts        int64   `json:"cuts"`        // so many downloads break off in their middle, the first ones after a reset
	Quotas      Quotas  `json:"quotas"`
}

// Listen says which addresses to take; the ready line says what they have become.
type Listen struct {
	Source      string `json:"source"`
	Blobs       string `json:"blobs"`
	Destination string `json:"destination"`
	Inspect     string `json:"inspect"`
	Control     string `json:"control"`
}

// Quotas are calls per second that the destination allows, with a burst of one second; 0: all.
type Quotas struct {
	ManifestPuts float64 `json:"manifest_puts"`
	UploadStarts float64 `json:"upload_starts"`
}

// Counters are what clients did since the last reset.
type Counters struct {
	mutex       sync.Mutex
	requests    map[string]int64
	connections atomic.Int64
	served      atomic.Int64
	received    atomic.Int64
}

func (c *Counters) count(what string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.requests[what]++
}

func (c *Counters) reset() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.requests = map[string]int64{}
	c.connections.Store(0)
	c.served.Store(0)
	c.received.Store(0)
}

func (c *Counters) snapshot() map[string]any {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return map[string]any{
		"events":      maps.Clone(c.requests),
		"connections": c.connections.Load(),
		"served":      c.served.Load(),
		"received":    c.received.Load(),
	}
}

// A world is everything that `serve` runs.
type world struct {
	config              ServeConfig
	counters            *Counters
	source, destination *Registry
	cuts                atomic.Int64
}

func serve() error {
	built := &world{counters: &Counters{requests: map[string]int64{}}}
	if err := readInput(&built.config); err != nil {
		return err
	}
	store, err := loadStore(built.config.Content)
	if err != nil {
		return err
	}
	built.source = built.registry(store)
	built.source.blobsAt = built.config.BlobsAt
	built.source.cuts = &built.cuts
	built.destination = built.registry(newStore())
	built.destination.sizes = store.sizes()
	if built.config.Keep {
		built.destination.store.prepare(store)
	}
	built.reset()
	return built.listen()
}

func (w *world) registry(store *Store) *Registry {
	return &Registry{
		store:    store,
		counters: w.counters,
		basic:    w.config.Credentials,
		keep:     w.config.Keep,
		sendfile: w.config.Certificate == "" && !w.config.Network.isDistant(),
		uploads:  map[string]*Upload{},
	}
}

// reset makes the next client meet what the first one met.
func (w *world) reset() {
	w.destination.store.reset()
	w.destination.manifests = newBucket(w.config.Quotas.ManifestPuts)
	w.destination.starts = newBucket(w.config.Quotas.UploadStarts)
	w.cuts.Store(w.config.Cuts)
	w.counters.reset()
}

func (w *world) listen() error {
	failed := make(chan error)
	wanted := []struct {
		name, address string
		handler       http.Handler
		isFront       bool
	}{
		{"source", w.config.Listen.Source, w.source, true},
		{"blobs", w.config.Listen.Blobs, BlobHost{w.source}, true},
		{"destination", w.config.Listen.Destination, w.destination, true},
		{"inspect", w.config.Listen.Inspect, inspection(w.destination), false},
		{"control", w.config.Listen.Control, w.control(), false},
	}
	ready := map[string]string{}
	for _, each := range wanted {
		listener, err := net.Listen("tcp", each.address)
		if err != nil {
			return err
		}
		ready[each.name] = listener.Addr().String()
		if each.isFront {
			if listener, err = w.front(listener); err != nil {
				return err
			}
		}
		server := &http.Server{Handler: each.handler, ErrorLog: log.New(io.Discard, "", 0)}
		go func() { failed <- server.Serve(listener) }()
	}
	if err := writeOutput(ready); err != nil {
		return err
	}
	return <-failed
}

// inspection is the same store for somebody who checks it.
func inspection(of *Registry) *Registry {
	return &Registry{store: of.store, counters: &Counters{requests: map[string]int64{}}, sendfile: true}
}

func (w *world) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counters", func(writer http.ResponseWriter, _ *http.Request) {
		writeJSON(writer, w.counters.snapshot())
	})
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { w.reset() })
	mux.HandleFunc("POST /fill", func(http.ResponseWriter, *http.Request) {
		w.reset()
		w.destination.store.fill(w.source.store)
	})
	return mux
}

// front puts distance and TLS before a listener. HTTP/1.1 only: it is what the stores behind ECR speak.
func (w *world) front(listener net.Listener) (net.Listener, error) {
	counted := &countingListener{listener, w.config.Network, w.counters}
	if w.config.Certificate == "" {
		return counted, nil
	}
	pair, err := tls.LoadX509KeyPair(w.config.Certificate, w.config.Certificate)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(counted, &tls.Config{
		Certificates:                []tls.Certificate{pair},
		NextProtos:                  []string{"http/1.1"},
		DynamicRecordSizingDisabled: true,
	}), nil
}

type countingListener struct {
	net.Listener
	network  Network
	counters *Counters
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.counters.connections.Add(1)
	if l.network.isDistant() {
		return newDistantConn(conn, l.network), nil
	}
	return conn, nil
}
