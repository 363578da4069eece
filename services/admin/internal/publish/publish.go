// Package publish brings the truth about subscriptions, the rows of the store,
// to aftercall.subscriptions, where router and senders read it.
//
// What it guarantees:
//
//   - The last record of a key is the row. An edit is published at once by the
//     instance that took it; beside that, one publisher at a time (a lock of the
//     store) reads the topic from its start, follows it, and publishes again
//     every row whose last record differs.
//   - Versions never go back. A row that comes from a restored backup gets a
//     version above the highest that its key has had.
//   - A subscription that the topic knows and a restored store does not (added
//     after the backup) is taken back into the store: nothing that was sent to
//     an endpoint stops silently.
//   - A webhook whose endpoint is gone, or has failed for days, is switched off
//     here and nowhere else, as a new version; others are told, as one event.
//   - A deletion is a record that says so, never a null.
package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/system"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin/internal/ack"
)

// Rows are the subscriptions of the store, and the lock of their publisher.
type Rows interface {
	Subscription(ctx context.Context, id string) (*subscription.Subscription, error)
	Subscriptions(ctx context.Context, q store.SubscriptionQuery) ([]*subscription.Subscription, error)
	CreateSubscription(ctx context.Context, s *subscription.Subscription, a store.Actor) error
	UpdateSubscription(ctx context.Context, s *subscription.Subscription, ifVersion int64, a store.Actor) error
	RaiseSubscriptionVersion(ctx context.Context, id string, version int64) (*subscription.Subscription, error)
	DisableRequests(ctx context.Context) ([]store.DisableRequest, error)
	FailingSubscriptions(ctx context.Context, now time.Time) ([]store.FailingSubscription, error)
	PublishLock(ctx context.Context) (release func(), ok bool, err error)
}

// Every is how often rows and topic are compared when nothing else asks for it,
// and how often an instance without the lock asks for it.
const Every = 5 * time.Second

// repairTimeout bounds the publication of one row that differs.
const repairTimeout = 5 * time.Second

// judgeEvery is how often endpoints that fail for days are looked for.
const judgeEvery = time.Minute

// itself is who acts when nobody asked.
var itself = store.Actor{Name: "aftercall", Kind: "system"}

// Publisher publishes subscriptions.
type Publisher struct {
	rows     Rows
	producer ack.Producer
	kafka    kafka.Config
	logger   *zap.Logger
	every    time.Duration
	now      func() time.Time
	// judged is when endpoints that fail for days were last looked for.
	judged time.Time

	published prometheus.Counter
	repaired  prometheus.Counter
	disabled  prometheus.Counter
	leading   prometheus.Gauge

	// turn makes one publication follow another: the row is read and its record
	// acknowledged before the next one begins, so that an older row can never
	// come last. Whoever waits for it waits no longer than its context.
	turn chan struct{}
	// mu guards what follows, for moments only.
	mu sync.Mutex
	// last is the last record of each key, as far as it is known here.
	last map[string]lastRecord
	end  int64
}

type lastRecord struct {
	offset  int64
	highest int64
	message *aftercallv1.Subscription
}

// New makes a publisher that writes with producer and reads with a client of its
// own.
func New(rows Rows, producer ack.Producer, c kafka.Config, logger *zap.Logger, reg prometheus.Registerer) *Publisher {
	p := &Publisher{
		rows: rows, producer: producer, kafka: c, logger: logger, every: Every, now: time.Now, turn: make(chan struct{}, 1), last: map[string]lastRecord{},
		published: prometheus.NewCounter(prometheus.CounterOpts{Name: "aftercall_admin_subscriptions_published_total", Help: "Records written to aftercall.subscriptions."}),
		repaired:  prometheus.NewCounter(prometheus.CounterOpts{Name: "aftercall_admin_subscriptions_repaired_total", Help: "Subscriptions whose last record differed from their row."}),
		disabled:  prometheus.NewCounter(prometheus.CounterOpts{Name: "aftercall_admin_subscriptions_disabled_total", Help: "Subscriptions switched off because of what their endpoints answered."}),
		leading:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "aftercall_admin_publisher", Help: "1 where the one publisher runs."}),
	}
	if reg != nil {
		reg.MustRegister(p.published, p.repaired, p.disabled, p.leading)
	}
	return p
}

// Clock replaces the time by which endpoints are judged. It is set before Run.
func (p *Publisher) Clock(now func() time.Time) { p.now = now }

// Publish writes the row of id as it is now, and returns when Kafka has
// acknowledged it.
func (p *Publisher) Publish(ctx context.Context, id string) error {
	if err := p.take(ctx); err != nil {
		return fmt.Errorf("waiting to publish subscription %s: %w", id, err)
	}
	defer p.leave()
	row, err := p.row(ctx, id)
	if err != nil {
		return fmt.Errorf("reading subscription %s: %w", id, err)
	}
	return p.write(ctx, row)
}

func (p *Publisher) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Publisher) leave() { <-p.turn }

// row is a subscription, deleted ones too.
func (p *Publisher) row(ctx context.Context, id string) (*subscription.Subscription, error) {
	row, err := p.rows.Subscription(ctx, id)
	if !errors.Is(err, store.ErrNotFound) {
		return row, err
	}
	all, err := p.rows.Subscriptions(ctx, store.SubscriptionQuery{IncludeDeleted: true})
	if err != nil {
		return nil, err
	}
	for _, row := range all {
		if row.ID == id {
			return row, nil
		}
	}
	return nil, store.ErrNotFound
}

// Offset is the exclusive end of what is known of the topic here.
func (p *Publisher) Offset() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// write is called by who has the turn.
func (p *Publisher) write(ctx context.Context, row *subscription.Subscription) error {
	m := subscription.ToProto(row)
	// Told before it is published: whoever dies in between tells it again, as the
	// same event, since the topic still has the webhook active.
	if last, seen := p.lastOf(row.ID); seen && last.message.GetActive() && !row.Active && !row.Deleted && row.DisabledReason != "" {
		if err := ack.Wait(ctx, p.producer, system.Disabled(row, row.UpdatedAt)); err != nil {
			return fmt.Errorf("telling that subscription %s is disabled: %w", row.ID, err)
		}
	}
	r := record.New(topic.Subscriptions, row.ID, m, time.Now())
	if err := ack.Wait(ctx, p.producer, r); err != nil {
		return fmt.Errorf("publishing subscription %s: %w", row.ID, err)
	}
	p.published.Inc()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(r.Offset, m)
	return nil
}

func (p *Publisher) lastOf(id string) (lastRecord, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, seen := p.last[id]
	return last, seen
}

// note is called with mu held.
func (p *Publisher) note(offset int64, m *aftercallv1.Subscription) {
	p.end = max(p.end, offset+1)
	have, known := p.last[m.GetId()]
	if known && have.offset > offset {
		have.highest = max(have.highest, m.GetVersion())
		p.last[m.GetId()] = have
		return
	}
	p.last[m.GetId()] = lastRecord{offset: offset, highest: max(have.highest, m.GetVersion()), message: m}
}

// Run keeps the topic like the rows until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	for {
		release, ok, err := p.rows.PublishLock(ctx)
		if err == nil && ok {
			p.leading.Set(1)
			err = p.lead(ctx, false)
			p.leading.Set(0)
			release()
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being told to stop is no error
		}
		if err != nil {
			p.logger.Warn("publisher.interrupted", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.every):
		}
	}
}

// Once makes the topic like the rows, and returns.
func (p *Publisher) Once(ctx context.Context) error { return p.lead(ctx, true) }

// lead follows the topic and repairs it, until ctx ends or, once, when both are
// alike.
func (p *Publisher) lead(ctx context.Context, once bool) error {
	client, err := kgo.NewClient(append(p.kafka.Opts(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic.Subscriptions: {0: kgo.NewOffset().AtStart()},
	}))...)
	if err != nil {
		return fmt.Errorf("creating reader client: %w", err)
	}
	defer client.Close()
	end, err := endOf(ctx, client)
	if err != nil {
		return fmt.Errorf("reading the end of %s: %w", topic.Subscriptions, err)
	}
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, topic.Subscriptions)
	if err != nil {
		return fmt.Errorf("reading the start of %s: %w", topic.Subscriptions, err)
	}
	// An empty log may begin where it ends.
	start, _ := starts.Lookup(topic.Subscriptions, 0)
	next := start.Offset
	var compared time.Time
	differs := false
	for {
		if next >= end && (differs || time.Since(compared) >= p.every) {
			if err := p.Reconcile(ctx); err != nil || once {
				return err
			}
			differs, compared = false, time.Now()
		}
		poll, cancel := context.WithTimeout(ctx, p.every)
		if next < end {
			cancel()
			poll, cancel = context.WithCancel(ctx)
		}
		fetches := client.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		var fault error
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				fault = err
			}
		})
		if fault != nil {
			return fmt.Errorf("reading %s: %w", topic.Subscriptions, fault)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if kind := record.Kind(r); kind == record.KindStopRetry || kind == record.KindErasure {
				p.mu.Lock()
				p.end = max(p.end, next)
				p.mu.Unlock()
				return
			}
			m, err := record.OpenAs[*aftercallv1.Subscription](r)
			if err != nil {
				p.logger.Warn("subscription.unreadable", zap.Int64("offset", r.Offset), zap.Error(err))
				return
			}
			p.mu.Lock()
			have, known := p.last[m.GetId()]
			if !known || have.offset < r.Offset {
				differs = true
			}
			p.note(r.Offset, m)
			p.mu.Unlock()
		})
	}
}

// seen is a copy of what is known of the topic.
func (p *Publisher) seen() map[string]lastRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.last)
}

func endOf(ctx context.Context, client *kgo.Client) (int64, error) {
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic.Subscriptions)
	if err != nil {
		return 0, err
	}
	end, ok := ends.Lookup(topic.Subscriptions, 0)
	if !ok {
		return 0, errors.New("the topic has no partition 0")
	}
	return end.Offset, end.Err
}

// Reconcile compares every row with the last record of its key, and publishes
// what differs. It is right only after the topic has been read to its end.
func (p *Publisher) Reconcile(ctx context.Context) error {
	if err := p.disable(ctx); err != nil {
		return err
	}
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.leave()
	rows, err := p.rows.Subscriptions(ctx, store.SubscriptionQuery{IncludeDeleted: true})
	if err != nil {
		return fmt.Errorf("reading subscriptions: %w", err)
	}
	known := make(map[string]bool, len(rows))
	for _, row := range rows {
		known[row.ID] = true
		last, seen := p.lastOf(row.ID)
		switch {
		case !seen && row.Deleted:
			continue
		case seen && last.highest == row.Version && proto.Equal(last.message, subscription.ToProto(row)):
			continue
		case seen && last.highest >= row.Version:
			raised, err := p.rows.RaiseSubscriptionVersion(ctx, row.ID, last.highest+1)
			if err != nil {
				return fmt.Errorf("raising the version of subscription %s: %w", row.ID, err)
			}
			row = raised
		}
		// Without Kafka people's edits must not wait behind this one.
		writing, cancel := context.WithTimeout(ctx, repairTimeout)
		err := p.write(writing, row)
		cancel()
		if err != nil {
			return err
		}
		p.repaired.Inc()
		p.logger.Info("subscription.repaired", zap.String("subscription", row.ID), zap.Int64("version", row.Version))
	}
	for id, last := range p.seen() {
		if known[id] || last.message.GetDeleted() {
			continue
		}
		adopted := subscription.FromProto(last.message)
		if adopted.CreatedAt.IsZero() {
			adopted.CreatedAt = p.now().UTC()
		}
		if adopted.UpdatedAt.IsZero() {
			adopted.UpdatedAt = adopted.CreatedAt
		}
		if err := p.rows.CreateSubscription(ctx, adopted, itself); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("taking subscription %s back from the topic: %w", id, err)
		}
		p.logger.Warn("subscription.adopted", zap.String("subscription", id), zap.Int64("version", adopted.Version))
	}
	return nil
}

// disable switches off what an endpoint asked to be switched off (410), and what
// has failed for days, unless it was changed since.
func (p *Publisher) disable(ctx context.Context) error {
	requests, err := p.rows.DisableRequests(ctx)
	if err != nil {
		return fmt.Errorf("reading disable requests: %w", err)
	}
	for _, request := range requests {
		if err := p.switchOff(ctx, request.SubscriptionID, request.SubscriptionVersion, request.Reason); err != nil {
			return err
		}
	}
	now := p.now()
	if sinceJudged := now.Sub(p.judged); sinceJudged >= 0 && sinceJudged < judgeEvery {
		return nil
	}
	failing, err := p.rows.FailingSubscriptions(ctx, now)
	if err != nil {
		return err
	}
	p.judged = now
	for _, f := range failing {
		if err := p.switchOff(ctx, f.SubscriptionID, f.Version, system.ReasonFailing); err != nil {
			return err
		}
	}
	return nil
}

// switchOff disables a subscription if it still is at version.
func (p *Publisher) switchOff(ctx context.Context, id string, version int64, reason string) error {
	row, err := p.rows.Subscription(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading subscription %s: %w", id, err)
	}
	if row.Deleted || !row.Active || row.Version != version {
		return nil
	}
	next := *row
	next.Active, next.DisabledReason = false, reason
	next.Version, next.UpdatedAt = row.Version+1, p.now().UTC()
	err = p.rows.UpdateSubscription(ctx, &next, row.Version, itself)
	switch {
	case errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("disabling subscription %s: %w", row.ID, err)
	}
	p.disabled.Inc()
	p.logger.Warn("subscription.disabled", zap.String("subscription", row.ID), zap.String("reason", reason))
	return p.Publish(ctx, row.ID)
}
