package outcome

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func schedule(t *testing.T, name string) webhook.Schedule {
	t.Helper()
	s, ok := webhook.ScheduleByName(name)
	if !ok {
		t.Fatalf("no schedule %q", name)
	}
	return s
}

func TestWhatAnAnswerMeans(t *testing.T) {
	const status = aftercallv1.Attempt_ERROR_CLASS_STATUS
	first := Progress{Schedule: schedule(t, "72h"), Attempt: 1, FirstQueued: start}
	for name, c := range map[string]struct {
		answer   Answer
		progress Progress
		want     Verdict
	}{
		"200 is delivered":                       {Answer{Status: 200}, first, Verdict{Result: Delivered, State: StateDelivered}},
		"204 is delivered":                       {Answer{Status: 204}, first, Verdict{Result: Delivered, State: StateDelivered}},
		"299 is delivered":                       {Answer{Status: 299}, first, Verdict{Result: Delivered, State: StateDelivered}},
		"101 is not":                             {Answer{Status: 101, Class: status}, first, waiting(0, 0)},
		"199 is not":                             {Answer{Status: 199, Class: status}, first, waiting(0, 0)},
		"300 is not":                             {Answer{Status: 300, Class: status}, first, waiting(0, 0)},
		"302 is retried":                         {Answer{Status: 302, Class: status}, first, waiting(0, 0)},
		"400 is retried on the full schedule":    {Answer{Status: 400, Class: status}, first, waiting(0, 0)},
		"410 ends it":                            {Answer{Status: 410, Class: status}, first, Verdict{Result: Failed, State: StateStopped, StateReason: ReasonGone}},
		"503 with Retry-After waits so long":     {Answer{Status: 503, Class: status, RetryAfter: "60"}, first, waiting(2, time.Minute)},
		"429 with Retry-After 1 keeps schedule":  {Answer{Status: 429, Class: status, RetryAfter: "1"}, first, waiting(0, time.Second)},
		"429 asking for a week waits six hours":  {Answer{Status: 429, Class: status, RetryAfter: "604800"}, first, waiting(6, 6*time.Hour)},
		"500 with Retry-After ignores it":        {Answer{Status: 500, Class: status, RetryAfter: "600"}, first, waiting(0, 0)},
		"503 with nonsense ignores it":           {Answer{Status: 503, Class: status, RetryAfter: "soon"}, first, waiting(0, 0)},
		"no answer is retried":                   {Answer{Class: aftercallv1.Attempt_ERROR_CLASS_TIMEOUT}, first, waiting(0, 0)},
		"an address not allowed is not_sent":     {Answer{Class: aftercallv1.Attempt_ERROR_CLASS_POLICY}, first, Verdict{Result: NotSent, Reason: ReasonPolicy, State: StateWaiting, Wait: topic.Tiers[0]}},
		"a single try is given up after one":     {Answer{Status: 500, Class: status}, Progress{Schedule: schedule(t, "72h"), Attempt: 1, SingleTry: true, FirstQueued: start}, givenUp(ReasonExhausted)},
		"the schedule once has one try":          {Answer{Status: 500, Class: status}, Progress{Schedule: schedule(t, "once"), Attempt: 1, FirstQueued: start}, givenUp(ReasonExhausted)},
		"the 13th attempt of 72h is the last":    {Answer{Status: 500, Class: status}, Progress{Schedule: schedule(t, "72h"), Attempt: 13, FirstQueued: start}, givenUp(ReasonExhausted)},
		"the 12th is followed by twelve hours":   {Answer{Status: 500, Class: status}, Progress{Schedule: schedule(t, "72h"), Attempt: 12, FirstQueued: start}, waiting(7, 0)},
		"beyond the maximum age nothing is left": {Answer{Status: 500, Class: status}, Progress{Schedule: schedule(t, "72h"), Attempt: 12, FirstQueued: start.Add(-61 * time.Hour)}, givenUp(ReasonExpired)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Decide(c.answer, c.progress, start); got != c.want {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
		})
	}
}

func waiting(tier int, throttle time.Duration) Verdict {
	return Verdict{Result: Failed, State: StateWaiting, Wait: topic.Tiers[tier], Throttle: throttle}
}

func givenUp(reason string) Verdict {
	return Verdict{Result: Failed, State: StateGivenUp, StateReason: reason}
}

func TestEverySchedulePresetEndsWithinItsMaximumAge(t *testing.T) {
	for _, s := range webhook.Schedules() {
		now, attempts := start, 0
		for attempt := 1; ; attempt++ {
			attempts++
			v := Decide(Answer{Status: 500, Class: aftercallv1.Attempt_ERROR_CLASS_STATUS}, Progress{Schedule: s, Attempt: attempt, FirstQueued: start}, now)
			if v.State != StateWaiting {
				if v.StateReason != ReasonExhausted {
					t.Errorf("%s ends %s", s.Name, v.StateReason)
				}
				break
			}
			now = now.Add(v.Wait.Dwell)
		}
		if attempts != len(s.Delays)+1 || now.Sub(start) > s.MaxAge {
			t.Errorf("%s: %d attempts over %v", s.Name, attempts, now.Sub(start))
		}
	}
}

func TestADeferralGrowsButNeverExtendsTheMaximumAge(t *testing.T) {
	s := schedule(t, "72h")
	rapid.Check(t, func(t *rapid.T) {
		hold := time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "hold"))
		row := rapid.IntRange(0, 9).Draw(t, "row")
		age := time.Duration(rapid.Int64Range(0, int64(s.MaxAge)+int64(time.Hour)).Draw(t, "age"))
		p := Progress{Schedule: s, FirstQueued: start.Add(-age)}
		tier, ok := Deferral(hold, row, p, start)
		if !ok {
			if s.MaxAge-age >= topic.Tiers[0].Dwell {
				t.Fatalf("aged %v: there was time left", age)
			}
			return
		}
		if tier.Dwell > 30*time.Minute {
			t.Fatalf("deferred for %v", tier.Dwell)
		}
		if age+tier.Dwell > s.MaxAge {
			t.Fatalf("aged %v, deferred for %v", age, tier.Dwell)
		}
		if age == 0 && hold <= 30*time.Minute && tier.Dwell < hold {
			t.Fatalf("held for %v only, not %v", tier.Dwell, hold)
		}
	})
	for row, want := range []int{0, 1, 2, 3, 4, 4, 4} {
		if tier, _ := Deferral(time.Second, row, Progress{Schedule: s, FirstQueued: start}, start); tier != topic.Tiers[want] {
			t.Errorf("deferral %d in a row waits %v", row, tier.Dwell)
		}
	}
}
