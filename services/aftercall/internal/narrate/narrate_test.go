package narrate

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestALineSaysWhatHappenedAndWhatIsNext(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 14, 2, 0, time.Local)
	base := aftercallv1.Attempt{
		EventType: "App.QueueWebhook", StartedAt: timestamppb.New(at), AttemptsAllowed: 13, Attempt: 1,
		RequestUrl: "http://127.0.0.1:8422/flaky?token=canary", Timings: &aftercallv1.Timings{Total: durationpb.New(6 * time.Millisecond)},
	}
	for want, change := range map[string]func(*aftercallv1.Attempt){
		"10:14:02 App.QueueWebhook     → /flaky    200 in 6 ms": func(a *aftercallv1.Attempt) {
			a.HttpStatus, a.State = 200, aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED
		},
		"10:14:02 App.QueueWebhook     → /flaky    200, delivered on attempt 2": func(a *aftercallv1.Attempt) {
			a.HttpStatus, a.State, a.Attempt = 200, aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED, 2
		},
		"10:14:02 App.QueueWebhook     → /flaky    503, retry in 5 s (attempt 2 of 13)": func(a *aftercallv1.Attempt) {
			a.HttpStatus, a.State = 503, aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
			a.NextAttemptAt = timestamppb.New(at.Add(5010 * time.Millisecond))
		},
		"10:14:02 App.QueueWebhook     → /flaky    timeout, given up: exhausted after 1 attempt": func(a *aftercallv1.Attempt) {
			a.ErrorClass, a.State = aftercallv1.Attempt_ERROR_CLASS_TIMEOUT, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP
			a.StateReason = "exhausted"
		},
		"10:14:02 App.QueueWebhook     → sub_1     not sent: inactive, stopped: inactive": func(a *aftercallv1.Attempt) {
			a.RequestUrl, a.SubscriptionId = "", "sub_1"
			a.Result, a.Reason = aftercallv1.Attempt_RESULT_NOT_SENT, "inactive"
			a.State, a.StateReason = aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED, "inactive"
		},
	} {
		a := &aftercallv1.Attempt{
			EventType: base.EventType, StartedAt: base.StartedAt, AttemptsAllowed: base.AttemptsAllowed, Attempt: base.Attempt,
			RequestUrl: base.RequestUrl, Timings: base.Timings,
		}
		change(a)
		got := Line(a, []string{"127.0.0.1:8422"})
		if got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
		if strings.Contains(got, "canary") {
			t.Error("a line shows a URL's query")
		}
	}
}
