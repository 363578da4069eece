package breaker

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func report(t *testing.T, b *Breaker, now time.Time, n int, r Result) Change {
	t.Helper()
	var last Change
	for range n {
		last = b.Report(r, 8, now)
	}
	return last
}

func TestHalfOfTenFailuresOpenIt(t *testing.T) {
	var b Breaker
	report(t, &b, start, 5, Success)
	if report(t, &b, start, 4, Failure) != None || b.Limit(start) != math.MaxInt {
		t.Fatal("opened too early")
	}
	if report(t, &b, start, 1, Failure) != Opened || b.Limit(start) != 0 {
		t.Fatal("not opened")
	}
}

func TestFailuresSpreadOverMinutesDoNotOpenIt(t *testing.T) {
	var b Breaker
	for i := range 100 {
		if b.Report(Failure, 8, start.Add(time.Duration(i)*5*time.Second)) != None {
			t.Fatal("opened")
		}
	}
}

func TestFiveConnectionsInARowOpenIt(t *testing.T) {
	var b Breaker
	report(t, &b, start, 4, NoConnection)
	report(t, &b, start, 1, Success)
	if report(t, &b, start, 4, NoConnection) != None {
		t.Fatal("a success in between did not count")
	}
	if report(t, &b, start, 1, NoConnection) != Opened {
		t.Fatal("not opened")
	}
}

func TestRecordsAtFaultDoNotOpenIt(t *testing.T) {
	var b Breaker
	if report(t, &b, start, 100, Neutral) != None {
		t.Fatal("opened")
	}
}

func TestItStaysOpenTwiceAsLongEachTimeUpToTenMinutes(t *testing.T) {
	var b Breaker
	now := start
	report(t, &b, now, 10, Failure)
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		if got := b.Until().Sub(now); got != want {
			t.Fatalf("open for %v, want %v", got, want)
		}
		if b.Limit(b.Until().Add(-time.Millisecond)) != 0 {
			t.Fatal("let something through")
		}
		now = b.Until()
		if b.Limit(now) != 1 || b.State() != Probing {
			t.Fatal("no single probe")
		}
		b.Report(Failure, 8, now)
	}
}

func TestAfterAProbeItRampsUp(t *testing.T) {
	var b Breaker
	report(t, &b, start, 10, Failure)
	now := b.Until()
	b.Limit(now)
	var limits []int
	for range 100 {
		if b.Report(Success, 8, now) == Recovered {
			break
		}
		if l := b.Limit(now); len(limits) == 0 || limits[len(limits)-1] != l {
			limits = append(limits, l)
		}
	}
	if len(limits) != 3 || limits[0] != 2 || limits[1] != 4 || limits[2] != 8 {
		t.Errorf("limits %v", limits)
	}
	if b.State() != Closed || b.Limit(now) != math.MaxInt {
		t.Errorf("state %v", b.State())
	}
}

func TestAFailureWhileRampingOpensItAgain(t *testing.T) {
	var b Breaker
	report(t, &b, start, 10, Failure)
	now := b.Until()
	b.Limit(now)
	report(t, &b, now, 3, Success)
	if report(t, &b, now, 1, Failure) != Opened || b.Until().Sub(now) != time.Minute {
		t.Errorf("%v until %v", b.State(), b.Until())
	}
}

func TestNoResultEverLetsMoreThroughThanTheStateAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Breaker
		now := start
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20000).Draw(t, "ms")) * time.Millisecond)
			limit := b.Limit(now)
			switch b.State() {
			case Open:
				if limit != 0 || !now.Before(b.Until()) {
					t.Fatalf("open, limit %d", limit)
				}
				continue
			case Probing:
				if limit != 1 {
					t.Fatalf("probing, limit %d", limit)
				}
			case Ramping:
				if limit < 1 || limit > 16 {
					t.Fatalf("ramping, limit %d", limit)
				}
			case Closed:
			}
			b.Report(Result(rapid.IntRange(0, 3).Draw(t, "result")), 8, now)
		}
	})
}

func TestARetryProbesAtOnceAndAFailureStaysOpenTwiceAsLong(t *testing.T) {
	var b Breaker
	b.Retry(start)
	if b.Limit(start) != math.MaxInt {
		t.Fatal("a closed one was touched")
	}
	report(t, &b, start, 10, Failure)
	b.Retry(start.Add(time.Second))
	if b.Limit(start.Add(time.Second)) != 1 {
		t.Fatal("no probe")
	}
	if report(t, &b, start.Add(2*time.Second), 1, Failure) != Opened {
		t.Fatal("the probe failed and it did not open")
	}
	if want := start.Add(2*time.Second + 2*firstOpen); !b.Until().Equal(want) {
		t.Errorf("open until %s, want %s", b.Until(), want)
	}
}
