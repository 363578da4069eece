package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
)

// system is who publishes positions.
var system = store.Actor{Name: "aftercall", Kind: "system"}

// tell makes the movers drop what was sent again. A partition in which nothing of
// the subscription was found needs no word.
func (r *Runner) tell(ctx context.Context, w *store.SendWaiting) error {
	return r.edit(ctx, w.SubscriptionID, func(s *subscription.Subscription) (changed bool) {
		s.Released, changed = raise(s.Released, w.Partitions)
		return changed
	})
}

// edit saves what change makes of the subscription, if it changes it, and
// publishes it.
func (r *Runner) edit(ctx context.Context, id string, change func(*subscription.Subscription) bool) error {
	for {
		sub, err := r.rows.Subscription(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		next := *sub
		if !change(&next) {
			// It may have been saved and not published before a kill.
			return r.publisher.Publish(ctx, sub.ID)
		}
		next.Version, next.UpdatedAt = sub.Version+1, time.Now().UTC()
		err = r.rows.UpdateSubscription(ctx, &next, sub.Version, system)
		if errors.Is(err, store.ErrVersion) {
			continue
		}
		if err != nil {
			return fmt.Errorf("keeping what was released: %w", err)
		}
		return r.publisher.Publish(ctx, sub.ID)
	}
}

// raise is the greater of two positions for each partition.
func raise(have []subscription.Position, done []store.SendPartition) (out []subscription.Position, changed bool) {
	out = slices.Clone(have)
	for _, p := range done {
		if p.Found == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(o subscription.Position) bool { return o.Topic == p.Topic && o.Partition == p.Partition })
		switch {
		case i < 0:
			out, changed = append(out, subscription.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Next}), true
		case out[i].Offset < p.Next:
			out[i].Offset, changed = p.Next, true
		}
	}
	return out, changed
}
