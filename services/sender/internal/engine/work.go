package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender/internal/core"
	"github.com/aftercall/aftercall/services/sender/internal/post"
)

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
		e.produce(r, func() {
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
func (e *Engine) write(r *kgo.Record) { e.produce(r, func() {}) }

// produce calls kept when a record is acknowledged. The client itself outlasts all
// that passes, but not a token that has expired and is renewed too late; an error
// that stays ends the engine.
func (e *Engine) produce(r *kgo.Record, kept func()) {
	e.client.Produce(e.producing, r, func(_ *kgo.Record, err error) {
		switch {
		case err == nil:
			kept()
		case e.producing.Err() != nil, errors.Is(err, kgo.ErrClientClosed):
		case e.cfg.Kafka.TokenRefused(err):
			time.AfterFunc(kafka.AskAgain, func() { e.produce(r, kept) })
		default:
			e.fail(fmt.Errorf("producing to %s: %w", r.Topic, kafka.Explained(err)))
		}
	})
}
