// Package outcome decides what an endpoint's answer means for a delivery. It is
// pure: the answer, the delivery's place in its schedule and the time go in, the
// verdict comes out.
//
//	             2xx ─────────────────────────────→ delivered
//	POST ──────→ 410 ─────────────────────────────→ stopped(gone)
//	             not allowed to connect ──┐
//	             anything else ───────────┴─ a try left, young enough ─→ waiting
//	                                       └ none left, or too old ────→ given_up
//
// It guarantees that only a 2xx is delivered, and that a delivery never waits
// beyond its maximum age.
package outcome

import (
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/breaker"
)

// Short names for the vocabulary of the wire.
const (
	Delivered = aftercallv1.Attempt_RESULT_DELIVERED
	Failed    = aftercallv1.Attempt_RESULT_FAILED
	NotSent   = aftercallv1.Attempt_RESULT_NOT_SENT

	StateWaiting   = aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
	StateDelivered = aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED
	StateGivenUp   = aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP
	StateStopped   = aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED
)

// Reasons of not_sent, given_up and stopped.
const (
	ReasonExhausted = "exhausted" // no try left in the schedule
	ReasonExpired   = "expired"   // older than the schedule's maximum age
	ReasonGone      = "gone"      // the endpoint answered 410
	ReasonPolicy    = "policy"    // the address is not allowed
	ReasonInactive  = "inactive"  // Is Active is off
	ReasonDeleted   = "deleted"   // the subscription is no more
	ReasonDiscarded = "discarded" // stopped with all that waited
	ReasonStopped   = "stopped"   // somebody ended its retries
)

// Answer is what came of one try.
type Answer struct {
	// Status of the answer, 0 when there was none.
	Status int
	// RetryAfter is that header as it came.
	RetryAfter string
	// Class of the failure, unspecified after a 2xx.
	Class aftercallv1.Attempt_ErrorClass
	// Error in words, without secrets.
	Error string
}

// Progress is how far a delivery has come.
type Progress struct {
	Schedule webhook.Schedule
	// Attempt just made, 1-based.
	Attempt int
	// SingleTry ends it after this one, whatever the schedule.
	SingleTry   bool
	FirstQueued time.Time
}

// Verdict is what follows.
type Verdict struct {
	Result aftercallv1.Attempt_Result
	// Reason of not_sent.
	Reason string
	State  aftercallv1.DeliveryState
	// StateReason of given_up and stopped.
	StateReason string
	// Wait is the delay topic of the next try, set when State is waiting.
	Wait topic.Tier
	// Throttle is how long the endpoint asked to be left alone, 0 if it did not.
	Throttle time.Duration
}

// Decide judges one answer.
func Decide(a Answer, p Progress, now time.Time) Verdict {
	if a.Status >= 200 && a.Status <= 299 {
		return Verdict{Result: Delivered, State: StateDelivered}
	}
	if a.Status == 410 {
		return Verdict{Result: Failed, State: StateStopped, StateReason: ReasonGone}
	}
	v := Verdict{Result: Failed}
	if a.Class == aftercallv1.Attempt_ERROR_CLASS_POLICY {
		// No request was made. An operator may yet allow the address, or DNS
		// may move back: the schedule goes on.
		v.Result, v.Reason = NotSent, ReasonPolicy
	}
	if a.Status == 429 || a.Status == 503 {
		if wait, ok := webhook.ParseRetryAfter(a.RetryAfter, now); ok {
			v.Throttle = wait
		}
	}
	delay, left := p.Schedule.Delay(p.Attempt)
	if p.SingleTry || !left {
		v.State, v.StateReason = StateGivenUp, ReasonExhausted
		return v
	}
	tier := topic.TierFor(max(delay, v.Throttle))
	if now.Add(tier.Dwell).After(p.FirstQueued.Add(p.Schedule.MaxAge)) {
		v.State, v.StateReason = StateGivenUp, ReasonExpired
		return v
	}
	v.State, v.Wait = StateWaiting, tier
	return v
}

// Deferral picks the delay topic of a delivery that is put off without a try:
// the shortest that covers hold, one longer for each deferral in a row, at most
// half an hour, and never beyond the maximum age. It reports false when not even
// the shortest fits: the delivery is expired.
func Deferral(hold time.Duration, inARow int, p Progress, now time.Time) (topic.Tier, bool) {
	i := 0
	for i < LongestDeferral && topic.Tiers[i].Dwell < hold {
		i++
	}
	i = min(i+inARow, LongestDeferral)
	deadline := p.FirstQueued.Add(p.Schedule.MaxAge)
	for ; i >= 0; i-- {
		if !now.Add(topic.Tiers[i].Dwell).After(deadline) {
			return topic.Tiers[i], true
		}
	}
	return topic.Tier{}, false
}

// Paced picks the delay topic of a delivery that a rate keeps waiting: the
// longest within hold, the shortest at least, whatever its deferrals so far. What
// waits comes back a little early and a few at a time, and is paced again; were
// each wait longer than the one before, all would come back at once and most of
// them be put off once more, until they are too old.
func Paced(hold time.Duration, p Progress, now time.Time) (topic.Tier, bool) {
	i := 0
	for i < LongestDeferral && topic.Tiers[i+1].Dwell <= hold {
		i++
	}
	deadline := p.FirstQueued.Add(p.Schedule.MaxAge)
	for ; i >= 0; i-- {
		if !now.Add(topic.Tiers[i].Dwell).After(deadline) {
			return topic.Tiers[i], true
		}
	}
	return topic.Tier{}, false
}

// LongestDeferral is the index of the 30 m tier, the last that a deferral reaches.
const LongestDeferral = 4

// Expired says whether a delivery is too old for another try.
func Expired(p Progress, now time.Time) bool {
	return p.Schedule.TooOld(now.Sub(p.FirstQueued))
}

// Health is what an answer says of the endpoint, as opposed to the record. One
// that says when to come back is well: it paces us, and a breaker beside that
// would starve it.
func Health(a Answer, v Verdict) breaker.Result {
	if v.Throttle > 0 {
		return breaker.Neutral
	}
	switch a.Class {
	case aftercallv1.Attempt_ERROR_CLASS_UNSPECIFIED:
		return breaker.Success
	case aftercallv1.Attempt_ERROR_CLASS_DNS, aftercallv1.Attempt_ERROR_CLASS_CONNECT, aftercallv1.Attempt_ERROR_CLASS_TLS:
		return breaker.NoConnection
	case aftercallv1.Attempt_ERROR_CLASS_POLICY:
		return breaker.Neutral
	case aftercallv1.Attempt_ERROR_CLASS_STATUS:
		switch {
		case a.Status == 408, a.Status == 429, a.Status == 401, a.Status == 403, a.Status == 404:
			return breaker.Failure
		case a.Status >= 400 && a.Status <= 499:
			return breaker.Neutral
		}
	case aftercallv1.Attempt_ERROR_CLASS_TIMEOUT, aftercallv1.Attempt_ERROR_CLASS_RESET, aftercallv1.Attempt_ERROR_CLASS_PROTOCOL:
	}
	return breaker.Failure
}
