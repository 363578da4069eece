package stream

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Kind is what an event of the stream tells of. It is the event's name.
type Kind string

// Kinds of events.
const (
	KindAttempt  Kind = "attempt"
	KindDeferral Kind = "deferral"
	KindEndpoint Kind = "endpoint"
	KindGap      Kind = "gap"
)

// Item is one record of the history, without what only an attempt's own page
// shows. It is never changed after it was made.
type Item struct {
	Kind      Kind
	Partition int32
	Offset    int64
	// Attempt is the row of the list of attempts; of a deferral it holds what both
	// have in common, and the number of the attempt to come.
	Attempt store.Attempt
	// Of a deferral and of a change.
	At, Until time.Time
	Reason    string
	Deferrals int32
	// Of a change.
	ChangeID, Change string
	// happened is when the call ended.
	happened time.Time
}

// decode makes an item of a record, nil of one that is none of ours: it must
// not stop the others.
func decode(r *kgo.Record, name func(subscriptionID string) string) *Item {
	if r.Attrs.IsControl() {
		return nil
	}
	m, err := record.Open(r)
	if err != nil {
		return nil // the projector says what is wrong with it
	}
	item := &Item{Partition: r.Partition, Offset: r.Offset}
	switch m := m.(type) {
	case *aftercallv1.Attempt:
		item.Kind, item.Attempt = KindAttempt, attemptOf(m, r)
		item.happened = first(at(m.GetOccurredAt()), item.Attempt.StartedAt)
	case *aftercallv1.Deferral:
		item.Kind = KindDeferral
		item.Attempt = store.Attempt{
			DeliveryID: store.CleanID(m.GetDeliveryId()), EventID: store.CleanID(m.GetEventId()), SubscriptionID: store.CleanID(m.GetSubscriptionId()),
			EventType: store.CleanID(m.GetEventType()), CallID: store.CleanID(m.GetCallId()), Cause: store.CauseWord(m.GetCause()),
			Attempt: m.GetAttempt(), State: store.StateWaiting,
		}
		item.At, item.Until, item.Reason, item.Deferrals = first(at(m.GetAt()), store.CleanTime(r.Timestamp)), at(m.GetUntil()), store.CleanID(m.GetReason()), m.GetDeferrals()
		item.happened = first(at(m.GetOccurredAt()), at(m.GetFirstQueuedAt()), item.At)
	case *aftercallv1.EndpointChange:
		item.Kind = KindEndpoint
		item.Attempt = store.Attempt{SubscriptionID: store.CleanID(m.GetSubscriptionId())}
		item.ChangeID, item.Change = store.CleanID(m.GetChangeId()), store.ChangeWord(m.GetKind())
		item.At, item.Until, item.Reason = first(at(m.GetAt()), store.CleanTime(r.Timestamp)), at(m.GetUntil()), store.CleanID(m.GetReason())
	default:
		return nil
	}
	item.Attempt.SubscriptionName = name(item.Attempt.SubscriptionID)
	return item
}

// attemptOf is the row that the store will have.
func attemptOf(m *aftercallv1.Attempt, r *kgo.Record) store.Attempt {
	total := m.GetTimings().GetTotal().AsDuration()
	a := store.Attempt{
		AttemptID: store.CleanID(m.GetAttemptId()), DeliveryID: store.CleanID(m.GetDeliveryId()), EventID: store.CleanID(m.GetEventId()),
		SubscriptionID: store.CleanID(m.GetSubscriptionId()), EventType: store.CleanID(m.GetEventType()), CallID: store.CleanID(m.GetCallId()),
		Cause: store.CauseWord(m.GetCause()), Attempt: m.GetAttempt(), AttemptsAllowed: m.GetAttemptsAllowed(),
		StartedAt: first(at(m.GetStartedAt()), store.CleanTime(r.Timestamp)), Result: store.ResultWord(m.GetResult()), ErrorClass: store.ErrorWord(m.GetErrorClass()),
		HTTPStatus: m.GetHttpStatus(), DurationMS: total.Milliseconds(), NextAttemptAt: at(m.GetNextAttemptAt()), State: store.StateWord(m.GetState()), Reason: store.CleanID(m.GetReason()),
	}
	if a.Reason == "" {
		a.Reason = store.CleanID(m.GetStateReason())
	}
	if occurred := at(m.GetOccurredAt()); a.Result == store.ResultDelivered && !occurred.IsZero() {
		ms := a.StartedAt.Add(total).Sub(occurred).Milliseconds()
		a.CallEndToDeliveredMS = &ms
	}
	return a
}

func at(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return store.CleanTime(t.AsTime())
}

func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
