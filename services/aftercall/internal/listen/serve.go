package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// DefaultAddr is where a receiver listens when nothing else is said. It is not the
// one of `aftercall dev`'s own receiver (8422), so that both run at once.
const DefaultAddr = "127.0.0.1:8423"

// Listen opens the address; flag is named in the error when it is in use.
func Listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for webhooks: %w (choose another address with %s)", err, flag)
	}
	return ln, nil
}

// Serve answers on ln until ctx ends, then lets running requests finish for a
// moment. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	// A request's context ends with its connection only: stopping does not make
	// an answer of what was being waited for.
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ln) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("serving webhooks: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving webhooks: %w", err)
	}
	return nil
}
