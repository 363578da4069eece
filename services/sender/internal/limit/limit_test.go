package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func TestNoSpanGetsMoreThanItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.01, 2000).Draw(t, "rate")
		var b Bucket
		now := start
		var taken []time.Time
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			if _, ok := b.Take(rate, now); ok {
				taken = append(taken, now)
			} else if next, _ := b.Take(rate, now); !next.After(now) {
				t.Fatalf("refused at %v, but free at %v", now, next)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second/time.Duration(max(rate, 1)))).Draw(t, "step")))
		}
		for i := range taken {
			for j := i + 1; j < len(taken); j++ {
				if n, most := float64(j-i+1), rate*(taken[j].Sub(taken[i])+slack).Seconds()+1.001; n > most {
					t.Fatalf("%v within %v at %v/s", n, taken[j].Sub(taken[i]), rate)
				}
			}
		}
	})
}

func TestAnIdleBucketGivesNoBurst(t *testing.T) {
	var b Bucket
	b.Take(1, start)
	now := start.Add(time.Hour)
	if _, ok := b.Take(1, now); !ok {
		t.Fatal("refused")
	}
	if next, ok := b.Take(1, now); ok || next.Sub(now) > time.Second {
		t.Fatalf("%v, %v", next.Sub(now), ok)
	}
}

func TestTheWaitGrowsWithThePlaceInTheQueue(t *testing.T) {
	var b Bucket
	b.Take(2, start)
	if got := b.Wait(2, 9, start); got != 5*time.Second-slack {
		t.Errorf("%v", got)
	}
	if got := b.Wait(0, 9, start); got != 0 {
		t.Errorf("%v without a rate", got)
	}
}
