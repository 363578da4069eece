package core

import (
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/sender/internal/breaker"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// Answered frees the place of a posted job. Its outcome is now to be produced,
// and Settled called when that is acknowledged.
func (c *Core) Answered(j *Job, sub *subscription.Subscription, a outcome.Answer, v outcome.Verdict, now time.Time) {
	if v.State == outcome.StateDelivered {
		j.endpoint.lastDelivered = now
	}
	c.learn(j, sub, a, v, now)
	c.free(j)
	j.stage = settling
}

// Unsent frees the place of a posted job for which no request could be made for
// a reason of ours, and says how to put it off.
func (c *Core) Unsent(j *Job, sub *subscription.Subscription, reason string, now time.Time) Action {
	c.free(j)
	j.assignment.busy--
	before := len(c.actions)
	c.divert(j, sub, unsentHold, reason, now)
	a := c.actions[before]
	c.actions = c.actions[:before]
	return a
}

// unsentHold is how long a delivery waits that we could not even try.
const unsentHold = 30 * time.Second

// Abandoned frees the place of a posted job whose request was cut short because
// its partition is lost. It has no outcome.
func (c *Core) Abandoned(j *Job) {
	c.free(j)
	for _, dup := range j.copies {
		dup.stage = finished
		c.bytes -= dup.Size
	}
	c.release(j)
}

func (c *Core) free(j *Job) {
	if j.stage != posting {
		return
	}
	e := j.endpoint
	e.inFlight--
	c.inFlight--
	if isReplay(j) {
		c.replays--
	}
	c.ready(e)
}

// Settled finishes a job: its outcome is acknowledged.
func (c *Core) Settled(j *Job) {
	a := j.assignment
	if j.stage == finished {
		return
	}
	if j.Delivery != nil && !a.lost {
		a.recent.add(j.identity())
	}
	for _, dup := range j.copies {
		c.counters.Duplicates++
		c.finish(dup)
	}
	c.release(j)
	if !a.lost {
		a.tracker.Done(j.Offset)
	}
}

// finish marks a job done that was never worked on.
func (c *Core) finish(j *Job) {
	j.stage = finished
	c.bytes -= j.Size
	if !j.assignment.lost {
		j.assignment.tracker.Done(j.Offset)
	}
}

// release lets go of a job that was worked on, and of what it holds.
func (c *Core) release(j *Job) {
	a := j.assignment
	a.busy--
	j.stage = finished
	c.bytes -= j.Size
	if j.Delivery != nil {
		delete(a.active, j.identity())
		j.endpoint.bytes -= j.Size
		c.forget(j.endpoint)
	}
	j.copies = nil
}

// forget drops an endpoint that holds nothing, after a while.
func (c *Core) forget(e *endpoint) {
	if e.bytes == 0 && e.inFlight == 0 && e.queued() == 0 && len(c.endpoints) > 1000 && c.idle(e) {
		delete(c.endpoints, e.id)
	}
}

// idle says that nothing of an endpoint is worth remembering.
func (c *Core) idle(e *endpoint) bool {
	return !e.ready && e.sleepUntil.IsZero() && e.goneVersion == 0 && e.breaker == breaker.Breaker{} && e.throttledUntil.IsZero()
}
