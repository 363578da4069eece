package core

import (
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// serve does one thing for an endpoint and says whether it did. The endpoint is
// back in the ring if it may have more to do.
func (c *Core) serve(e *endpoint, now time.Time) bool {
	lane := e.lane()
	if lane == &e.replay && c.replays >= c.share() && e.live.len() > 0 {
		// Replays have all the slots they may have: live calls do not wait for them.
		lane = &e.live
	}
	j := lane.peek()
	if j == nil {
		return false
	}
	d := j.Delivery
	if c.subs.Offset() < d.GetSubscriptionsOffset() {
		if until := j.admitted.Add(behindWait); now.Before(until) {
			c.sleep(e, until)
			return false
		}
		c.pop(e, lane)
		c.divert(j, nil, 0, ReasonSubscriptionUnknown, now)
		return true
	}
	sub, ok := c.subs.Get(d.GetSubscriptionId())
	if !ok {
		c.pop(e, lane)
		c.end(j, nil, outcome.ReasonDeleted, outcome.StateStopped)
		return true
	}
	progress := progressOf(d, sub)
	switch firstQueued := progress.FirstQueued; {
	case !sub.Active:
		c.pop(e, lane)
		c.end(j, sub, outcome.ReasonInactive, outcome.StateStopped)
		return true
	case e.goneVersion == sub.Version:
		c.pop(e, lane)
		c.end(j, sub, outcome.ReasonGone, outcome.StateStopped)
		return true
	case c.subs.Stopped(d.GetDeliveryId()):
		c.pop(e, lane)
		c.end(j, sub, outcome.ReasonStopped, outcome.StateStopped)
		return true
	case firstQueued.Before(sub.DiscardBefore):
		c.pop(e, lane)
		c.end(j, sub, outcome.ReasonDiscarded, outcome.StateStopped)
		return true
	case outcome.Expired(progress, now):
		c.pop(e, lane)
		c.end(j, sub, outcome.ReasonExpired, outcome.StateGivenUp)
		return true
	case now.Before(sub.PausedUntil):
		c.pop(e, lane)
		c.divert(j, sub, sub.PausedUntil.Sub(now), ReasonPaused, now)
		return true
	}
	e.meet(sub, now)
	may := c.limit(e, sub)
	if !urgent(j) {
		if hold, reason := e.hold(now); hold > 0 {
			c.pop(e, lane)
			c.divert(j, sub, hold, reason, now)
			return true
		}
		may = min(may, e.breaker.Limit(now))
	}
	if e.inFlight >= may {
		// Back into the ring when one of its requests is over.
		return false
	}
	if !c.slotFor(e, isReplay(j)) {
		c.ready(e)
		return false
	}
	if rate := c.rate(e, sub); rate > 0 {
		if next, ok := e.bucket.Take(rate, now); !ok {
			c.sleep(e, next)
			return c.thin(e, sub, rate, now)
		}
	}
	c.pop(e, lane)
	c.take(j)
	j.stage = posting
	e.inFlight++
	c.inFlight++
	if isReplay(j) {
		c.replays++
	}
	c.act(Action{Kind: Post, Job: j, Subscription: sub, Progress: progress})
	return true
}

// slotFor says whether an endpoint may take one of the sender's slots. It never
// holds more than twice what it leaves free: a hole that fills up in a quiet
// moment leaves room for whoever comes next, and so does the second hole, and the
// third (a dynamic threshold, as switches share their buffers). Beyond its fair
// share it waits for all that stand in the ring.
func (c *Core) slotFor(e *endpoint, replay bool) bool {
	free, share := c.cfg.MaxInFlight-c.inFlight, c.share()
	if e.inFlight >= 2*free || replay && c.replays >= share {
		return false
	}
	return e.inFlight < share || len(c.ring) == 0
}

// share is the fair share of the slots.
func (c *Core) share() int { return max(c.cfg.MaxInFlight/fairShare, 1) }

func isReplay(j *Job) bool { return j.Delivery.GetCause() == aftercallv1.Cause_CAUSE_REPLAY }

func progressOf(d *aftercallv1.Delivery, sub *subscription.Subscription) outcome.Progress {
	p := outcome.Progress{
		Attempt:     int(d.GetAttempt()),
		SingleTry:   d.GetSingleTry(),
		FirstQueued: d.GetFirstQueuedAt().AsTime(),
	}
	name := subscription.DefaultSchedule
	if sub != nil && sub.Schedule != "" {
		name = sub.Schedule
	}
	s, ok := webhook.ScheduleByName(name)
	if !ok {
		s, _ = webhook.ScheduleByName(subscription.DefaultSchedule)
	}
	p.Schedule = s
	return p
}

// pop takes the lane's head out and keeps the endpoint in the ring.
func (c *Core) pop(e *endpoint, lane *fifo) {
	e.unqueued(lane.pop())
	e.turn++
	c.ready(e)
}

// take marks a job as being worked on.
func (c *Core) take(j *Job) {
	j.stage = settling
	j.assignment.busy++
}

// end finishes a job without a request.
func (c *Core) end(j *Job, sub *subscription.Subscription, reason string, state aftercallv1.DeliveryState) {
	c.take(j)
	c.act(Action{Kind: End, Job: j, Subscription: sub, Progress: progressOf(j.Delivery, sub), Reason: reason, State: state})
}

// divert puts a job off to a delay topic, or ends it when its age leaves no time
// for that.
func (c *Core) divert(j *Job, sub *subscription.Subscription, hold time.Duration, reason string, now time.Time) {
	p := progressOf(j.Delivery, sub)
	var tier topic.Tier
	var ok bool
	switch reason {
	case ReasonRate:
		tier, ok = outcome.Paced(hold, p, now)
	case ReasonRetryAfter:
		// The endpoint has said when: waiting longer each time would be to starve.
		tier, ok = outcome.Deferral(hold, 0, p, now)
	default:
		tier, ok = outcome.Deferral(hold, int(j.Delivery.GetDeferrals()), p, now)
	}
	if !ok {
		c.end(j, sub, outcome.ReasonExpired, outcome.StateGivenUp)
		return
	}
	c.take(j)
	c.counters.Diverted++
	c.act(Action{
		Kind: Divert, Job: j, Subscription: sub, Progress: p, Reason: reason, Tier: tier,
		Announce: j.Delivery.GetWaitReason() != reason || news(j.Delivery.GetDeferrals()+1),
	})
}

// news says whether the nth deferral in a row is to be written down although its
// reason is not new. The first ones, since each waits longer than the one before, so
// that history says when a delivery is due; of those that follow, all in the longest
// delay topic, ever fewer: of a delivery that is put off for days there shall be a
// dozen, not hundreds.
func news(n int32) bool { return n <= outcome.LongestDeferral+1 || n&(n-1) == 0 }
