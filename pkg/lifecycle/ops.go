package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServeOps answers /livez, /readyz and /metrics on addr until ctx ends, then
// lets running answers finish for up to two seconds. An empty addr serves
// nothing and merely waits. The port is for the operators' network: nothing on
// it asks for a token.
func ServeOps(ctx context.Context, addr string, h *Health, reg prometheus.Gatherer) error {
	if addr == "" {
		<-ctx.Done()
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listening for health and metrics (AFTERCALL_OPS_LISTEN): %w", err)
	}
	return ServeOpsOn(ctx, ln, h, reg)
}

// ServeOpsOn is ServeOps on a listener that is open already; it closes it.
func ServeOpsOn(ctx context.Context, ln net.Listener, h *Health, reg prometheus.Gatherer) error {
	mux := http.NewServeMux()
	mux.Handle("GET /livez", h)
	mux.Handle("GET /readyz", h)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return Serve(ctx, server, ln, 2*time.Second)
}

// Serve runs server on ln until ctx ends, then gives running requests the grace
// period before it closes their connections. It returns when the server is down.
func Serve(ctx context.Context, server *http.Server, ln net.Listener, grace time.Duration) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		// The grace period is over by design, not by mistake.
		err = server.Close()
	}
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	if err != nil {
		return fmt.Errorf("closing %s: %w", ln.Addr(), err)
	}
	return nil
}
