package store

import (
	"strings"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Words of the one vocabulary used in rows, views, API and console.
const (
	ResultDelivered = "delivered"
	ResultFailed    = "failed"
	ResultNotSent   = "not_sent"

	StateQueued    = "queued"
	StateWaiting   = "waiting"
	StateDelivered = "delivered"
	StateGivenUp   = "given_up"
	StateStopped   = "stopped"

	CauseCallEnded = "call_ended"
	CauseTest      = "test"
	CauseResend    = "resend"
	CauseReplay    = "replay"
	// CauseNotTest selects all that are no tests. No row has it.
	CauseNotTest = "not_test"

	OutcomeMatched = "matched"

	ChangeDisableRequested = "disable_requested"
)

// word turns an enum's name into its word: "CAUSE_CALL_ENDED" without "CAUSE_"
// in lower case. Unspecified is "".
func word(name, prefix string) string {
	w := strings.ToLower(strings.TrimPrefix(name, prefix))
	if w == "unspecified" {
		return ""
	}
	return w
}

// words answers from a table made once: the names come up on every row.
func words(names map[int32]string, prefix string) map[int32]string {
	m := make(map[int32]string, len(names))
	for n, name := range names {
		m[n] = word(name, prefix)
	}
	return m
}

var (
	causeWords   = words(aftercallv1.Cause_name, "CAUSE_")
	stateWords   = words(aftercallv1.DeliveryState_name, "DELIVERY_STATE_")
	resultWords  = words(aftercallv1.Attempt_Result_name, "RESULT_")
	errorWords   = words(aftercallv1.Attempt_ErrorClass_name, "ERROR_CLASS_")
	changeWords  = words(aftercallv1.EndpointChange_Kind_name, "KIND_")
	outcomeWords = words(aftercallv1.Decision_Outcome_name, "OUTCOME_")
)

// CauseWord is call_ended, test, resend or replay.
func CauseWord(c aftercallv1.Cause) string { return causeWords[int32(c)] }

// StateWord is queued, waiting, delivered, given_up or stopped.
func StateWord(s aftercallv1.DeliveryState) string { return stateWords[int32(s)] }

// ResultWord is delivered, failed or not_sent.
func ResultWord(r aftercallv1.Attempt_Result) string { return resultWords[int32(r)] }

// ErrorWord is dns, connect, tls, timeout, reset, protocol, status or policy.
func ErrorWord(c aftercallv1.Attempt_ErrorClass) string { return errorWords[int32(c)] }

// ChangeWord is breaker_opened, breaker_closed, throttled or disable_requested.
func ChangeWord(k aftercallv1.EndpointChange_Kind) string { return changeWords[int32(k)] }

// OutcomeWord is matched, inactive, filter_false or filter_error.
func OutcomeWord(o aftercallv1.Decision_Outcome) string { return outcomeWords[int32(o)] }
