package lifecycle

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Signals returns a context that ends with the first SIGINT or SIGTERM, so that
// work in hand can be finished. A second signal exits the process at once with
// status 128 + its number: whoever presses twice does not want to wait. Call
// stop to release it.
func Signals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	stopped := make(chan struct{})
	finished := make(chan struct{})

	go func() {
		defer close(finished)
		select {
		case s := <-signals:
			cancel(fmt.Errorf("received %s", s))
		case <-stopped:
			return
		}
		select {
		case s := <-signals:
			code := 128
			if n, ok := s.(syscall.Signal); ok {
				code += int(n)
			}
			os.Exit(code)
		case <-stopped:
		}
	}()

	return ctx, func() {
		signal.Stop(signals)
		select {
		case <-stopped:
		default:
			close(stopped)
		}
		<-finished
		cancel(context.Canceled)
	}
}
