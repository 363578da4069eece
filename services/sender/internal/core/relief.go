package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// relieve puts jobs off before a limit would stop the intake for all. It acts
// only under pressure, that is, at half of a limit, and only on endpoints that
// hold more than their fair share of what is short, or whose records wait long,
// while others are there; or on one that gets nothing delivered at all.
func (c *Core) relieve(now time.Time) {
	if now.Sub(c.relieved) < reliefEvery || c.bytes <= c.cfg.Budget/2 && !c.anyPressed() {
		return
	}
	c.relieved = now
	others := c.present(now) > 1
	type candidate struct {
		e     *endpoint
		since time.Time
	}
	var waiting []candidate
	for _, e := range c.endpoints {
		if since, ok := e.oldest(); ok {
			waiting = append(waiting, candidate{e, since})
		}
	}
	// The one that has waited longest is the one in trouble.
	slices.SortFunc(waiting, func(a, b candidate) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.e.id, b.e.id))
	})
	for _, w := range waiting {
		e := w.e
		stalled := now.Sub(w.since) >= longWait && now.Sub(e.lastDelivered) >= longWait
		if !others && !stalled {
			continue
		}
		if c.bytes > c.cfg.Budget/2 {
			over := e.bytes - c.cfg.Budget/fairShare
			c.putOff(e, now, func(j *Job) bool {
				if over > 0 {
					over -= j.Size
					return true
				}
				return now.Sub(j.admitted) >= longWait
			})
		}
		for _, p := range slices.Sorted(maps.Keys(c.assignments)) {
			a := c.assignments[p]
			if !c.partitionPressed(a) {
				continue
			}
			overRuns, overWindow := 0, 0
			if a.tracker.Runs() > c.cfg.MaxRuns/2 {
				overRuns = e.queuedIn[p] - c.cfg.MaxRuns/fairShare
			}
			if a.tracker.Window() > c.cfg.Window/2 {
				overWindow = e.queuedIn[p] - c.cfg.Window/fairShare
			}
			over := max(overRuns, overWindow)
			c.putOff(e, now, func(j *Job) bool {
				if j.Partition != p {
					return false
				}
				if over > 0 {
					over--
					return true
				}
				return now.Sub(j.admitted) >= longWait
			})
		}
	}
}

// thin puts off what a rate limit would keep waiting for long, each for as long
// as its place in the queue asks, and says whether there was anything.
func (c *Core) thin(e *endpoint, sub *subscription.Subscription, rate float64, now time.Time) bool {
	keep := int(rate*longWait.Seconds()) + 1
	did := false
	for e.queued() > keep {
		lane := &e.replay
		if lane.len() == 0 {
			lane = &e.live
		}
		j := lane.popLast()
		e.unqueued(j)
		c.divert(j, sub, e.bucket.Wait(rate, e.queued(), now), ReasonRate, now)
		did = true
	}
	return did
}

// reliefStep bounds how many jobs one call puts off, so that the lock is never
// held for long and the pressure is looked at again.
const reliefStep = 1024

// reliefEvery spaces the looks at all endpoints.
const reliefEvery = 20 * time.Millisecond

func (c *Core) putOff(e *endpoint, now time.Time, over func(*Job) bool) {
	sub, _ := c.subs.Get(e.id)
	for _, lane := range []*fifo{&e.replay, &e.live} {
		for _, j := range lane.remove(reliefStep, over) {
			e.unqueued(j)
			c.divert(j, sub, 0, ReasonQueueFull, now)
		}
	}
}

func (c *Core) anyPressed() bool {
	for _, a := range c.assignments {
		if c.partitionPressed(a) {
			return true
		}
	}
	return false
}

func (c *Core) partitionPressed(a *assignment) bool {
	return a.tracker.Window() > c.cfg.Window/2 || a.tracker.Runs() > c.cfg.MaxRuns/2
}

// present counts the endpoints that hold something or did lately.
func (c *Core) present(now time.Time) int {
	n := 0
	for _, e := range c.endpoints {
		if e.bytes > 0 || now.Sub(e.lastSeen) < presence {
			n++
		}
	}
	return n
}
