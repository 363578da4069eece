// Package write reads the internal topics and projects them into the store.
//
//	        ┌──────── another projector was there, or the database is away ───────┐
//	        ▼                                                                     │
//	wait for the store ──► join ──► offsets of the store ──► poll ──► project ────┤
//	                                      │                   ▲          │        │
//	                                      ▼                   └──────────┘        ▼
//	                           the log does not fit: stop            unknown version: stop
//
// The store's offsets are the truth. The group in Kafka hands out partitions and
// shows the lag; what is committed to it is never read. Rebalances wait for the
// batch in hand.
package write

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/telemetry"
)

// Store is where records go.
type Store interface {
	// Project writes a batch and moves its offsets in one transaction, or does
	// nothing. store.ErrOffsetMoved and store.ErrUnstorable are told apart.
	Project(ctx context.Context, b *store.Batch) (store.Projected, error)
	// ProjectedOffsets are the next offsets, by topic and partition.
	ProjectedOffsets(ctx context.Context) (map[string]map[int32]int64, error)
}

// ErrLog says that the store's offsets do not fit the topics' logs.
var ErrLog = errors.New("the store does not fit the log")

// Config of a Loop.
type Config struct {
	Kafka  kafka.Config
	Group  string
	Topics []string
	// Instance is the static member id, "" for none.
	Instance string
	// BatchRecords bounds a batch, 0 for 5,000.
	BatchRecords int
	// Gather is the least time from one batch to the next under load, 0 for 250 ms.
	Gather time.Duration
	// Tick is how often freshness is noted and offsets are committed to Kafka, 0
	// for 2 s.
	Tick time.Duration
	// Tracer begins a span for each attempt that is stored, in the trace of its
	// request; nil for none.
	Tracer *telemetry.Tracer
	// Patience is how long a batch is tried again while the database fails
	// before the partitions are given back, 0 for 8 s.
	Patience time.Duration
}

// Loop projects.
type Loop struct {
	c       Config
	store   Store
	metrics *Metrics
	logger  *zap.Logger
	// kafka and database say how the two are, nil for well.
	kafka, database func(error)
	// full says that the database took nothing at the last try for want of room.
	full atomic.Bool
}

// read says how the database is after a question: one that is full answers them.
func (l *Loop) read(err error) {
	if err != nil || !l.full.Load() {
		l.database(err)
	}
}

// wrote says how it is after a batch.
func (l *Loop) wrote(err error) {
	l.full.Store(errors.Is(err, store.ErrNoRoom))
	l.database(err)
}

// New makes a loop. kafka and database are told how the two are, nil for well.
func New(c Config, s Store, m *Metrics, logger *zap.Logger, kafka, database func(error)) *Loop {
	if c.Gather == 0 {
		c.Gather = 250 * time.Millisecond
	}
	if c.BatchRecords == 0 {
		c.BatchRecords = 5000
	}
	if c.Tick == 0 {
		c.Tick = 2 * time.Second
	}
	if c.Patience == 0 {
		c.Patience = 8 * time.Second
	}
	return &Loop{c: c, store: s, metrics: m, logger: logger, kafka: kafka, database: database}
}

// Run projects until ctx ends, which is no error, or until something happens
// that trying again cannot mend: a record of an unknown version, or offsets that
// do not fit the log.
func (l *Loop) Run(ctx context.Context) error {
	for failures := 0; ; {
		if err := l.awaitStore(ctx); err != nil {
			return nil //nolint:nilerr // it gives up only when ctx ends, which is no error
		}
		began := time.Now()
		err := l.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // being told to stop is no error
		case errors.Is(err, record.ErrUnknownVersion):
			return fmt.Errorf("%w: this build is older than the one that wrote it; start the newer projector", err)
		case errors.Is(err, ErrLog), errors.Is(err, errStuck):
			return err
		case errors.Is(err, store.ErrOffsetMoved):
			l.metrics.moved.Inc()
			l.logger.Warn("projector.rejoining", zap.Error(err))
		default:
			l.logger.Error("projector.interrupted", zap.Error(err))
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		failures++
		if !sleep(ctx, backoff(failures)) {
			return nil
		}
	}
}

// awaitStore waits until the store answers. Its error is the end of ctx.
func (l *Loop) awaitStore(ctx context.Context) error {
	for n := 1; ; n++ {
		_, err := l.store.ProjectedOffsets(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.read(err)
		if err == nil {
			return nil
		}
		l.logger.Error("database.away", zap.Error(err))
		if !sleep(ctx, backoff(n)) {
			return ctx.Err()
		}
	}
}

// backoff doubles from 100 ms to 5 s, half of it by chance.
func backoff(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n-1, 10), 5*time.Second)
	return d/2 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// session is one membership of the group, from joining to its end.
func (l *Loop) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{Loop: l, places: places{at: map[partition]int64{}}, end: cancel, made: make(chan struct{})}
	opts := append(l.c.Kafka.Opts(), l.c.Kafka.Group(kafka.GroupOptions{Group: l.c.Group, Topics: l.c.Topics, Instance: l.c.Instance})...)
	client, err := kgo.NewClient(append(opts,
		kgo.AdjustFetchOffsetsFn(s.begin),
		kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.revoked),
		kgo.BlockRebalanceOnPoll(),
		// Markers move the position too: the end of a log is reached.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(s.fetchWait()),
	)...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.CloseAllowingRebalance()
	s.client, s.admin = client, kadm.NewClient(client)
	close(s.made)
	err = s.run(ctx)
	s.ended.Store(true)
	s.commit(context.WithoutCancel(ctx))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (l *Loop) fetchWait() time.Duration {
	if l.c.Kafka.FetchWait > 0 {
		return l.c.Kafka.FetchWait
	}
	return time.Second
}

type session struct {
	*Loop
	places
	client *kgo.Client
	admin  *kadm.Client
	end    context.CancelCauseFunc
	// made is closed when client and admin are set: the client may assign
	// partitions while it is still being made.
	made  chan struct{}
	ended atomic.Bool
}

func (s *session) run(ctx context.Context) error {
	var wrote time.Time
	for ticked := time.Now(); ctx.Err() == nil; {
		records, err := s.poll(ctx, s.c.Tick-time.Since(ticked), s.c.BatchRecords)
		if err == nil && len(records) > 0 {
			records, err = s.gather(ctx, records, wrote.Add(s.c.Gather))
		}
		if err == nil && len(records) > 0 {
			err = s.write(ctx, records)
			wrote = time.Now()
		}
		if err == nil && time.Since(ticked) >= s.c.Tick {
			ticked = time.Now()
			err = s.tick(ctx)
		}
		s.client.AllowRebalance()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// gather adds to records what comes until the time, or until the batch is full:
// under load, a few large transactions cost far less than many small ones, since
// ids are digests and every row touches pages of its own in their indices. What
// comes after a quiet moment is written at once.
func (s *session) gather(ctx context.Context, records []*kgo.Record, until time.Time) ([]*kgo.Record, error) {
	for wait := time.Until(until); wait > 0 && len(records) < s.c.BatchRecords; wait = time.Until(until) {
		more, err := s.poll(ctx, wait, s.c.BatchRecords-len(records))
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
		if ctx.Err() != nil {
			return records, ctx.Err()
		}
	}
	return records, nil
}

// poll waits so long for records, and takes at most so many.
func (s *session) poll(ctx context.Context, wait time.Duration, most int) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	fetches := s.client.PollRecords(ctx, most)
	var errs []error
	fetches.EachError(func(t string, p int32, err error) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
			errs = append(errs, fmt.Errorf("%w: topic %s was deleted and made again: %w", ErrLog, t, err))
		default:
			errs = append(errs, kafka.Reading(t, p, err))
		}
	})
	if len(errs) > 0 {
		err := errors.Join(errs...)
		s.kafka(err)
		return nil, err
	}
	return fetches.Records(), nil
}
