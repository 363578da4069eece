// Package breaker stops sending to an endpoint that does not work, and finds
// out gently when it does again.
//
//	          ≥ 50 % of the last 20 failed (≥ 10 within 30 s),
//	          or 5 connections in a row failed
//	closed ────────────────────────────────────────────────→ open
//	  ↑  ↑                                                    │ 30 s, doubling to 10 min
//	  │  └─────────── limit reaches the full concurrency      ↓
//	  │                                                     probing: one request
//	  │                 ok: limit 1, 2, 4 …                   │
//	  └────────────── ramping ←───────────────────────────────┘
//	                     └── a failure ──→ open again, twice as long
//
// Somebody who has just mended something need not wait for the 30 s: Retry lets
// the probe go at once.
//
// It is one sender's view of one subscription, pure, with the time told to it.
// It guarantees that an open breaker lets nothing through, and a probing one a
// single request.
package breaker

import (
	"math"
	"time"
)

// Limits of the breaker.
const (
	sample      = 20
	sampleAge   = 30 * time.Second
	minSample   = 10
	connectRow  = 5
	firstOpen   = 30 * time.Second
	longestOpen = 10 * time.Minute
)

// Result of one attempt, as far as it speaks of the endpoint's health.
type Result uint8

const (
	// Success is a 2xx.
	Success Result = iota
	// Neutral blames the record, not the endpoint: most 4xx.
	Neutral
	// Failure is a 5xx, 408, 429, 401, 403, 404, a time-out, a reset.
	Failure
	// NoConnection is a failure to look up, connect or shake hands.
	NoConnection
)

// State of a breaker.
type State uint8

// States, see the package comment.
const (
	Closed State = iota
	Open
	Probing
	Ramping
)

func (s State) String() string {
	return [...]string{"closed", "open", "probing", "ramping"}[s]
}

// Breaker is one endpoint's. The zero value is closed.
type Breaker struct {
	state State
	until time.Time
	open  time.Duration
	// ring of the last attempts.
	ring [sample]struct {
		at     time.Time
		failed bool
	}
	seen, row int
	// limit while ramping, and the successes since it was last raised.
	limit, successes int
}

// Change tells that a breaker has just opened or closed.
type Change uint8

// Changes.
const (
	None Change = iota
	Opened
	Recovered
)

// State is where the breaker stands.
func (b *Breaker) State() State { return b.state }

// Until is when an open breaker lets a probe through.
func (b *Breaker) Until() time.Time { return b.until }

// Retry lets an open breaker probe now. How long it stays open if that fails does
// not begin anew.
func (b *Breaker) Retry(now time.Time) {
	if b.state == Open && now.Before(b.until) {
		b.until = now
	}
}

// Limit is how many requests may be under way now: 0 while open, 1 while
// probing, no limit of its own when closed.
func (b *Breaker) Limit(now time.Time) int {
	switch b.state {
	case Open:
		if now.Before(b.until) {
			return 0
		}
		b.state = Probing
		return 1
	case Probing:
		return 1
	case Ramping:
		return b.limit
	}
	return math.MaxInt
}

// Report takes the result of an attempt in. full is the concurrency at which
// ramping is over.
func (b *Breaker) Report(r Result, full int, now time.Time) Change {
	failed := r == Failure || r == NoConnection
	switch b.state {
	case Open:
		// One that was under way when the others failed.
		return None
	case Probing, Ramping:
		switch {
		case failed:
			b.trip(now)
			return Opened
		case b.state == Probing:
			b.state, b.limit, b.successes = Ramping, 1, 0
		}
		b.successes++
		if b.successes >= b.limit {
			b.limit, b.successes = b.limit*2, 0
		}
		if b.limit > full {
			*b = Breaker{}
			return Recovered
		}
		return None
	}
	b.ring[b.seen%sample].at, b.ring[b.seen%sample].failed = now, failed
	b.seen++
	if r == NoConnection {
		b.row++
	} else {
		b.row = 0
	}
	if b.row >= connectRow || failed && b.failing(now) {
		b.trip(now)
		return Opened
	}
	return None
}

func (b *Breaker) failing(now time.Time) bool {
	recent, failed := 0, 0
	for i := range min(b.seen, sample) {
		if now.Sub(b.ring[i].at) <= sampleAge {
			recent++
			if b.ring[i].failed {
				failed++
			}
		}
	}
	return recent >= minSample && failed*2 >= recent
}

func (b *Breaker) trip(now time.Time) {
	open := min(max(b.open*2, firstOpen), longestOpen)
	*b = Breaker{state: Open, open: open, until: now.Add(open)}
}
