package core

import (
	"github.com/aftercall/aftercall/services/sender/internal/tracker"
)

// assignment is one partition for as long as it is ours.
type assignment struct {
	partition int32
	tracker   *tracker.Tracker
	// revoking stops new work; lost makes every late outcome void.
	revoking bool
	lost     bool
	// active holds every unfinished job by its identity, recent what was
	// finished lately: both catch copies.
	active map[identity]*Job
	recent recent
	// busy counts jobs posting or settling.
	busy int
	// committed is what the last successful commit said.
	committed Commit
	// paused is what the shell was last told. fresh says that it was told nothing
	// yet: its client may still pause the partition for an assignment before.
	paused bool
	fresh  bool
}

// recentSize is how many finished tries a partition remembers.
const recentSize = 32768

// recent remembers the last identities entered.
type recent struct {
	set  map[identity]struct{}
	ring []identity
	next int
}

func (r *recent) has(id identity) bool {
	_, ok := r.set[id]
	return ok
}

func (r *recent) add(id identity) {
	if r.set == nil {
		r.set = make(map[identity]struct{})
	}
	if _, ok := r.set[id]; ok {
		return
	}
	if len(r.ring) < recentSize {
		r.ring = append(r.ring, id)
	} else {
		delete(r.set, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % recentSize
	}
	r.set[id] = struct{}{}
}

// Commit is what may be committed for a partition.
type Commit struct {
	Offset   int64
	Metadata string
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
