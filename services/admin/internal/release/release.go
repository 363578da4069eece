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
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
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

// plan notes from where to where each delay partition is to be read: from what
// the movers have not moved yet, and was not sent again before. The longest tiers
// come first: what waits in the short ones is moved before its turn comes.
func (r *Runner) plan(ctx context.Context, w *store.SendWaiting, sub *subscription.Subscription) error {
	topics := make([]string, len(topic.Tiers))
	for i, t := range topic.Tiers {
		topics[len(topics)-1-i] = t.Topic
	}
	adm := kadm.NewClient(r.client)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("listing starts: %w", err)
	}
	moved, err := movedBy(ctx, adm)
	if err != nil {
		return err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("listing ends: %w", err)
	}
	w.Partitions, w.Total, w.Scanned = nil, 0, 0
	for _, t := range topics {
		ids := make([]int32, 0, len(ends[t]))
		for id := range ends[t] {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			p := store.SendPartition{Topic: t, Partition: id, End: ends[t][id].Offset}
			if o, ok := starts.Lookup(t, id); ok {
				p.Next = o.Offset
			}
			if o, ok := moved.Lookup(t, id); ok && o.Err == nil {
				p.Next = max(p.Next, o.At)
			}
			for _, have := range sub.Released {
				if have.Topic == t && have.Partition == id {
					p.Next = max(p.Next, have.Offset)
				}
			}
			if p.Next < p.End {
				w.Total += p.End - p.Next
				w.Partitions = append(w.Partitions, p)
			}
		}
	}
	w.Planned = true
	return nil
}

// partition reads one partition to its end and produces what is the
// subscription's.
func (r *Runner) partition(ctx context.Context, w *store.SendWaiting, p *store.SendPartition, told *time.Time) error {
	// Retention may have passed what was planned.
	starts, err := kadm.NewClient(r.client).ListStartOffsets(ctx, p.Topic)
	if err != nil {
		return err
	}
	from := p.Next
	if o, ok := starts.Lookup(p.Topic, p.Partition); ok {
		from = min(max(from, o.Offset), p.End)
	}
	r.advance(w, p, from)
	if from >= p.End {
		return r.rows.SaveSendWaiting(ctx, w)
	}
	reader, err := kgo.NewClient(append(r.kafka.Opts(), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.Topic: {p.Partition: kgo.NewOffset().At(from)}}))...)
	if err != nil {
		return fmt.Errorf("creating reader client: %w", err)
	}
	defer reader.Close()
	prefix := w.SubscriptionID + "/"
	for p.Next < p.End && w.State != store.SendCancelling {
		fetches := reader.PollRecords(ctx, 2000)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading: %w", e.Err)
		}
		var due []*kgo.Record
		next := p.Next
		fetches.EachRecord(func(rec *kgo.Record) {
			if rec.Offset >= p.End {
				next = p.End
				return
			}
			next = rec.Offset + 1
			if !rec.Attrs.IsControl() && strings.HasPrefix(string(rec.Key), prefix) {
				due = append(due, rec)
			}
		})
		if err := r.send(ctx, w, p, due, told); err != nil {
			return err
		}
		if w.State != store.SendCancelling {
			r.advance(w, p, next)
			w.Fault = ""
			if err := r.rows.SaveSendWaiting(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Runner) advance(w *store.SendWaiting, p *store.SendPartition, next int64) {
	if next > p.Next {
		w.Scanned += next - p.Next
		p.Next = next
	}
}

// send produces records at the pace of the subscription as it is now, and keeps
// after each acknowledged slice how far it has come.
func (r *Runner) send(ctx context.Context, w *store.SendWaiting, p *store.SendPartition, due []*kgo.Record, told *time.Time) error {
	for len(due) > 0 {
		sub, err := r.rows.Subscription(ctx, w.SubscriptionID)
		if errors.Is(err, store.ErrNotFound) {
			w.State = store.SendCancelling
			return nil
		}
		if err != nil {
			return err
		}
		rate := sub.RateLimit
		if rate <= 0 {
			rate = DefaultRate
		}
		n := min(max(int(rate*slice.Seconds()), 1), len(due))
		began := time.Now()
		moved, err := r.moved(ctx, p)
		if err != nil {
			return err
		}
		var out []*kgo.Record
		for _, rec := range due[:n] {
			// A mover was faster.
			if rec.Offset >= moved {
				out = append(out, &kgo.Record{Topic: topic.Deliveries, Key: rec.Key, Value: rec.Value, Headers: rec.Headers, Timestamp: began})
			}
		}
		if len(out) > 0 {
			if err := r.client.ProduceSync(ctx, out...).FirstErr(); err != nil {
				return fmt.Errorf("producing: %w", err)
			}
		}
		w.Sent += int64(len(out))
		p.Found += int64(n)
		r.advance(w, p, due[n-1].Offset+1)
		due = due[n:]
		if err := r.rows.SaveSendWaiting(ctx, w); err != nil {
			return err
		}
		if w.State == store.SendCancelling {
			return nil
		}
		if time.Since(*told) >= tellEvery {
			if err := r.tell(ctx, w); err != nil {
				return err
			}
			*told = time.Now()
		}
		if len(out) == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(began.Add(time.Duration(float64(len(out)) / rate * float64(time.Second))))):
		}
	}
	return nil
}

// moved is the offset below which the movers have moved everything.
func (r *Runner) moved(ctx context.Context, p *store.SendPartition) (int64, error) {
	committed, err := movedBy(ctx, kadm.NewClient(r.client))
	if err != nil {
		return 0, err
	}
	if o, ok := committed.Lookup(p.Topic, p.Partition); ok && o.Err == nil {
		return o.At, nil
	}
	return 0, nil
}

// movedBy are the offsets that the movers have committed: none before the first
// sender has been there.
func movedBy(ctx context.Context, adm *kadm.Client) (kadm.OffsetResponses, error) {
	moved, err := adm.FetchOffsets(ctx, topic.GroupMover)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil //nolint:nilnil // no offsets are offsets too
	}
	if err != nil {
		return nil, fmt.Errorf("listing what was moved: %w", err)
	}
	return moved, nil
}

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
