// Package limit paces deliveries to one subscription: a token bucket whose rate
// is told at each use, since a subscription may be edited at any time and a
// sender's share of it changes with its partitions. Pure, with the time told to
// it; over any span of n seconds no more than rate × (n + slack) + 1 get
// through.
package limit

import "time"

// slack makes up for a clock that is looked at a little late, so that a high
// rate is reached in spite of it. It is all the burst there is.
const slack = 50 * time.Millisecond

// Bucket is one subscription's. The zero value is full.
type Bucket struct {
	// free is when the next one may go.
	free time.Time
}

// Take lets one through at the rate (per second) and says true, or false and
// when the next one may go. A rate of 0 or less lets everything through.
func (b *Bucket) Take(rate float64, now time.Time) (time.Time, bool) {
	if rate <= 0 {
		return time.Time{}, true
	}
	// The rate may have been raised since.
	if latest := now.Add(every(rate)); b.free.After(latest) {
		b.free = latest
	}
	if now.Before(b.free) {
		return b.free, false
	}
	b.free = later(b.free, now.Add(-slack)).Add(every(rate))
	return time.Time{}, true
}

// Wait is how long the n-th from now (0 for the next) has to wait.
func (b *Bucket) Wait(rate float64, n int, now time.Time) time.Duration {
	if rate <= 0 {
		return 0
	}
	return max(b.free.Sub(now), 0) + time.Duration(n)*every(rate)
}

func every(rate float64) time.Duration {
	return time.Duration(min(float64(time.Second)/rate, float64(24*time.Hour)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
