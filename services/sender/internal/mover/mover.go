// Package mover brings waiting deliveries back when their time has come: from
// the delay topics to aftercall.deliveries.
//
// All records of a delay topic wait equally long, so the head of a partition is
// always the earliest due. The mover holds a handful of records of each
// partition, produces those that are due, and commits after the acknowledgement.
// It guarantees that nothing comes back before it is due (by the broker's clock),
// and that everything comes back at least once.
package mover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

const (
	// fetchPartitionBytes keeps small what is held of each partition: it waits.
	fetchPartitionBytes = 128 << 10
	pollRecords         = 5000
	// idle bounds one wait when nothing is held; records end it.
	idle = 10 * time.Minute
)

// Subscriptions tells what has been sent again already.
type Subscriptions interface {
	Get(id string) (*subscription.Subscription, bool)
}

// Mover moves the partitions of the delay topics that its group assigns to it.
type Mover struct {
	config  kafka.Config
	client  *kgo.Client
	logger  *zap.Logger
	fatal   chan error
	moved   *prometheus.CounterVec
	dropped prometheus.Counter
	subs    Subscriptions
	// held is touched by Run and by the group's callbacks, which Run lets in only
	// between polls.
	held map[partition]*queue
	// oldest is when the first of what is held is due, in nanoseconds; 0 for none.
	oldest atomic.Int64
}

type partition struct {
	topic string
	id    int32
}

// queue is what is held of one partition.
type queue struct {
	records []*kgo.Record
	due     []time.Time
	paused  bool
}

// New makes a mover. instance is its static member id, or empty. subs must have
// been read to their end.
func New(c kafka.Config, instance string, subs Subscriptions, registry prometheus.Registerer, logger *zap.Logger) (*Mover, error) {
	m := &Mover{
		config: c, logger: logger, fatal: make(chan error, 1), held: map[partition]*queue{}, subs: subs,
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftercall_mover_dropped_total", Help: "Waiting records dropped because they had been sent again already.",
		}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftercall_mover_moved_total", Help: "Deliveries brought back from a delay topic.",
		}, []string{"topic"}),
	}
	if registry != nil {
		registry.MustRegister(m.moved, m.dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "aftercall_mover_overdue_seconds", Help: "How long the longest due of the waiting deliveries that this sender looks after has been due.",
		}, m.overdue))
	}
	opts := append(c.Opts(), c.Producer()...)
	opts = append(opts, c.Group(kafka.GroupOptions{Group: topic.GroupMover, Topics: topic.DelayTopics(), Instance: instance, OnStop: m.fail})...)
	client, err := kgo.NewClient(append(opts,
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsRevoked(m.drop),
		kgo.OnPartitionsLost(m.drop),
	)...)
	if err != nil {
		return nil, fmt.Errorf("configuring the mover's Kafka client: %w", err)
	}
	m.client = client
	return m, nil
}

func (m *Mover) fail(err error) {
	select {
	case m.fatal <- err:
	default:
	}
}

// drop forgets what is held of partitions that go to another: what was moved is
// committed, the rest is theirs.
func (m *Mover) drop(_ context.Context, client *kgo.Client, gone map[string][]int32) {
	// The client's pause outlives an assignment: a partition that comes back must
	// be read again.
	client.ResumeFetchPartitions(gone)
	for t, ids := range gone {
		for _, id := range ids {
			delete(m.held, partition{t, id})
		}
	}
}

// Run moves until ctx ends. An error says why it cannot go on.
func (m *Mover) Run(ctx context.Context) error {
	defer m.client.CloseAllowingRebalance()
	wait := idle
	for {
		if err := m.poll(ctx, wait); err != nil {
			return err
		}
		select {
		case err := <-m.fatal:
			return err
		default:
		}
		if ctx.Err() != nil {
			return nil
		}
		m.note()
		if err := m.move(ctx, time.Now()); err != nil && ctx.Err() == nil {
			return err
		}
		m.note()
		// What is held may be touched by the group's callbacks from here on.
		wait = m.untilDue(time.Now())
		m.client.AllowRebalance()
	}
}

// overdue grows by itself, also while the mover hangs.
func (m *Mover) overdue() float64 {
	due := m.oldest.Load()
	if due == 0 {
		return 0
	}
	return max(time.Since(time.Unix(0, due)), 0).Seconds()
}

// note keeps the earliest due time of what is held.
func (m *Mover) note() {
	var oldest time.Time
	for _, q := range m.held {
		if len(q.due) > 0 && (oldest.IsZero() || q.due[0].Before(oldest)) {
			oldest = q.due[0]
		}
	}
	if oldest.IsZero() {
		m.oldest.Store(0)
		return
	}
	m.oldest.Store(oldest.UnixNano())
}

// untilDue is how long nothing that is held is due.
func (m *Mover) untilDue(now time.Time) time.Duration {
	wait := idle
	for _, q := range m.held {
		if len(q.due) > 0 {
			wait = min(wait, max(q.due[0].Sub(now), 0))
		}
	}
	return wait
}

// poll waits for records, or until a held one is due.
func (m *Mover) poll(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	fetches := m.client.PollRecords(ctx, pollRecords)
	for _, e := range fetches.Errors() {
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, context.Canceled), errors.Is(e.Err, kgo.ErrClientClosed):
		case errors.As(e.Err, &loss), errors.Is(e.Err, kerr.UnknownTopicID), errors.Is(e.Err, kerr.OffsetOutOfRange):
			return kafka.Reading(e.Topic, e.Partition, kafka.Explained(e.Err))
		default:
			m.logger.Warn("delay.read.failed", zap.String("topic", e.Topic), zap.Int32("partition", e.Partition), zap.Error(e.Err))
		}
	}
	now := time.Now()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		p := partition{f.Topic, f.Partition}
		q := m.held[p]
		if q == nil {
			q = &queue{}
			m.held[p] = q
		}
		dwell := record.Dwell(f.Topic)
		for _, r := range f.Records {
			// A timestamp ahead of our clock must not make the wait longer.
			since := r.Timestamp
			if since.After(now) {
				since = now
			}
			q.records = append(q.records, r)
			q.due = append(q.due, since.Add(dwell))
		}
		if !q.paused {
			q.paused = true
			m.client.PauseFetchPartitions(map[string][]int32{p.topic: {p.id}})
		}
	})
	return nil
}

const (
	// stopPatience is how long a stop waits for what is being moved.
	stopPatience  = 10 * time.Second
	commitTimeout = 5 * time.Second
)

// outlive returns a context that ends a while after ctx does.
func outlive(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })
	return out, func() { stop(); cancel() }
}

// commit says what was moved, also while the process ends: a commit that fails
// moves it again, and what remembers copies may be gone by then.
func (m *Mover) commit(ctx context.Context, commits map[string]map[int32]kgo.EpochOffset) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	m.client.CommitOffsetsSync(ctx, commits, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err == nil {
			for _, t := range response.Topics {
				for _, p := range t.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		}
		if err != nil {
			m.logger.Warn("delay.commit.failed", zap.Error(err))
		}
	})
}

// released says that a record has been sent again by "send waiting now".
func (m *Mover) released(r *kgo.Record) bool {
	id, _, ok := strings.Cut(string(r.Key), "/")
	if !ok {
		return false
	}
	sub, known := m.subs.Get(id)
	if !known {
		return false
	}
	for _, p := range sub.Released {
		if p.Topic == r.Topic && p.Partition == r.Partition {
			return r.Offset < p.Offset
		}
	}
	return false
}

// move produces what is due, waits for the acknowledgements, and commits.
func (m *Mover) move(ctx context.Context, now time.Time) error {
	var out []*kgo.Record
	commits := map[string]map[int32]kgo.EpochOffset{}
	for p, q := range m.held {
		n := 0
		for n < len(q.due) && !q.due[n].After(now) {
			n++
		}
		if n == 0 {
			continue
		}
		for _, r := range q.records[:n] {
			if m.released(r) {
				m.dropped.Inc()
				continue
			}
			out = append(out, &kgo.Record{Topic: topic.Deliveries, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: now})
		}
		last := q.records[n-1]
		if commits[p.topic] == nil {
			commits[p.topic] = map[int32]kgo.EpochOffset{}
		}
		commits[p.topic][p.id] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		q.records, q.due = q.records[n:], q.due[n:]
		m.moved.WithLabelValues(p.topic).Add(float64(n))
	}
	if len(commits) > 0 {
		// What was taken out of the queue is moved, also while the process ends;
		// with Kafka away it stays where it is, uncommitted.
		produce, cancel := outlive(ctx, stopPatience)
		err := m.produce(produce, out)
		cancel()
		if err != nil {
			return fmt.Errorf("moving deliveries back: %w", err)
		}
		m.commit(ctx, commits)
	}
	resume := map[string][]int32{}
	for p, q := range m.held {
		if len(q.records) == 0 {
			delete(m.held, p)
			resume[p.topic] = append(resume[p.topic], p.id)
		}
	}
	if len(resume) > 0 {
		m.client.ResumeFetchPartitions(resume)
	}
	return nil
}
