package core

import (
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/breaker"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
	"github.com/aftercall/aftercall/services/sender/internal/tracker"
)

// Subscriptions is what is known of aftercall.subscriptions. Offset is
// exclusive: every change below it has been applied.
type Subscriptions interface {
	Get(id string) (*subscription.Subscription, bool)
	Offset() int64
	// Stopped says that somebody ended the retries of a delivery.
	Stopped(deliveryID string) bool
}

// Config sets the limits of a core. Zero values take the defaults.
type Config struct {
	// MaxInFlight bounds the requests under way, 512.
	MaxInFlight int
	// Budget bounds the bytes of unfinished records, 64 MiB.
	Budget int
	// Window bounds the received records above a partition's commit, 131,072.
	Window int
	// MaxRuns bounds the runs of the offset map, tracker.MaxRuns.
	MaxRuns int
	// PartitionOf tells the partition of a key in aftercall.deliveries.
	PartitionOf func(key string) int32
}

const (
	// behindWait is how long a record waits in memory for the subscriptions it
	// was routed with, before it is put off.
	behindWait = time.Second
	// longWait makes a queued record one that waits too long when there is
	// pressure.
	longWait = 5 * time.Second
	// presence is how long an endpoint counts as there after its last record.
	presence = time.Minute
	// fairShare is the part of a shared limit that one may hold while others
	// are there.
	fairShare = 8
)

// Core holds what a sender has taken in. See the package comment.
type Core struct {
	cfg         Config
	subs        Subscriptions
	assignments map[int32]*assignment
	endpoints   map[string]*endpoint
	// ring of endpoints that may have something to send, served in turn.
	ring     []*endpoint
	sleeping []*endpoint
	// undecided are jobs without a subscription's queue: records of an unknown
	// version, to be parked.
	undecided []*Job
	inFlight  int
	replays   int
	bytes     int
	paused    bool
	relieved  time.Time
	// epoch counts assignments and revocations: shares depend on them.
	epoch    int
	counters Counters
	actions  []Action
	changes  []Change
	// nextWake is the earliest of the sleeping, wokenAt the subscriptions offset
	// at the last look.
	nextWake time.Time
	wokenAt  int64
	// looked is when all that wait were last walked past with every slot taken.
	looked time.Time
}

// lookEvery is how often that is done.
const lookEvery = 50 * time.Millisecond

// Counters count since the start.
type Counters struct {
	Duplicates int64
	Diverted   int64
}

// New returns a core without partitions.
func New(cfg Config, subs Subscriptions) *Core {
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 512
	}
	if cfg.Budget == 0 {
		cfg.Budget = 64 << 20
	}
	if cfg.Window == 0 {
		cfg.Window = 131072
	}
	if cfg.MaxRuns == 0 {
		cfg.MaxRuns = tracker.MaxRuns
	}
	return &Core{cfg: cfg, subs: subs, assignments: map[int32]*assignment{}, endpoints: map[string]*endpoint{}}
}

// Assign takes a partition over at its committed offset, with the map of what
// was finished above it.
func (c *Core) Assign(partition int32, committed int64, finished tracker.Map, metadata string) {
	c.assignments[partition] = &assignment{
		partition: partition,
		tracker:   tracker.New(committed, finished),
		active:    map[identity]*Job{},
		committed: Commit{committed, metadata},
		fresh:     true,
	}
	c.epoch++
}

// Admit takes one record in. Records of a partition come in the order of their
// offsets. A nil delivery is a record that this build cannot read.
func (c *Core) Admit(j *Job, now time.Time) {
	a := c.assignments[j.Partition]
	if a == nil || a.revoking {
		return
	}
	if !a.tracker.Receive(j.Offset) {
		return
	}
	j.assignment, j.admitted, j.stage = a, now, queued
	c.bytes += j.Size
	if j.Delivery == nil {
		c.undecided = append(c.undecided, j)
		return
	}
	id := j.identity()
	if first := a.active[id]; first != nil {
		first.copies = append(first.copies, j)
		return
	}
	if a.recent.has(id) {
		c.counters.Duplicates++
		c.finish(j)
		return
	}
	a.active[id] = j
	e := c.endpoint(j.Delivery.GetSubscriptionId())
	j.endpoint, e.lastSeen = e, now
	e.bytes += j.Size
	e.push(j)
	c.ready(e)
}

func (c *Core) endpoint(id string) *endpoint {
	e := c.endpoints[id]
	if e == nil {
		e = &endpoint{id: id, queuedIn: map[int32]int{}}
		c.endpoints[id] = e
	}
	return e
}

// ready puts an endpoint with work into the ring, unless it sleeps.
func (c *Core) ready(e *endpoint) {
	if !e.ready && e.sleepUntil.IsZero() && e.queued() > 0 {
		e.ready = true
		c.ring = append(c.ring, e)
	}
}

func (c *Core) sleep(e *endpoint, until time.Time) {
	e.sleepUntil = until
	c.sleeping = append(c.sleeping, e)
	if c.nextWake.IsZero() || until.Before(c.nextWake) {
		c.nextWake = until
	}
}

// Pause stops Next from starting anything: no outcome could be kept, or the
// group's health is in doubt. What is held stays.
func (c *Core) Pause(paused bool) { c.paused = paused }

// Next says what to do now. The slice is valid until the next call.
func (c *Core) Next(now time.Time) []Action {
	clear(c.actions)
	c.actions = c.actions[:0]
	if c.paused {
		return nil
	}
	for _, j := range c.undecided {
		c.take(j)
		c.act(Action{Kind: Park, Job: j, Reason: "record version unknown"})
	}
	c.undecided = c.undecided[:0]
	c.wake(now)
	c.relieve(now)
	// Who stands in the ring while every slot is taken can get none; what else may
	// be done for it (to end, to put off) is looked for now and then. Otherwise each
	// answer would walk past all that wait.
	look := !now.Before(c.looked.Add(lookEvery))
	for passed := 0; len(c.ring) > 0 && passed < len(c.ring); {
		if c.full() {
			if !look {
				break
			}
			c.looked = now
		}
		e := c.ring[0]
		c.ring[0] = nil
		c.ring = c.ring[1:]
		e.ready = false
		switch {
		case c.serve(e, now):
			passed = 0
		case e.ready:
			passed++
		}
	}
	return c.actions
}

// wake returns sleeping endpoints whose time has come.
func (c *Core) wake(now time.Time) {
	offset := c.subs.Offset()
	if len(c.sleeping) == 0 || now.Before(c.nextWake) && offset == c.wokenAt {
		return
	}
	before := c.wokenAt
	c.wokenAt, c.nextWake = offset, time.Time{}
	kept := c.sleeping[:0]
	for _, e := range c.sleeping {
		// Any change of a subscription may be one of what it sleeps for.
		if now.Before(e.sleepUntil) && offset == before {
			kept = append(kept, e)
			if c.nextWake.IsZero() || e.sleepUntil.Before(c.nextWake) {
				c.nextWake = e.sleepUntil
			}
			continue
		}
		e.sleepUntil = time.Time{}
		c.ready(e)
	}
	clear(c.sleeping[len(kept):])
	c.sleeping = kept
}

// full says whether every slot is taken.
func (c *Core) full() bool { return c.inFlight >= c.cfg.MaxInFlight }

// Wake is when Next has something to do at the latest, zero when only an event
// can bring something.
func (c *Core) Wake() time.Time {
	if c.full() && len(c.ring) > 0 {
		if look := c.looked.Add(lookEvery); c.nextWake.IsZero() || look.Before(c.nextWake) {
			return look
		}
	}
	return c.nextWake
}

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

func (c *Core) act(a Action) { c.actions = append(c.actions, a) }

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
		Announce: j.Delivery.GetWaitReason() != reason,
	})
}

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

// Revoke stops a partition's work that has not begun. It is gone from the core's
// queues; what has begun goes on until Busy says 0.
func (c *Core) Revoke(partition int32) {
	a := c.assignments[partition]
	if a == nil {
		return
	}
	a.revoking = true
	c.epoch++
	drop := func(j *Job) bool { return j.assignment == a }
	for _, e := range c.endpoints {
		for _, lane := range []*fifo{&e.live, &e.replay} {
			for _, j := range lane.remove(lane.len(), drop) {
				e.unqueued(j)
				e.bytes -= j.Size
				c.drop(j)
			}
		}
	}
	kept := c.undecided[:0]
	for _, j := range c.undecided {
		if drop(j) {
			c.drop(j)
		} else {
			kept = append(kept, j)
		}
	}
	c.undecided = kept
}

// drop lets go of a queued job without marking it.
func (c *Core) drop(j *Job) {
	j.stage = finished
	c.bytes -= j.Size
	if j.Delivery != nil {
		delete(j.assignment.active, j.identity())
	}
	for _, dup := range j.copies {
		dup.stage = finished
		c.bytes -= dup.Size
	}
	j.copies = nil
}

// Busy is how many jobs of a partition are posting or settling.
func (c *Core) Busy(partition int32) int {
	if a := c.assignments[partition]; a != nil {
		return a.busy
	}
	return 0
}

// Forget ends an assignment: outcomes that arrive later change nothing.
func (c *Core) Forget(partition int32) {
	a := c.assignments[partition]
	if a == nil {
		return
	}
	if !a.revoking {
		c.Revoke(partition)
	}
	a.lost = true
	delete(c.assignments, partition)
	c.epoch++
}
