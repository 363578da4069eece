package core

import (
	"time"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/breaker"
	"github.com/aftercall/aftercall/services/sender/internal/limit"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// endpoint is what the core knows of one subscription: its queues, what it
// holds, and when it last did well.
type endpoint struct {
	id string
	// live calls are served before replays.
	live, replay fifo
	turn         int
	inFlight     int
	// bytes held by jobs queued, posting and settling.
	bytes int
	// queuedIn counts queued jobs by partition.
	queuedIn map[int32]int
	// ready says that it stands in the ring.
	ready bool
	// sleepUntil keeps it out of the ring while its next record must wait, or
	// until a subscription changes.
	sleepUntil time.Time

	// url is where it was last sent to: what is known of the endpoint's health
	// belongs to that.
	url     string
	version int64
	breaker breaker.Breaker
	// told says that others were told that it fails.
	told           bool
	bucket         limit.Bucket
	throttledUntil time.Time

	lastSeen      time.Time
	lastDelivered time.Time
	// goneVersion is the subscription's version that answered 410.
	goneVersion int64
	// share of the subscription's concurrency that this sender may use.
	share      int
	shareOf    int
	shareEpoch int
}

func (e *endpoint) queued() int { return e.live.len() + e.replay.len() }

// replayTurn is how seldom a replay goes before a live call.
const replayTurn = 8

// lane is the queue to serve next.
func (e *endpoint) lane() *fifo {
	switch {
	case e.replay.len() == 0:
		return &e.live
	case e.live.len() == 0, e.turn%replayTurn == replayTurn-1:
		return &e.replay
	}
	return &e.live
}

func (e *endpoint) push(j *Job) {
	if isReplay(j) {
		e.replay.push(j)
	} else {
		e.live.push(j)
	}
	e.queuedIn[j.Partition]++
}

// unqueued notes that a job has left the queues.
func (e *endpoint) unqueued(j *Job) {
	if e.queuedIn[j.Partition]--; e.queuedIn[j.Partition] == 0 {
		delete(e.queuedIn, j.Partition)
	}
}

// oldest is when the longest queued job was admitted.
func (e *endpoint) oldest() (time.Time, bool) {
	l, r := e.live.peek(), e.replay.peek()
	switch {
	case l == nil && r == nil:
		return time.Time{}, false
	case r == nil || l != nil && l.admitted.Before(r.admitted):
		return l.admitted, true
	}
	return r.admitted, true
}

// limit is how many requests may be in flight to the subscription from here. A
// subscription's limit is global: its deliveries are keyed onto shards, and a
// sender uses the part that belongs to the shards it owns.
func (c *Core) limit(e *endpoint, sub *subscription.Subscription) int {
	limit := sub.MaxConcurrency
	if limit <= 0 {
		limit = subscription.DefaultMaxConcurrency
	}
	if e.shareOf == limit && e.shareEpoch == c.epoch {
		return e.share
	}
	shards := record.Shards(limit)
	share := 0
	for i := range shards {
		if _, ours := c.assignments[c.cfg.PartitionOf(record.ShardKeyAt(sub.ID, i))]; ours {
			share += limit / shards
			if i < limit%shards {
				share++
			}
		}
	}
	// A record may stand on a partition that its key no longer maps to, when
	// partitions were added or the limit was changed: it must still go out.
	e.share, e.shareOf, e.shareEpoch = max(share, 1), limit, c.epoch
	return e.share
}

// meet notes where the endpoint is now. A changed URL starts with a clean slate.
// After any other change it is tried at once, whatever it last asked for with
// Retry-After: who edits a subscription that fails, or sends what waits for it, has
// mended something, and what comes now would otherwise be put off for longer than
// before. An endpoint that still wants to be left alone says so again.
func (e *endpoint) meet(sub *subscription.Subscription, now time.Time) {
	if e.url != sub.Endpoint {
		e.url, e.breaker, e.throttledUntil, e.told = sub.Endpoint, breaker.Breaker{}, time.Time{}, false
	} else if e.version != sub.Version {
		e.breaker.Retry(now)
		e.throttledUntil = time.Time{}
	}
	e.version = sub.Version
}

// hold is how long nothing may be sent to the endpoint, and why; 0 when it may.
func (e *endpoint) hold(now time.Time) (time.Duration, string) {
	if now.Before(e.throttledUntil) {
		return e.throttledUntil.Sub(now), ReasonRetryAfter
	}
	if e.breaker.Limit(now) == 0 {
		return e.breaker.Until().Sub(now), ReasonBreaker
	}
	return 0, ""
}

// urgent deliveries go out at once, whatever is known of the endpoint: somebody
// has pressed a button to find out how it does.
func urgent(j *Job) bool {
	cause := j.Delivery.GetCause()
	return cause == aftercallv1.Cause_CAUSE_TEST || cause == aftercallv1.Cause_CAUSE_RESEND
}

// rate is this sender's part of the subscription's rate limit.
func (c *Core) rate(e *endpoint, sub *subscription.Subscription) float64 {
	if sub.RateLimit <= 0 {
		return 0
	}
	share := c.limit(e, sub)
	return sub.RateLimit * float64(share) / float64(max(e.shareOf, 1))
}

// learn takes in what an answer says of the endpoint.
func (c *Core) learn(j *Job, sub *subscription.Subscription, a outcome.Answer, v outcome.Verdict, now time.Time) {
	e := j.endpoint
	if v.StateReason == outcome.ReasonGone {
		e.goneVersion = sub.Version
		c.change(Change{Kind: DisableRequested, Subscription: sub, Reason: outcome.ReasonGone})
	}
	if e.url != sub.Endpoint {
		// It speaks of the URL before the last edit.
		return
	}
	if v.Throttle > 0 {
		if until := now.Add(v.Throttle); until.After(e.throttledUntil) {
			if !now.Before(e.throttledUntil) {
				c.change(Change{Kind: Throttled, Subscription: sub, Reason: ReasonRetryAfter, Until: until})
			}
			e.throttledUntil = until
		}
	}
	switch e.breaker.Report(outcome.Health(a, v), c.limit(e, sub), now) {
	case breaker.Opened:
		// Told once for an outage, and never because of such news itself.
		tell := !e.told && !topic.IsSystem(j.Delivery.GetEventType())
		e.told = e.told || tell
		c.change(Change{Kind: BreakerOpened, Subscription: sub, Reason: a.Error, Until: e.breaker.Until(), Tell: tell, Answer: a})
	case breaker.Recovered:
		c.change(Change{Kind: BreakerClosed, Subscription: sub, Tell: e.told})
		e.told = false
	case breaker.None:
	}
}

// Change is a change of an endpoint's state, to be written down.
type Change struct {
	Kind         aftercallv1.EndpointChange_Kind
	Subscription *subscription.Subscription
	Reason       string
	Until        time.Time
	// Tell asks for a system event beside it. Answer is what opened the breaker.
	Tell   bool
	Answer outcome.Answer
}

// Kinds of change.
const (
	BreakerOpened    = aftercallv1.EndpointChange_KIND_BREAKER_OPENED
	BreakerClosed    = aftercallv1.EndpointChange_KIND_BREAKER_CLOSED
	Throttled        = aftercallv1.EndpointChange_KIND_THROTTLED
	DisableRequested = aftercallv1.EndpointChange_KIND_DISABLE_REQUESTED
)

func (c *Core) change(ch Change) { c.changes = append(c.changes, ch) }

// Changes returns the changes since the last call.
func (c *Core) Changes() []Change {
	out := c.changes
	c.changes = nil
	return out
}
