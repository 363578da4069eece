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
