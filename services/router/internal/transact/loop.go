// Package transact routes records exactly once: it reads a batch, produces what
// the batch becomes, and commits both the output and the position in one Kafka
// transaction, so that a read_committed reader sees each batch once and whole.
//
//	    ┌────────────── poll ◄──────────────┐
//	    ▼                                   │ committed: remember the events,
//	route in memory                         │            take a larger batch
//	    ▼                                   │ aborted:   the positions go back,
//	  Begin ── produce ── End ──────────────┘            take half of it
//	                       │ error of Begin or End, batch not confirmed
//	                       ▼
//	       close the client, make a new one: the broker tells what is committed
//
// An instance that is fenced twice in a minute shares its name with another one:
// it ends and says so. A terminal error of a produce (access denied, a record
// too large on its own) ends it too: going on would lose records.
package transact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

const (
	transactionTimeout = 30 * time.Second
	// grace is how long an ending process waits for the transaction under way.
	grace      = 10 * time.Second
	fenceSpan  = time.Minute
	pingEvery  = 5 * time.Second
	maxBackoff = 5 * time.Second
	// markersTake is how long one broker, or three in one place, take to write the
	// markers of a transaction, with something to spare.
	markersTake = 4 * time.Millisecond
)

// ErrFenced says that another process uses the same transactional id.
var ErrFenced = errors.New("another router has the same instance name")

// Config of the loop.
type Config struct {
	Kafka kafka.Config
	Group string
	// Topics to read.
	Topics []string
	// Instance is stable over restarts and unique among the routers of a
	// cluster; the transactional id and the static membership rest on it.
	Instance string
	// Tracer traces each CDR; nil traces none.
	Tracer *telemetry.Tracer
}

// TransactionalID of an instance.
func (c Config) TransactionalID() string { return c.Group + "-" + c.Instance }

// Loop is the router's loop. Make it with New.
type Loop struct {
	config  Config
	router  *route.Router
	metrics *Metrics
	logger  *zap.Logger
	// health is told nil after whatever works, and an error after what does not.
	health func(error)
	now    func() time.Time

	size    size
	repeats *repeats
	fenced  []time.Time
}

// New makes a loop.
func New(c Config, r *route.Router, m *Metrics, logger *zap.Logger, health func(error)) *Loop {
	return &Loop{config: c, router: r, metrics: m, logger: logger, health: health, now: time.Now, size: newSize(), repeats: newRepeats()}
}

// fatal is an error that a new client cannot mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// Run routes until ctx ends, which is no error: the transaction under way is
// ended first. Every other return names what must be changed.
func (l *Loop) Run(ctx context.Context) error {
	for backoff := 50 * time.Millisecond; ; backoff = min(2*backoff, maxBackoff) {
		began := l.now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to end: the next start takes over whatever is open
		}
		var end fatal
		switch {
		case errors.As(err, &end):
			l.health(end.error)
			return fmt.Errorf("routing: %w", end.error)
		case isFenced(err):
			if l.fencedAgain() {
				err = fmt.Errorf("%w: %q was fenced twice in a minute; give each router its own AFTERCALL_INSTANCE: %w", ErrFenced, l.config.Instance, err)
				l.health(err)
				return fmt.Errorf("routing: %w", err)
			}
		}
		if !errors.Is(err, errUnconfirmed) {
			l.health(err)
		}
		l.metrics.rebuilds.Inc()
		l.logger.Warn("session.rebuilt", zap.Error(err))
		if l.now().Sub(began) > fenceSpan {
			backoff = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
	}
}

func (l *Loop) fencedAgain() bool {
	now := l.now()
	l.fenced = append(l.fenced, now)
	if len(l.fenced) < 2 {
		return false
	}
	return now.Sub(l.fenced[len(l.fenced)-2]) < fenceSpan
}

// session is the life of one client: it returns why another one is needed.
func (l *Loop) session(ctx context.Context) error {
	polling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var revoked revocations
	options := l.config.Kafka.Opts()
	options = append(options, l.config.Kafka.Producer()...)
	options = append(options, l.config.Kafka.Group(kafka.GroupOptions{
		Group:    l.config.Group,
		Topics:   l.config.Topics,
		Instance: l.config.Instance,
		OnStop:   func(err error) { stop(fatal{err}) },
	})...)
	options = append(options,
		kgo.TransactionalID(l.config.TransactionalID()),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.OnPartitionsRevoked(revoked.note),
		kgo.OnPartitionsLost(revoked.note),
		kafka.Markers(),
	)
	if err := l.takeOver(polling); err != nil {
		if cause := context.Cause(polling); cause != nil {
			return cause
		}
		return err
	}
	session, err := kgo.NewGroupTransactSession(options...)
	if err != nil {
		return fatal{fmt.Errorf("configuring the Kafka client: %w", err)}
	}
	defer session.Close()
	l.repeats.abort()

	// The context of a transaction is never cancelled; an ending process that
	// cannot end its transaction closes the client instead.
	ended := make(chan struct{})
	defer close(ended)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-ended:
		case <-time.After(grace):
			session.Close()
		}
	})()
	go l.watch(polling, session.Client())
	failures := 0
	for {
		fetches := session.PollRecords(polling, l.size.next())
		if err := context.Cause(polling); err != nil {
			return err
		}
		if fetches.IsClientClosed() {
			return kgo.ErrClientClosed
		}
		bombs, err := l.faults(fetches)
		if err != nil {
			return err
		}
		if records := kafka.Data(fetches.Records()); len(records) > 0 {
			ok, err := l.batch(session, &revoked, records)
			if err != nil {
				return err
			}
			if failures++; ok {
				failures = 0
				l.settle(polling)
			}
		}
		for _, b := range bombs {
			if err := l.skip(session, b); err != nil {
				return err
			}
		}
		if failures > 0 {
			// Not a busy loop while a group settles or a broker is away.
			select {
			case <-polling.Done():
			case <-time.After(min(time.Duration(failures)*10*time.Millisecond, time.Second)):
			}
		}
	}
}

// settle waits for what a real broker does after it has answered that a
// transaction is committed: writing the markers. A produce that comes before they
// are there is held back by the broker for its backoff, 20 ms by default, so that
// a loop without this pause takes ten times as long for each small batch as one
// with it.
func (l *Loop) settle(ctx context.Context) {
	if l.config.Kafka.Embedded {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(markersTake):
	}
}

// takeOver ends what a predecessor with the same transactional id left open.
// Until then the broker withholds the group's position, and a client that asked
// too early asks again only after 5 s; one that joins a group does not ask for
// the id before it has something to produce. So this comes first.
func (l *Loop) takeOver(ctx context.Context) error {
	client, err := kgo.NewClient(append(l.config.Kafka.Opts(),
		kgo.TransactionalID(l.config.TransactionalID()), kgo.TransactionTimeout(transactionTimeout))...)
	if err != nil {
		return fatal{fmt.Errorf("configuring the Kafka client: %w", err)}
	}
	defer client.Close()
	if _, _, err := client.ProducerID(ctx); err != nil {
		err = fmt.Errorf("taking over the transactional id %s: %w", l.config.TransactionalID(), err)
		if l.config.Kafka.Denied(err) {
			return fatal{kafka.Explained(err)}
		}
		return err
	}
	return nil
}

// watch keeps the health true while there is nothing to route.
func (l *Loop) watch(ctx context.Context, client *kgo.Client) {
	every := max(pingEvery, l.config.Kafka.Heartbeat)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, every)
		err := client.Ping(asking)
		cancel()
		if ctx.Err() != nil {
			return
		}
		l.health(err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// faults sorts a poll's errors: those that pass are logged, those that never do
// are returned, and batches too large to be unpacked are given back.
func (l *Loop) faults(fetches kgo.Fetches) (bombs []*kgo.ErrDecompressTooLarge, err error) {
	for _, e := range fetches.Errors() {
		var bomb *kgo.ErrDecompressTooLarge
		var loss *kgo.ErrDataLoss
		reading := func(err error) error { return kafka.Reading(e.Topic, e.Partition, err) }
		switch {
		case errors.As(e.Err, &bomb):
			bombs = append(bombs, bomb)
		case isFenced(e.Err):
			return nil, reading(e.Err)
		case errors.As(e.Err, &loss), errors.Is(e.Err, kerr.OffsetOutOfRange):
			return nil, fatal{reading(fmt.Errorf("the log does not hold the position any more, records are lost: %w", e.Err))}
		case errors.Is(e.Err, kerr.UnknownTopicID):
			return nil, fatal{reading(kafka.Explained(e.Err))}
		case l.config.Kafka.Denied(e.Err):
			return nil, fatal{reading(kafka.Explained(e.Err))}
		default:
			l.logger.Warn("poll.failed", zap.String("topic", e.Topic), zap.Int32("partition", e.Partition), zap.Error(e.Err))
		}
	}
	return bombs, nil
}

func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.FencedInstanceID)
}

// stableOffsets are what the broker holds as committed once no transaction is
// open on them.
func (l *Loop) stableOffsets(client *kgo.Client) (kadm.OffsetResponses, error) {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	offsets, err := kadm.NewClient(client).FetchOffsets(kadm.RequireStable(ctx), l.config.Group)
	if err == nil {
		err = offsets.Error()
	}
	return offsets, err
}
