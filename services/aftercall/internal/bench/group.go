package bench

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// group counts what came to its endpoints.
type group struct {
	now                                            atomic.Pointer[conduct]
	requests, answered, replayed, repeated, opened atomic.Int64
	held, peak                                     atomic.Int64

	mu sync.Mutex
	// first are how many were held with each of the first requests since the
	// behaviour changed.
	first []int64
	// since and seconds begin anew with forget.
	since   time.Time
	seconds []second
}

// firstFew is how many requests First tells of.
const firstFew = 48

// groupFigures are a group's: all since its start, but for Latency and Seconds,
// which begin anew with forget, and Peak and First, which do when the behaviour
// changes.
type groupFigures struct {
	// Requests came, Answered of them got a 2xx, Repeated of these were not the
	// first of their webhook-id at that endpoint. Replayed got a 2xx too and are
	// counted apart.
	Requests, Answered, Repeated, Replayed int64
	// Opened connections.
	Opened int64
	// Held requests now, and at most.
	Held, Peak int64
	First      []int64
	Latency    Latency
	Seconds    []second
}

// second is what happened within one.
type second struct {
	Answered int64
	P99      time.Duration
	Ages     []time.Duration `json:",omitempty"`
}

// Latency is what the receiver saw of CDRs that say when they were produced.
type Latency struct {
	Count    int
	P50, P99 time.Duration
	// Typical is the median of the seconds' p99: one stall of a disk or of the
	// machine does not decide it, what goes on all the time does.
	Typical time.Duration
}

// conduct is a behaviour until it changes.
type conduct struct {
	behaviour
	// over is closed when it changes: who still waits for an answer is cut off.
	over chan struct{}
}

func (g *group) behave(b behaviour) {
	if before := g.now.Swap(&conduct{b, make(chan struct{})}); before != nil {
		close(before.over)
	}
	g.mu.Lock()
	g.first = nil
	g.mu.Unlock()
	g.peak.Store(g.held.Load())
}

func (g *group) began() {
	g.requests.Add(1)
	held := g.held.Add(1)
	for peak := g.peak.Load(); held > peak && !g.peak.CompareAndSwap(peak, held); peak = g.peak.Load() {
	}
	g.mu.Lock()
	if len(g.first) < firstFew {
		g.first = append(g.first, held)
	}
	g.mu.Unlock()
}

// ended frees the request's place before the answer goes out: who sees the answer
// may send the next one.
func (g *group) ended(count *atomic.Int64) {
	g.held.Add(-1)
	if count == nil {
		return
	}
	count.Add(1)
	g.mu.Lock()
	if s := g.second(); s != nil {
		s.Answered++
	}
	g.mu.Unlock()
}

// maxSeconds bounds what is kept of each second.
const maxSeconds = 600

// second is the one that it is now, nil before the first forget.
func (g *group) second() *second {
	if g.since.IsZero() {
		return nil
	}
	i := int(time.Since(g.since) / time.Second)
	if i >= maxSeconds {
		return nil
	}
	for len(g.seconds) <= i {
		g.seconds = append(g.seconds, second{})
	}
	return &g.seconds[i]
}

// note keeps how old a CDR is that says when it was produced.
func (g *group) note(body []byte) {
	_, rest, found := bytes.Cut(body, []byte(sentAt))
	end := bytes.IndexByte(rest, ',')
	if !found || end < 1 || rest[0] == '0' {
		return
	}
	micros, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return
	}
	age := time.Since(time.UnixMicro(micros))
	g.mu.Lock()
	if s := g.second(); s != nil {
		s.Ages = append(s.Ages, age)
	}
	g.mu.Unlock()
}

func (g *group) forget() {
	g.mu.Lock()
	g.seconds, g.since = nil, time.Now()
	g.mu.Unlock()
}

// read answers the counts, and the rest when asked for all.
func (g *group) read(whole bool) groupFigures {
	f := groupFigures{
		Requests: g.requests.Load(), Answered: g.answered.Load(), Repeated: g.repeated.Load(), Replayed: g.replayed.Load(), Opened: g.opened.Load(),
		Held: g.held.Load(), Peak: g.peak.Load(),
	}
	if !whole {
		return f
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	f.Seconds, f.First = slices.Clone(g.seconds), slices.Clone(g.first)
	for i := range f.Seconds {
		f.Seconds[i].Ages = slices.Clone(f.Seconds[i].Ages)
	}
	f.Latency = latencyOf(f.Seconds)
	return f
}

// latencyOf sums seconds up, and notes the p99 of each.
func latencyOf(seconds []second) Latency {
	var all, p99s []time.Duration
	for i := range seconds {
		ages := seconds[i].Ages
		all = append(all, ages...)
		if seconds[i].P99 = percentile(ages, 99); len(ages) >= enough {
			p99s = append(p99s, seconds[i].P99)
		}
	}
	return Latency{Count: len(all), P50: percentile(all, 50), P99: percentile(all, 99), Typical: percentile(p99s, 50)}
}

// enough ages of a second to speak of its p99.
const enough = 100

// percentile sorts what it is given; 0 of nothing.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)*p/100, len(all)-1)]
}

func cpuTime(who int) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
