// Checkout is what runs in the pods of the local world: a shop that says its version, and that it is well.
//
// With the argument "pause" it is what holds a pod's namespaces: it waits for the signal to end.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	address = ":8080"
	version = "/etc/checkout" // of the image's second layer
)

func main() {
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "pause" {
		<-ended.Done()
		return
	}
	http.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /{$}", func(answer http.ResponseWriter, request *http.Request) {
		http.ServeFile(answer, request, version)
	})
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Second}
	go func() {
		<-ended.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
