package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/topic"
)

// patience is how long nothing may happen before a wait is given up.
const patience = time.Minute

// until waits for done, which also answers how far things have come; it gives up
// when that has not changed for a minute.
func (p *pipeline) until(ctx context.Context, what string, look time.Duration, done func() (ok bool, at int64, err error)) error {
	last, since := int64(-1), time.Now()
	every := time.NewTicker(look)
	defer every.Stop()
	for {
		ok, at, err := done()
		if err != nil || ok {
			return err
		}
		if at != last {
			last, since = at, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("waiting for %s: nothing has happened for %s, at %d", what, patience, at)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.done:
			return fmt.Errorf("the pipeline ended: %w", err)
		case <-every.C:
		}
	}
}

// arrived waits until a group has answered so many requests 2xx since its start.
func (p *pipeline) arrived(ctx context.Context, r *receiver, group string, answered int64) error {
	return p.until(ctx, fmt.Sprintf("%d deliveries to %s", answered, group), 5*time.Millisecond, func() (bool, int64, error) {
		f, err := r.count(group)
		return f.Answered-f.Repeated >= answered, f.Answered, err
	})
}

// projected waits until the store has caught up with what the history topic holds
// now.
func (p *pipeline) projected(ctx context.Context) error {
	client, err := kgo.NewClient(p.at.kafka.Opts()...)
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic.History)
	if err != nil {
		return fmt.Errorf("listing the history's end: %w", err)
	}
	return p.until(ctx, "the projector", 10*time.Millisecond, func() (bool, int64, error) {
		offsets, err := p.at.store.ProjectedOffsets(ctx)
		behind := int64(0)
		ends.Each(func(end kadm.ListedOffset) { behind += max(end.Offset-offsets[end.Topic][end.Partition], 0) })
		return behind <= 0, behind, err
	})
}

// lags answers how many records a group has not committed yet in topics.
//
// The marker of a transaction takes an offset too, and nobody commits past one
// that is the last: so the partitions are counted too.
func lags(ctx context.Context, adm *kadm.Client, group string, topics ...string) (lag, partitions int64, err error) {
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return 0, 0, fmt.Errorf("listing ends: %w", err)
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody has committed yet
		return 0, 0, fmt.Errorf("listing what %s has committed: %w", group, err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		partitions++
		at := int64(0)
		if o, ok := committed.Lookup(end.Topic, end.Partition); ok && o.Err == nil {
			at = max(o.At, 0)
		}
		lag += end.Offset - at
	})
	return lag, partitions, nil
}

// waiting waits until at least n deliveries stand in the delay topics and none in
// front of the sender.
func (p *pipeline) waiting(ctx context.Context, n int64) error {
	client, err := kgo.NewClient(p.at.kafka.Opts()...)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	return p.until(ctx, fmt.Sprintf("%d deliveries to wait", n), 200*time.Millisecond, func() (bool, int64, error) {
		queued, partitions, err := lags(ctx, adm, topic.GroupSender, topic.Deliveries)
		if err != nil {
			return false, 0, err
		}
		waits, _, err := lags(ctx, adm, topic.GroupMover, topic.DelayTopics()...)
		return waits >= n && queued <= partitions, waits, err
	})
}
