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

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
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
		kgo.OnOffsetsFetched(e.fetched),
		kgo.OnPartitionsRevoked(e.revoked),
		kgo.OnPartitionsLost(e.lost),
		kgo.WithHooks(&e.group),
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

// poll takes records in.
func (e *Engine) poll(ctx context.Context) {
	for ctx.Err() == nil {
		if !e.waitForRoom(ctx) {
			return
		}
		fetches := e.client.PollRecords(ctx, pollRecords)
		if fetches.IsClientClosed() {
			return
		}
		for _, err := range fetches.Errors() {
			switch {
			case errors.Is(err.Err, context.Canceled), errors.Is(err.Err, context.DeadlineExceeded):
			case final(err.Err):
				e.fail(fmt.Errorf("reading %s/%d: %w", err.Topic, err.Partition, err.Err))
			default:
				e.logger.Warn("deliveries.read.failed", zap.Int32("partition", err.Partition), zap.Error(err.Err))
			}
		}
		e.admit(fetches)
		e.client.AllowRebalance()
	}
}

// final says that reading on is impossible: the topic is not the one that the
// offsets belong to.
func final(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.OffsetOutOfRange)
}

func (e *Engine) waitForRoom(ctx context.Context) bool {
	for {
		e.mu.Lock()
		full := e.core.Full()
		e.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-e.room:
		}
	}
}

func (e *Engine) admit(fetches kgo.Fetches) {
	jobs := make([]*core.Job, 0, fetches.NumRecords())
	fetches.EachRecord(func(r *kgo.Record) { jobs = append(jobs, e.open(r)) })
	if len(jobs) == 0 {
		return
	}
	now := time.Now()
	e.mu.Lock()
	for _, j := range jobs {
		e.core.Admit(j, now)
	}
	e.mu.Unlock()
	e.poke()
	// Some may have been finished already, by the previous owner or as a copy.
	e.commits.due()
}

// jobOverhead is what a job holds beside its payload, roughly.
const jobOverhead = 512

func (e *Engine) open(r *kgo.Record) *core.Job {
	j := &core.Job{Key: append([]byte(nil), r.Key...), Partition: r.Partition, Offset: r.Offset, Size: len(r.Value) + jobOverhead}
	d, err := record.OpenAs[*aftercallv1.Delivery](r)
	if err == nil {
		err = check(d)
	}
	if err != nil {
		e.logger.Error("delivery.unreadable", zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset), zap.Error(err))
		e.meter.unreadable.Inc()
		j.Raw = unreadable{r, err}
		return j
	}
	j.Delivery = d
	return j
}

// maxAttempt is beyond what any schedule allows.
const maxAttempt = 1000

// check refuses a delivery that no router or admin of ours made.
func check(d *aftercallv1.Delivery) error {
	bad := func(field string) error {
		return fmt.Errorf("%w: delivery without a valid %s", record.ErrCorrupt, field)
	}
	switch {
	case d.GetDeliveryId() == "":
		return bad("delivery_id")
	case d.GetEventId() == "":
		return bad("event_id")
	case d.GetSubscriptionId() == "":
		return bad("subscription_id")
	case d.GetAttempt() < 1 || d.GetAttempt() > maxAttempt:
		return bad("attempt")
	case d.GetDeferrals() < 0:
		return bad("deferrals")
	case !d.GetFirstQueuedAt().IsValid():
		return bad("first_queued_at")
	}
	return nil
}

// dispatch does what the core says.
func (e *Engine) dispatch(ctx context.Context) {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	var actions []core.Action
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.kick:
		case <-timer.C:
		}
		now := time.Now()
		stuck := e.stuck(now)
		e.mu.Lock()
		e.core.Pause(stuck != nil || e.stopping.Load())
		actions = append(actions[:0], e.core.Next(now)...)
		pause, resume := e.core.Intake()
		wake := e.core.Wake()
		stats := e.core.Stats()
		full := e.core.Full()
		changes := e.core.Changes()
		e.mu.Unlock()

		for _, ch := range changes {
			for _, r := range e.changed(ch, now) {
				e.write(r)
			}
		}
		next := tick
		if stats.Held == 0 {
			// Nothing to look at but the group's health.
			next = e.group.limit / 3
		}
		if !wake.IsZero() {
			next = min(max(wake.Sub(now), time.Millisecond), next)
		}
		timer.Reset(next)
		if len(pause) > 0 {
			e.client.PauseFetchPartitions(map[string][]int32{topic.Deliveries: pause})
		}
		if len(resume) > 0 {
			e.client.ResumeFetchPartitions(map[string][]int32{topic.Deliveries: resume})
		}
		if !full {
			select {
			case e.room <- struct{}{}:
			default:
			}
		}
		e.meter.observe(stats, e.outcomes.Load())
		for _, a := range actions {
			e.do(a)
		}
		clear(actions)
	}
}

// stuck says why nothing may be sent now.
func (e *Engine) stuck(now time.Time) error {
	err := e.group.doubt(now)
	e.tell("sender.group", err)
	if err != nil {
		return err
	}
	if n := e.outcomes.Load(); n > 0 {
		if age, _ := e.acked.since(now); age > maxOutcomeAge {
			err = fmt.Errorf("no outcome acknowledged by Kafka for %s, %d wait", age.Round(time.Second), n)
		}
		if n >= maxOutcomes && err == nil {
			e.tell("sender.outcomes", nil)
			return errBacklog
		}
	}
	e.tell("sender.outcomes", err)
	return err
}

// tell passes on a state of health when it has changed. Only the dispatcher
// calls it.
func (e *Engine) tell(name string, err error) {
	if well, known := e.told[name]; known && well && err == nil {
		return
	}
	e.told[name] = err == nil
	e.health.Set(name, err)
}

var errBacklog = errors.New("as many outcomes wait for Kafka as may")

func (e *Engine) do(a core.Action) {
	if e.forgotten(a.Job) {
		return
	}
	switch a.Kind {
	case core.Post:
		e.hand(a)
	case core.Divert:
		e.settle(a.Job, e.diverted(a, time.Now()))
	case core.End:
		e.settle(a.Job, e.ended(a, time.Now()))
	case core.Park:
		e.settle(a.Job, e.parked(a, time.Now()))
	}
}

// forgotten lets go of a job whose partition was lost since the core spoke of it:
// the next owner does it.
func (e *Engine) forgotten(j *core.Job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !j.Lost() {
		return false
	}
	e.core.Abandoned(j)
	return true
}

// hand gives a request to a worker that is free, or to a new one. Workers stay:
// a goroutine's stack has grown by the time it has made a request.
func (e *Engine) hand(a core.Action) {
	select {
	case e.work <- a:
	default:
		e.workers.Go(func() { e.worker(a) })
	}
}

func (e *Engine) worker(a core.Action) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		e.post(a)
		idle.Reset(workerIdle)
		select {
		case a = <-e.work:
		case <-idle.C:
			return
		case <-e.client.Context().Done():
			return
		}
	}
}

func (e *Engine) post(a core.Action) {
	e.mu.Lock()
	r := e.requests[a.Job.Partition]
	if r == nil || a.Job.Lost() {
		e.core.Abandoned(a.Job)
		e.mu.Unlock()
		e.poke()
		return
	}
	e.mu.Unlock()
	report, err := e.poster.Post(r.ctx, a.Job.Delivery, a.Subscription)
	now := time.Now()
	switch {
	case err == nil:
		if e.keyFault.CompareAndSwap(true, false) {
			e.health.Set("sender.keyset", nil)
		}
	case r.ctx.Err() != nil:
		e.abandon(a.Job)
		return
	default:
		reason := core.ReasonFormatUnknown
		if errors.Is(err, post.ErrKey) {
			reason = core.ReasonKeyMissing
			e.keyFault.Store(true)
			e.health.Set("sender.keyset", err)
		}
		e.logger.Error("delivery.unsent", zap.String("subscription_id", a.Subscription.ID), zap.Error(err))
		e.mu.Lock()
		put := e.core.Unsent(a.Job, a.Subscription, reason, now)
		e.mu.Unlock()
		e.do(put)
		return
	}
	verdict, records := e.attempted(a, report, now)
	e.mu.Lock()
	e.core.Answered(a.Job, a.Subscription, report.Answer, verdict, now)
	e.mu.Unlock()
	e.settle(a.Job, records)
	e.poke()
}

func (e *Engine) abandon(j *core.Job) {
	e.mu.Lock()
	e.core.Abandoned(j)
	e.mu.Unlock()
	e.poke()
}

// settle produces a job's outcome; when all of it is acknowledged the job is
// done. The context never ends: an outcome is not given up.
func (e *Engine) settle(j *core.Job, records []*kgo.Record) {
	if e.outcomes.Add(1) == 1 {
		e.acked.set(time.Now())
	}
	var left atomic.Int32
	left.Store(int32(len(records)))
	for _, r := range records {
		e.client.Produce(e.producing, r, func(_ *kgo.Record, err error) {
			if err != nil {
				if e.producing.Err() == nil && !errors.Is(err, kgo.ErrClientClosed) {
					e.fail(fmt.Errorf("producing an outcome to %s: %w", r.Topic, err))
				}
				return
			}
			if left.Add(-1) > 0 {
				return
			}
			e.acked.set(time.Now())
			waiting := e.outcomes.Add(-1)
			e.mu.Lock()
			e.core.Settled(j)
			e.mu.Unlock()
			e.commits.done()
			if waiting < maxOutcomes {
				e.poke()
			}
		})
	}
}

// write keeps a record that no job waits for.
func (e *Engine) write(r *kgo.Record) {
	e.client.Produce(e.producing, r, func(_ *kgo.Record, err error) {
		if err != nil && e.producing.Err() == nil && !errors.Is(err, kgo.ErrClientClosed) {
			e.fail(fmt.Errorf("producing to %s: %w", r.Topic, err))
		}
	})
}
