// Package feed follows aftercall.subscriptions, so that router and sender know
// every subscription without a database.
//
// What it guarantees: changes are applied in the order of the log; a record
// whose version is not above the known one of its subscription is ignored, also
// after a deletion, so that a copy republished late cannot bring back an older
// state; [Feed.Offset] never runs ahead of what has been applied; [Feed.Ready]
// is closed only after everything has been read that was in the topic when
// reading began.
package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Feed is the state of all subscriptions as of an offset. Get, Offset, Err and
// Ready may be called from any goroutine.
type Feed struct {
	config  kafka.Config
	client  *kgo.Client
	logger  *zap.Logger
	changed func(*subscription.Subscription)
	ready   chan struct{}
	offset  atomic.Int64

	mu      sync.RWMutex
	known   map[string]entry
	stopped map[string]time.Time
	sweepAt int
	// unreadable are the keys whose latest record could not be read.
	unreadable map[string]unreadable
}

type unreadable struct {
	offset int64
	err    error
}

// entry remembers the version of a deleted subscription too; current is nil then.
type entry struct {
	version int64
	current *subscription.Subscription
}

// New makes a feed; [Feed.Run] reads it. changed is called for each change, one
// after the other, deletions included (Deleted is set), before Offset moves past
// it. It may be nil.
func New(c kafka.Config, changed func(*subscription.Subscription)) (*Feed, error) {
	client, err := kgo.NewClient(append(c.Opts(),
		// Control records are kept to see how far the log has been read.
		kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic.Subscriptions: {0: kgo.NewOffset().AtStart()}}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("configuring the reader of subscriptions: %w", err)
	}
	logger := c.Logger
	if logger == nil {
		logger = zap.NewNop()
	}
	return &Feed{config: c, client: client, logger: logger, changed: changed, ready: make(chan struct{}), known: map[string]entry{}, unreadable: map[string]unreadable{}}, nil
}

// Run reads until ctx ends, which is no error, or until reading on is
// impossible: the topic was deleted or made anew, or access is denied. It
// outlasts every outage of the brokers. Call it once.
func (f *Feed) Run(ctx context.Context) error {
	defer f.client.Close()
	end, err := f.end(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", topic.Subscriptions, kafka.Explained(err))
	}
	f.reached(end)
	for {
		fetches := f.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		for _, e := range fetches.Errors() {
			if f.terminal(e.Err) {
				return fmt.Errorf("reading %s: %w", topic.Subscriptions, kafka.Explained(e.Err))
			}
			f.logger.Warn("subscriptions.read.failed", zap.Error(e.Err))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				f.apply(r)
			}
			f.offset.Store(r.Offset + 1)
		})
		f.reached(end)
	}
}

// end is the end of what is committed in the topic, 0 when nothing is left to
// read. It is asked for until ctx ends or the answer is final.
func (f *Feed) end(ctx context.Context) (int64, error) {
	adm := kadm.NewClient(f.client)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		end, err := listEnd(ctx, adm)
		if err == nil || f.terminal(err) {
			return end, err
		}
		f.logger.Warn("subscriptions.list.failed", zap.Error(err))
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func listEnd(ctx context.Context, adm *kadm.Client) (int64, error) {
	at := func(listed kadm.ListedOffsets, err error) (int64, error) {
		if err != nil {
			return 0, err
		}
		o, ok := listed.Lookup(topic.Subscriptions, 0)
		if !ok {
			return 0, kerr.UnknownTopicOrPartition
		}
		return o.Offset, o.Err
	}
	start, err := at(adm.ListStartOffsets(ctx, topic.Subscriptions))
	if err != nil {
		return 0, err
	}
	end, err := at(adm.ListCommittedOffsets(ctx, topic.Subscriptions))
	if err != nil || start >= end {
		return 0, err
	}
	return end, nil
}

func (f *Feed) reached(end int64) {
	select {
	case <-f.ready:
	default:
		if f.offset.Load() >= end {
			close(f.ready)
		}
	}
}

// terminal says that no later try can succeed. The client itself outlasts
// everything that passes.
func (f *Feed) terminal(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss) ||
		errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.OffsetOutOfRange) || f.config.Denied(err)
}

func (f *Feed) apply(r *kgo.Record) {
	key := string(r.Key)
	if len(r.Value) == 0 && f.removed(key) {
		return
	}
	opened, err := record.Open(r)
	if stop, ok := opened.(*aftercallv1.StopRetry); ok {
		f.stop(stop)
		return
	}
	if _, ok := opened.(*aftercallv1.Erasure); ok {
		return // the store's affair
	}
	message, ok := opened.(*aftercallv1.Subscription)
	if err == nil && !ok {
		err = fmt.Errorf("%w: a %s", record.ErrCorrupt, record.Kind(r))
	}
	if err != nil {
		err = fmt.Errorf("subscription %s at offset %d: %w", r.Key, r.Offset, err)
		f.logger.Error("subscription.unreadable", zap.Error(err))
		f.mu.Lock()
		f.unreadable[key] = unreadable{r.Offset, err}
		f.mu.Unlock()
		return
	}
	s := subscription.FromProto(message)
	f.mu.Lock()
	before := f.known[s.ID].version
	if s.Version >= before {
		// What could not be read is not the subscription's state any more.
		delete(f.unreadable, key)
	}
	if s.Version <= before {
		f.mu.Unlock()
		return
	}
	e := entry{version: s.Version, current: s}
	if s.Deleted {
		e.current = nil
	}
	f.known[s.ID] = e
	f.mu.Unlock()
	if f.changed != nil {
		f.changed(s)
	}
}

// removed notes a record without a value, by which somebody takes a key out of the
// compacted topic, and says whether that changes no subscription: how one is
// deleted is said by a record of its own.
func (f *Feed) removed(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[key].current != nil {
		return false
	}
	delete(f.unreadable, key)
	return true
}

// Ready is closed once everything has been applied that the topic held when
// reading began.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Offset is the offset below which everything has been applied.
func (f *Feed) Offset() int64 { return f.offset.Load() }

// Err is the last record that could not be read, such as one of a newer major
// version, and that no later record of its key has replaced; or nil. The
// subscription concerned stays as it was known before.
func (f *Feed) Err() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var last unreadable
	for _, u := range f.unreadable {
		if last.err == nil || u.offset > last.offset {
			last = u
		}
	}
	return last.err
}

// stop remembers that a delivery's retries end, for as long as it can wait.
func (f *Feed) stop(s *aftercallv1.StopRetry) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped == nil {
		f.stopped = map[string]time.Time{}
	}
	if len(f.stopped) >= f.sweepAt {
		for id, until := range f.stopped {
			if now.After(until) {
				delete(f.stopped, id)
			}
		}
		f.sweepAt = max(2*len(f.stopped), 1024)
	}
	if until := s.GetUntil().AsTime(); now.Before(until) {
		f.stopped[s.GetDeliveryId()] = until
	}
}

// Stopped says that somebody ended the retries of a delivery.
func (f *Feed) Stopped(deliveryID string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ok := f.stopped[deliveryID]
	return ok
}

// Each calls fn with every subscription that is not deleted, in no order. fn must
// not change it.
func (f *Feed) Each(fn func(*subscription.Subscription)) {
	f.mu.RLock()
	all := make([]*subscription.Subscription, 0, len(f.known))
	for _, e := range f.known {
		if e.current != nil {
			all = append(all, e.current)
		}
	}
	f.mu.RUnlock()
	for _, s := range all {
		fn(s)
	}
}

// Get returns a subscription, which must not be changed, or false when it is
// unknown or deleted.
func (f *Feed) Get(id string) (*subscription.Subscription, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	s := f.known[id].current
	return s, s != nil
}
