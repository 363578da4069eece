package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof" // what it adds to the default mux is never served: nothing serves that
	"time"
)

// ErrNotLoopback says that profiles were to be served where others could ask.
var ErrNotLoopback = errors.New("profiles are served on a loopback address only")

// ListenPprof opens a loopback address for ServePprof. A profile slows a process
// down and shows what it does: whoever asks must be on the machine.
func ListenPprof(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("reading the address: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%w, such as 127.0.0.1:6060: %s is none", ErrNotLoopback, addr)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for profiles: %w", err)
	}
	return ln, nil
}

// ServePprof answers /debug/pprof/ until ctx ends; it closes ln. The command line
// is not among it. There is no limit on writing: a profile takes as long as it is
// asked to.
func ServePprof(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return Serve(ctx, server, ln, 0)
}
