package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// ErrEnded is what Run reports of a part that returned nil although nobody had
// asked it to stop: a service whose worker is gone must not look healthy.
var ErrEnded = errors.New("ended without being asked to")

// Run runs all parts at once until ctx ends or one of them returns, then
// cancels the others and waits for every one.
//
// It returns nil when ctx ended and all parts followed cleanly; otherwise the
// joined errors, each beginning with its part's name, the first to die first.
// A part that ends early with nil counts as ErrEnded. Cancellation errors of
// parts that were told to stop are no errors.
func Run(ctx context.Context, parts map[string]func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var (
		mu     sync.Mutex
		failed []error
		wg     sync.WaitGroup
	)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		part := parts[name]
		wg.Go(func() {
			// Also on panic or Goexit: the others must not outlive it.
			defer cancel()
			err := part(ctx)
			mu.Lock()
			defer mu.Unlock()
			stopped := ctx.Err() != nil
			switch {
			case err == nil && stopped, stopped && errors.Is(err, context.Canceled):
				return
			case err == nil:
				err = ErrEnded
			}
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			cancel()
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}
