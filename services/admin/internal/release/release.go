// Package release carries out "send waiting now": everything that waits for one
// subscription in the delay topics is produced again to aftercall.deliveries, at
// a pace, and the movers then drop what they still hold of it.
//
//	planned ── read [mover's commit, end) of each delay partition ── produce again ── released = ends ── done
//	                      └── cancelled: released = as far as it came
//
// What it guarantees:
//
//   - What waited when it began is sent, or moved by a mover, at least once; a
//     repeat is a copy of the same attempt (delivery_id, attempt, deferrals), which
//     senders recognise.
//   - Movers are told to drop a record only after its copy was acknowledged: a
//     kill at any point loses nothing. Progress is a row of the store; whoever
//     holds the lock goes on from it.
//   - A position in Released never goes back.
package release

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
)

// DefaultRate is in deliveries a second, for a subscription without a limit.
const DefaultRate = 50

const (
	lockName = "send waiting"
	every    = time.Second
	// slice is how much is produced between two looks at the row.
	slice = 250 * time.Millisecond
	// tellEvery is how often movers are told how far a long run has come.
	tellEvery = 30 * time.Second
)

// Rows are what it keeps, and the subscriptions.
type Rows interface {
	OpenSendWaiting(ctx context.Context) ([]*store.SendWaiting, error)
	SaveSendWaiting(ctx context.Context, w *store.SendWaiting) error
	Subscription(ctx context.Context, id string) (*subscription.Subscription, error)
	UpdateSubscription(ctx context.Context, s *subscription.Subscription, ifVersion int64, a store.Actor) error
	Lock(ctx context.Context, name string) (release func(), ok bool, err error)
}

// Publisher publishes the row of a subscription as it is now.
type Publisher interface {
	Publish(ctx context.Context, id string) error
}

// Runner runs them.
type Runner struct {
	rows      Rows
	publisher Publisher
	client    *kgo.Client
	kafka     kafka.Config
	logger    *zap.Logger
	kicked    chan struct{}
}

// New makes a runner that produces with client and reads with clients of its own.
func New(rows Rows, publisher Publisher, client *kgo.Client, c kafka.Config, logger *zap.Logger) *Runner {
	return &Runner{rows: rows, publisher: publisher, client: client, kafka: c, logger: logger, kicked: make(chan struct{}, 1)}
}

// Kick makes it look at once.
func (r *Runner) Kick() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

// Run carries out what is asked for, wherever the lock is held, until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		open, err := r.rows.OpenSendWaiting(ctx)
		if err == nil && len(open) > 0 {
			var release func()
			var ok bool
			if release, ok, err = r.rows.Lock(ctx, lockName); ok {
				err = r.lead(ctx)
				release()
			}
		}
		if err != nil && ctx.Err() == nil {
			r.logger.Warn("release.interrupted", zap.Error(err))
		}
		r.pause(ctx)
	}
	return nil
}

func (r *Runner) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-r.kicked:
	case <-time.After(every):
	}
}

// lead runs all that are open side by side, each in its own goroutine, until none
// is left.
func (r *Runner) lead(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	var mu sync.Mutex
	busy := map[string]bool{}
	for {
		open, err := r.rows.OpenSendWaiting(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		idle := len(open) == 0 && len(busy) == 0
		for _, w := range open {
			if busy[w.ID] {
				continue
			}
			busy[w.ID] = true
			running.Go(func() {
				if err := r.one(ctx, w); err != nil && ctx.Err() == nil {
					r.logger.Warn("release.failed", zap.String("subscription", w.SubscriptionID), zap.Error(err))
					// Kept for people; whoever goes on does so from the same place.
					w.Fault = "Something went wrong; it is tried again."
					_ = r.rows.SaveSendWaiting(ctx, w)
					select {
					case <-ctx.Done():
					case <-time.After(every):
					}
				}
				mu.Lock()
				delete(busy, w.ID)
				mu.Unlock()
			})
		}
		mu.Unlock()
		if idle {
			return nil
		}
		r.pause(ctx)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// one carries out one to its end.
func (r *Runner) one(ctx context.Context, w *store.SendWaiting) error {
	sub, err := r.rows.Subscription(ctx, w.SubscriptionID)
	if errors.Is(err, store.ErrNotFound) {
		// Deleted: its records end where they are.
		w.State = store.SendCancelled
		return r.rows.SaveSendWaiting(ctx, w)
	}
	if err != nil {
		return err
	}
	if !w.Planned {
		if err := r.plan(ctx, w, sub); err != nil {
			return fmt.Errorf("planning: %w", err)
		}
		// A new version lets senders try an endpoint that failed at once: what is
		// sent again would otherwise be put off again, and for longer.
		if err := r.edit(ctx, w.SubscriptionID, func(*subscription.Subscription) bool { return true }); err != nil {
			return err
		}
		if err := r.rows.SaveSendWaiting(ctx, w); err != nil {
			return err
		}
	}
	told := time.Now()
	for i := range w.Partitions {
		p := &w.Partitions[i]
		if p.Next >= p.End || w.State == store.SendCancelling {
			continue
		}
		if err := r.partition(ctx, w, p, &told); err != nil {
			return fmt.Errorf("sending what waits in %s/%d: %w", p.Topic, p.Partition, err)
		}
	}
	if err := r.tell(ctx, w); err != nil {
		return err
	}
	w.Fault = ""
	if w.State == store.SendCancelling {
		w.State = store.SendCancelled
	} else {
		w.State = store.SendDone
	}
	r.logger.Info("release.ended", zap.String("subscription", w.SubscriptionID), zap.String("state", w.State), zap.Int64("sent", w.Sent))
	return r.rows.SaveSendWaiting(ctx, w)
}
