package webhook

import (
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
)

func TestThe72hScheduleHas13AttemptsOverAbout69Hours(t *testing.T) {
	s, ok := ScheduleByName("72h")
	if !ok || s.Attempts() != 13 || s.MaxAge != 72*time.Hour {
		t.Fatalf("%+v", s)
	}
	var total time.Duration
	for attempt := 1; attempt < s.Attempts(); attempt++ {
		d, ok := s.Delay(attempt)
		if !ok {
			t.Fatalf("attempt %d is the last", attempt)
		}
		total += d
	}
	if total != 68*time.Hour+42*time.Minute+35*time.Second {
		t.Errorf("%s in all", total)
	}
	if _, ok := s.Delay(13); ok {
		t.Error("there is a 14th attempt")
	}
	// Even when each attempt runs into the longest time-out.
	if worst := total + 13*48*time.Second; worst > s.MaxAge {
		t.Errorf("the last attempt can be too old: %s", worst)
	}
}

func TestTheShortSchedules(t *testing.T) {
	once, _ := ScheduleByName("once")
	hour, _ := ScheduleByName("1h")
	if once.Attempts() != 1 || hour.Attempts() != 6 {
		t.Errorf("%d and %d attempts", once.Attempts(), hour.Attempts())
	}
	for _, s := range []Schedule{once, hour} {
		if s.MaxAge <= MaxRetryAfter+2*time.Hour {
			t.Errorf("%s: a Retry-After and a pause outlive its max age %s", s.Name, s.MaxAge)
		}
	}
	if _, ok := ScheduleByName("-1h"); ok {
		t.Error("-1h is a schedule")
	}
	for _, attempt := range []int{-1, 0, 2, 1 << 31} {
		if _, ok := once.Delay(attempt); ok {
			t.Errorf("once has a delay after attempt %d", attempt)
		}
	}
}

func TestEveryDelayHasItsOwnTier(t *testing.T) {
	for _, s := range Schedules() {
		for _, d := range s.Delays {
			if got := topic.TierFor(d).Dwell; got != d {
				t.Errorf("%s: %s waits %s", s.Name, d, got)
			}
		}
	}
}

func TestNextIsTheLongerOfScheduleAndRetryAfterWithinTheMaxAge(t *testing.T) {
	s, _ := ScheduleByName("72h")
	for _, tc := range []struct {
		attempt         int
		age, retryAfter time.Duration
		want            time.Duration
		ok              bool
	}{
		{1, 0, 0, 5 * time.Second, true},
		{1, 0, time.Second, 5 * time.Second, true},
		{1, 0, time.Hour, time.Hour, true},
		{12, 56 * time.Hour, 0, 12 * time.Hour, true},
		{12, 60 * time.Hour, 0, 12 * time.Hour, true},
		{12, 60*time.Hour + 1, 0, 0, false},
		{1, 70 * time.Hour, 6 * time.Hour, 0, false},
		{13, 0, 0, 0, false},
	} {
		if got, ok := s.Next(tc.attempt, tc.age, tc.retryAfter); got != tc.want || ok != tc.ok {
			t.Errorf("%+v: got %s, %v", tc, got, ok)
		}
	}
}

func TestSchedulesHandsOutCopies(t *testing.T) {
	Schedules()[2].Delays[0] = 0
	if s, _ := ScheduleByName("72h"); s.Delays[0] != 5*time.Second {
		t.Error("a preset was changed")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	for value, want := range map[string]time.Duration{
		"1":                              time.Second,
		" 120 ":                          2 * time.Minute,
		"007":                            7 * time.Second,
		"21600":                          6 * time.Hour,
		"21601":                          6 * time.Hour,
		"1000000000000":                  6 * time.Hour,
		"99999999999999999999999999":     6 * time.Hour,
		"Sun, 01 Mar 2026 12:10:00 GMT":  10*time.Minute - 500,
		"Sunday, 01-Mar-26 12:10:00 GMT": 10*time.Minute - 500,
		"Sun Mar  1 12:10:00 2026":       10*time.Minute - 500,
		"Fri, 31 Dec 9999 23:59:59 GMT":  6 * time.Hour,
		"":                               -1, "0": -1, "-1": -1, "+5": -1, "1.5": -1, "1e12": -1, "0x10": -1, "soon": -1, "５": -1,
		"Sun, 01 Mar 2026 11:59:59 GMT":   -1,
		"Mon, 01 Jan 0001 00:00:00 GMT":   -1,
		"Sun, 32 Mar 2026 12:10:00 GMT":   -1,
		"Sun, 01 Mar 2026 12:10:00 +0500": -1,
		"2026-03-01T12:10:00Z":            -1,
		"60, 120":                         -1,
	} {
		got, ok := ParseRetryAfter(value, now)
		if want < 0 {
			if ok {
				t.Errorf("%q asks for %s", value, got)
			}
		} else if !ok || got != want {
			t.Errorf("%q: got %s, %v, want %s", value, got, ok, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"1", "-1", "1e12", "1.5", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "Sun Mar  1 12:10:00 2026", "\x00"} {
		f.Add(seed, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		d, ok := ParseRetryAfter(value, time.Unix(now, 0))
		if ok && (d <= 0 || d > MaxRetryAfter) || !ok && d != 0 {
			t.Fatalf("%q: %s, %v", value, d, ok)
		}
	})
}
