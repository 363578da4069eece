package bench

import (
	"context"
	"time"
)

// Stretch is what the endpoints that are watched saw of a stretch of time with a
// steady offer.
type Stretch struct {
	// Offered deliveries, and how many of them had been answered one second after
	// the offer ended.
	Offered, InTime int64
	// Repeated requests, and opened connections.
	Repeated, Opened int64
	Latency          Latency
	// Memory of this process at the beginning, the most, and at the end, in bytes.
	MemoryFrom, MemoryMost, MemoryTo int64
	Seconds                          []second
}

// Kept is the part of the offered rate that was kept.
func (s *Stretch) Kept() float64 { return float64(s.InTime) / float64(max(s.Offered, 1)) }

// Beside compares a stretch alone with one beside something that might disturb.
type Beside struct {
	Name string
	// What disturbs.
	What          string
	Alone, Beside Stretch
	// Done is what the disturber did within the stretch: requests that its
	// endpoints got.
	Done int64
	// Opened connections at the disturbing endpoints.
	Opened int64
	// P99 is how many times as long the 99th percentile was, Typical the same of
	// the median second.
	P99, Typical float64
}

// add goes on with a stretch after an interruption.
func (s *Stretch) add(more Stretch) {
	if s.Offered == 0 {
		*s = more
		return
	}
	s.Offered, s.InTime = s.Offered+more.Offered, s.InTime+more.InTime
	s.Repeated, s.Opened = s.Repeated+more.Repeated, s.Opened+more.Opened
	s.MemoryMost, s.MemoryTo = max(s.MemoryMost, more.MemoryMost), more.MemoryTo
	s.Seconds = append(s.Seconds, more.Seconds...)
	s.Latency = latencyOf(s.Seconds)
}

func (b *Beside) compare() {
	ratio := func(of func(Latency) time.Duration) float64 {
		return float64(of(b.Beside.Latency)) / float64(max(of(b.Alone.Latency), 1))
	}
	b.P99 = ratio(func(l Latency) time.Duration { return l.P99 })
	b.Typical = ratio(func(l Latency) time.Duration { return l.Typical })
	for _, seconds := range [][]second{b.Alone.Seconds, b.Beside.Seconds} {
		for i := range seconds {
			seconds[i].Ages = nil // they have served
		}
	}
}

// steady is an offer of CDRs at a rate, each of which all endpoints of a group
// want.
type steady struct {
	rate, seconds int
	payload       payload
	group         string
	endpoints     int
	// settle is how long it goes on before it is measured.
	settle time.Duration
}

const (
	settle = 3 * time.Second
	// grace is how long after the end of an offer a delivery is still in time.
	grace = time.Second
)

// measure makes the offer and answers what the group saw of it, once all has
// arrived.
func (s steady) measure(ctx context.Context, p *pipeline, r *receiver) (Stretch, error) {
	var out Stretch
	before, err := r.count(s.group)
	if err != nil {
		return out, err
	}
	warm := int(float64(s.rate) * s.settle.Seconds())
	begun := false
	var failed error
	n, err := p.offer(ctx, s.payload, s.rate, func(n int) bool {
		if n >= warm && !begun {
			begun = true
			out.MemoryFrom = resident()
			failed = r.forget()
		}
		if n%16 == 0 {
			out.MemoryMost = max(out.MemoryMost, resident())
		}
		return n < warm+s.rate*s.seconds && failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return out, err
	}
	out.MemoryTo = resident()
	ended := time.Now()
	all := before.Answered - before.Repeated + int64(n*s.endpoints)
	out.Offered = int64((n - warm) * s.endpoints)
	if err := p.until(ctx, "deliveries in time", 10*time.Millisecond, func() (bool, int64, error) {
		now, err := r.count(s.group)
		missing := max(all-(now.Answered-now.Repeated), 0)
		out.InTime = max(out.Offered-missing, 0)
		return missing == 0 || time.Since(ended) >= grace, missing, err
	}); err != nil {
		return out, err
	}
	if err := p.arrived(ctx, r, s.group, all); err != nil {
		return out, err
	}
	f, err := r.read()
	if err != nil {
		return out, err
	}
	g := f.Groups[s.group]
	out.Seconds = g.Seconds
	out.Latency, out.Repeated, out.Opened = g.Latency, g.Repeated-before.Repeated, g.Opened-before.Opened
	return out, nil
}
