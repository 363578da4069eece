package webhook

import "time"

// Schedule says when a failed delivery is tried again, and when it is given up.
type Schedule struct {
	// Name as in a subscription.
	Name string
	// Delays before the second, third … attempt.
	Delays []time.Duration
	// MaxAge counts from the moment the delivery was first queued. Nothing
	// extends it: not a deferral, not a pause, not a Retry-After.
	MaxAge time.Duration
}

// Names of the schedules.
const (
	ScheduleOnce = "once"
	Schedule1h   = "1h"
	Schedule72h  = "72h"
)

// shortMaxAge bounds the schedules that end within the hour. Their attempts
// never need it; it is for deliveries that cannot be attempted: the endpoint is
// paused (two hours is one of the choices) or asks for patience (a Retry-After
// counts up to six hours), or no sender is running (a night). None of these may
// cost a delivery its first attempt, and a day later nobody who chose a short
// schedule still waits for the call.
const shortMaxAge = 24 * time.Hour

var schedules = []Schedule{
	{Name: ScheduleOnce, MaxAge: shortMaxAge},
	{Name: Schedule1h, MaxAge: shortMaxAge, Delays: []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}},
	{Name: Schedule72h, MaxAge: 72 * time.Hour, Delays: []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour}},
}

// Schedules lists the presets, shortest first.
func Schedules() []Schedule {
	out := make([]Schedule, len(schedules))
	for i, s := range schedules {
		s.Delays = append([]time.Duration(nil), s.Delays...)
		out[i] = s
	}
	return out
}

// ScheduleByName finds a preset. The result shares its Delays: don't change them.
func ScheduleByName(name string) (Schedule, bool) {
	for _, s := range schedules {
		if s.Name == name {
			return s, true
		}
	}
	return Schedule{}, false
}

// Attempts is how many there are at most.
func (s Schedule) Attempts() int { return len(s.Delays) + 1 }

// Delay is the wait after attempt (counted from 1) has failed; false when it was
// the last one.
func (s Schedule) Delay(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(s.Delays) {
		return 0, false
	}
	return s.Delays[attempt-1], true
}

// Next is the wait after attempt has failed, when the endpoint asked for
// retryAfter (0 if it did not): the longer of the two. age is how long ago the
// delivery was first queued. False means give up: it was the last attempt, or
// the next one would come after MaxAge.
func (s Schedule) Next(attempt int, age, retryAfter time.Duration) (time.Duration, bool) {
	d, ok := s.Delay(attempt)
	if !ok {
		return 0, false
	}
	d = max(d, retryAfter)
	if s.TooOld(age + d) {
		return 0, false
	}
	return d, true
}

// TooOld tells whether a delivery first queued age ago is past its MaxAge.
func (s Schedule) TooOld(age time.Duration) bool { return age > s.MaxAge }
