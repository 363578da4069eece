// Package engine runs the sender's core on Kafka and HTTP: it polls deliveries,
// hands the core's actions to workers, produces their outcomes and commits.
//
//	poll ─→ core.Admit        │ one lock around the core
//	core.Next ─→ workers ─→ POST ─→ core.Answered
//	                          └─→ attempt + next state ─→ acks ─→ core.Settled
//	core.Commits ─→ commit with the map of what is finished above
//
// It guarantees that a record is committed over only when its outcome has been
// acknowledged by all in-sync replicas, that nothing new is sent while outcomes
// cannot be kept or the group may have given our partitions to another, and that
// a clean stop or rebalance finishes what has begun before it lets go.
package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender/internal/core"
	"github.com/aftercall/aftercall/services/sender/internal/post"
)

// Config of an engine.
type Config struct {
	Kafka kafka.Config
	// Instance names this sender in attempts. When Static, it is also its member
	// id in the group: it must then be unique and stable over restarts.
	Instance string
	Static   bool
	// Partitions of aftercall.deliveries.
	Partitions int
	Core       core.Config
}

const (
	// RevokeDrain is how long a rebalance waits for requests under way: longer than
	// any request takes.
	RevokeDrain = 35 * time.Second
	// StopDrain is how long a stop waits for them.
	StopDrain = 40 * time.Second
	// rebalanceTimeout must cover RevokeDrain and the commit.
	rebalanceTimeout = 60 * time.Second

	// maxOutcomes and maxOutcomeAge bound what waits for Kafka's acknowledgement:
	// beyond them nothing new is sent.
	maxOutcomes   = 1000
	maxOutcomeAge = 2 * time.Second

	pollRecords = 2000
	// tick is how often limits are looked at while something is held.
	tick       = 100 * time.Millisecond
	workerIdle = 10 * time.Second
)

// Engine is one sender. Run it once.
type Engine struct {
	cfg    Config
	logger *zap.Logger
	poster *post.Poster
	meter  *Meter
	health Health
	client *kgo.Client
	group  groupHealth

	mu   sync.Mutex
	core *core.Core
	// requests holds, by partition, what cancels its requests.
	requests map[int32]*requests

	// stopping says that nothing new begins, drained that nothing is waited for
	// any more.
	stopping, drained atomic.Bool
	// producing ends when outcomes are given up at the end of a stop.
	producing context.Context //nolint:containedctx // it spans the engine's life, not a call's
	giveUp    context.CancelFunc

	kick  chan struct{}
	room  chan struct{}
	work  chan core.Action
	fatal chan error
	told  map[string]bool

	commitMu sync.Mutex
	// mapless says that the broker refuses the map of what is finished above a
	// commit.
	mapless atomic.Bool
	commits *commitPace
	late    lateCommits

	// keyFault says that a subscription's secrets could not be opened lately.
	keyFault atomic.Bool

	workers  sync.WaitGroup
	outcomes atomic.Int64
	// acked is when an outcome was last acknowledged, or begun with none waiting.
	acked moment
}

// Health is told how the engine fares.
type Health interface {
	Set(name string, err error)
}

type requests struct {
	ctx    context.Context //nolint:containedctx // all requests of one partition end with it
	cancel context.CancelFunc
}

// New makes an engine. subs must have been read to their end.
func New(cfg Config, subs core.Subscriptions, poster *post.Poster, meter *Meter, health Health, logger *zap.Logger) (*Engine, error) {
	partition := kgo.StickyKeyPartitioner(nil).ForTopic(topic.Deliveries)
	cfg.Core.PartitionOf = func(key string) int32 {
		return int32(partition.Partition(&kgo.Record{Key: []byte(key)}, cfg.Partitions))
	}
	e := &Engine{
		cfg: cfg, logger: logger, poster: poster, meter: meter, health: health,
		core:     core.New(cfg.Core, subs),
		requests: map[int32]*requests{},
		told:     map[string]bool{},
		kick:     make(chan struct{}, 1),
		room:     make(chan struct{}, 1),
		work:     make(chan core.Action),
		fatal:    make(chan error, 1),
		commits:  newCommitPace(),
	}
	e.producing, e.giveUp = context.WithCancel(context.Background())
	e.late.again = e.commitAgain
	e.group.start(cfg.Kafka.Session)
	options := kafka.GroupOptions{Group: topic.GroupSender, Topics: []string{topic.Deliveries}, OnStop: e.fail}
	if cfg.Static {
		options.Instance = cfg.Instance
	}
	opts := append(cfg.Kafka.Opts(), cfg.Kafka.Producer()...)
	opts = append(opts, cfg.Kafka.Group(options)...)
	client, err := kgo.NewClient(append(opts,
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.BlockRebalanceOnPoll(),
		kafka.Markers(),
		kgo.OnOffsetsFetched(e.fetched),
		kgo.OnPartitionsRevoked(e.revoked),
		kgo.OnPartitionsLost(e.lost),
		kgo.WithHooks(&e.group, &e.late),
	)...)
	if err != nil {
		return nil, fmt.Errorf("configuring the sender's Kafka client: %w", err)
	}
	e.client = client
	return e, nil
}

// fail ends the engine with the first error.
func (e *Engine) fail(err error) {
	select {
	case e.fatal <- err:
	default:
	}
}

// poke wakes the dispatcher.
func (e *Engine) poke() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, then finishes what has begun, commits and leaves. An
// error says why it could not go on.
func (e *Engine) Run(ctx context.Context) error {
	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	running, stopRunning := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRunning()
	defer e.late.end()
	var loops sync.WaitGroup
	polled := make(chan struct{})
	loops.Go(func() { defer close(polled); e.poll(polling) })
	loops.Go(func() { e.dispatch(running) })
	loops.Go(func() { e.committing(running) })

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-e.fatal:
	}
	e.stopping.Store(true)
	e.mu.Lock()
	e.core.Pause(true)
	e.mu.Unlock()
	stopPolling()
	if failure == nil {
		failure = e.drain()
	}
	<-polled
	e.drained.Store(true)
	stopRunning()
	// What Kafka has not taken by now it does not get: nothing of it is committed.
	e.giveUp()
	for _, r := range e.ending() {
		r.cancel()
	}
	loops.Wait()
	if failure == nil {
		e.commitAtLast(context.WithoutCancel(ctx))
	}
	// Everything is committed: the group's callbacks have nothing left to do.
	e.client.CloseAllowingRebalance()
	e.workers.Wait()
	return failure
}

func (e *Engine) ending() map[int32]*requests {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.requests
	e.requests = map[int32]*requests{}
	return r
}

// drain waits for what has begun.
func (e *Engine) drain() error {
	deadline := time.NewTimer(StopDrain)
	defer deadline.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		if e.busy(nil) == 0 {
			return nil
		}
		select {
		case <-deadline.C:
			e.logger.Warn("sender.drain.incomplete", zap.Int("busy", e.busy(nil)))
			return nil
		case err := <-e.fatal:
			return err
		case <-every.C:
		}
	}
}

// busy counts jobs under way in the partitions given, or in all.
func (e *Engine) busy(partitions []int32) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	if partitions == nil {
		for p := range e.requests {
			n += e.core.Busy(p)
		}
		return n
	}
	for _, p := range partitions {
		n += e.core.Busy(p)
	}
	return n
}

// jobOverhead is what a job holds beside its payload, roughly.
const jobOverhead = 512

// maxAttempt is beyond what any schedule allows.
const maxAttempt = 1000

var errBacklog = errors.New("as many outcomes wait for Kafka as may")
