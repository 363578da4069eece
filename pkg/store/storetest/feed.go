package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Start is when a Feed's deployment begins its day.
var Start = time.Date(2026, 3, 14, 22, 30, 0, 0, time.UTC)

// Record is one record of a Feed: exactly one field is set.
type Record struct {
	Event     *aftercallv1.Event
	Attempt   *store.AttemptAt
	Deferral  *store.DeferralAt
	Rejection *store.RejectionAt
	Change    *aftercallv1.EndpointChange
	Requested *store.RequestedDelivery
}

// Into adds the record to a batch.
func (r Record) Into(b *store.Batch) {
	switch {
	case r.Event != nil:
		b.Events = append(b.Events, r.Event)
	case r.Attempt != nil:
		b.Attempts = append(b.Attempts, r.Attempt)
	case r.Deferral != nil:
		b.Deferrals = append(b.Deferrals, r.Deferral)
	case r.Rejection != nil:
		b.Rejections = append(b.Rejections, r.Rejection)
	case r.Change != nil:
		b.Changes = append(b.Changes, r.Change)
	case r.Requested != nil:
		b.Requested = append(b.Requested, r.Requested)
	}
}

// BatchOf is a batch of records.
func BatchOf(rs ...Record) *store.Batch {
	b := &store.Batch{}
	for _, r := range rs {
		r.Into(b)
	}
	return b
}

// Feed is what a small deployment wrote to Kafka over some hours: calls of
// several events, subscriptions that take, fail, wait, give up and stop,
// repeats, resends, rejections.
func Feed(seed uint64, calls int) []Record {
	f := &feed{rand: rand.New(rand.NewPCG(seed, 42)), now: Start}
	for i := range calls {
		f.call(i)
	}
	return f.out
}

type feed struct {
	rand   *rand.Rand
	now    time.Time
	out    []Record
	offset int64
	id     int
}

var eventTypes = []string{topic.TypeIvr, topic.TypeQueue, topic.TypeAgent, topic.TypeRecording}

func (f *feed) position(t string) *aftercallv1.Position {
	f.offset++
	return &aftercallv1.Position{Topic: t, Partition: int32(f.offset % 3), Offset: f.offset}
}

func (f *feed) pass(d time.Duration) time.Time {
	f.now = f.now.Add(time.Duration(f.rand.Int64N(int64(d))) + time.Microsecond)
	return f.now
}

func (f *feed) next(prefix string) string {
	f.id++
	return fmt.Sprintf("%s_%06d", prefix, f.id)
}

func (f *feed) call(n int) {
	scenario := fmt.Sprintf("scenario-%04d", n)
	parent := ""
	for leg := range 1 + f.rand.IntN(3) {
		callID := fmt.Sprintf("call-%04d-%d", n, leg)
		at := f.pass(4 * time.Minute)
		e := &aftercallv1.Event{
			EventId: f.next("evt"), Tenant: "default", Source: "/pbx/1", EventType: eventTypes[f.rand.IntN(len(eventTypes))],
			CallId: callID, ScenarioId: scenario, ParentId: parent, OuPath: "Root/Sales", Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
			OccurredAt: timestamppb.New(at), ProducedAt: timestamppb.New(at.Add(3 * time.Millisecond)), RoutedAt: timestamppb.New(at.Add(9 * time.Millisecond)),
			Position: f.position(topic.CDRQueue), Payload: []byte(`{"CallId":"` + callID + `"}`), SubscriptionsOffset: 7,
		}
		if f.rand.IntN(6) == 0 {
			e.Warnings = []string{"/QueueTime is not a number"}
		}
		parent = callID
		for s := range 4 {
			d := &aftercallv1.Decision{SubscriptionId: fmt.Sprintf("sub_%d", s), SubscriptionVersion: int64(1 + s), Outcome: aftercallv1.Decision_OUTCOME_MATCHED}
			switch f.rand.IntN(5) {
			case 0:
				d.Outcome = aftercallv1.Decision_OUTCOME_INACTIVE
			case 1:
				continue
			default:
				d.DeliveryId = f.next("dlv")
				f.delivery(e, d)
			}
			e.Decisions = append(e.Decisions, d)
		}
		f.out = append(f.out, Record{Event: e})
		if f.rand.IntN(8) == 0 {
			f.out = append(f.out, Record{Event: &aftercallv1.Event{
				EventId: e.EventId, Tenant: e.Tenant, Source: e.Source, EventType: e.EventType, CallId: e.CallId, ScenarioId: e.ScenarioId, ParentId: e.ParentId,
				OuPath: e.OuPath, Cause: e.Cause, OccurredAt: e.OccurredAt, ProducedAt: timestamppb.New(at.Add(time.Minute)), RoutedAt: timestamppb.New(at.Add(time.Minute + time.Millisecond)),
				Position: f.position(topic.CDRQueue), Payload: e.Payload, DuplicateOf: e.Position,
			}})
		}
		if f.rand.IntN(8) == 0 {
			f.resend(e)
		}
	}
	if f.rand.IntN(5) == 0 {
		f.out = append(f.out, Record{Rejection: &store.RejectionAt{Rejection: &aftercallv1.Rejection{
			Position: f.position(topic.CDRIvr), Code: "call_id_missing", Field: "/CallId", Reason: "CallId is missing",
			Payload: []byte{0xff, 0x00, '{'}, PayloadBytes: 3, RejectedAt: timestamppb.New(f.pass(time.Second)), Tenant: "default",
		}}})
	}
	if f.rand.IntN(5) == 0 {
		f.out = append(f.out, Record{Change: &aftercallv1.EndpointChange{
			ChangeId: f.next("chg"), SubscriptionId: fmt.Sprintf("sub_%d", f.rand.IntN(4)), SubscriptionVersion: 2,
			Kind: aftercallv1.EndpointChange_Kind(1 + f.rand.IntN(4)), Reason: "seen", At: timestamppb.New(f.pass(time.Second)), Sender: "sender-1",
		}})
	}
}

// resend is a delivery that somebody asked for.
func (f *feed) resend(e *aftercallv1.Event) {
	id, request := f.next("dlv"), f.next("req")
	queued := f.pass(time.Minute)
	f.out = append(f.out, Record{Requested: &store.RequestedDelivery{By: "ada", Delivery: &aftercallv1.Delivery{
		DeliveryId: id, EventId: e.EventId, SubscriptionId: "sub_0", Tenant: e.Tenant, EventType: e.EventType, CallId: e.CallId,
		Cause: aftercallv1.Cause_CAUSE_RESEND, RequestId: request, Attempt: 1, OccurredAt: e.OccurredAt, FirstQueuedAt: timestamppb.New(queued),
	}}})
	a := f.attempt(e, id, "sub_0", 1, 0)
	a.Cause, a.RequestId, a.FirstQueuedAt, a.AttemptsAllowed = aftercallv1.Cause_CAUSE_RESEND, request, timestamppb.New(queued), 1
	if a.Result != aftercallv1.Attempt_RESULT_DELIVERED {
		a.State, a.StateReason, a.NextAttemptAt = aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP, "exhausted", nil
	}
}

// delivery plays one delivery to wherever it gets.
func (f *feed) delivery(e *aftercallv1.Event, d *aftercallv1.Decision) {
	if f.rand.IntN(6) == 0 {
		return // still queued
	}
	deferrals := int32(0)
	for n := int32(1); n <= 4; n++ {
		for f.rand.IntN(3) == 0 {
			deferrals++
			at := f.pass(time.Second)
			f.out = append(f.out, Record{Deferral: &store.DeferralAt{Record: f.position(topic.History), StoredAt: at, Deferral: &aftercallv1.Deferral{
				DeliveryId: d.DeliveryId, EventId: e.EventId, SubscriptionId: d.SubscriptionId, SubscriptionVersion: d.SubscriptionVersion, Tenant: e.Tenant,
				EventType: e.EventType, CallId: e.CallId, Cause: e.Cause, Attempt: n, Deferrals: deferrals, Reason: "queue_full",
				At: timestamppb.New(at), Until: timestamppb.New(at.Add(5 * time.Second)), Sender: "sender-1", OccurredAt: e.OccurredAt, FirstQueuedAt: e.RoutedAt,
			}}})
		}
		if f.rand.IntN(8) == 0 {
			return // still waiting
		}
		a := f.attempt(e, d.DeliveryId, d.SubscriptionId, n, deferrals)
		a.FirstQueuedAt = e.RoutedAt
		switch {
		case a.State == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED:
			if f.rand.IntN(10) == 0 {
				// A killed sender's record comes again: the POST is repeated.
				f.attempt(e, d.DeliveryId, d.SubscriptionId, n, deferrals).FirstQueuedAt = e.RoutedAt
			}
			return
		case n == 4:
			a.State, a.StateReason, a.NextAttemptAt = aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP, "exhausted", nil
			return
		case f.rand.IntN(12) == 0:
			a.Result, a.Reason, a.ErrorClass, a.HttpStatus = aftercallv1.Attempt_RESULT_NOT_SENT, "inactive", 0, 0
			a.State, a.StateReason, a.NextAttemptAt = aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED, "inactive", nil
			return
		}
		if f.rand.IntN(2) == 0 {
			deferrals = 0 // a count that starts again must not go back in time
		}
	}
}

func (f *feed) attempt(e *aftercallv1.Event, delivery, sub string, n, deferrals int32) *aftercallv1.Attempt {
	at := f.pass(3 * time.Second)
	took := time.Duration(1+f.rand.IntN(900)) * time.Millisecond
	a := &aftercallv1.Attempt{
		AttemptId: f.next("att"), DeliveryId: delivery, EventId: e.EventId, SubscriptionId: sub, SubscriptionVersion: 3, Tenant: e.Tenant,
		EventType: e.EventType, CallId: e.CallId, Cause: e.Cause, Attempt: n, AttemptsAllowed: 4, Deferrals: deferrals, StartedAt: timestamppb.New(at),
		Timings:       &aftercallv1.Timings{Connect: durationpb.New(time.Millisecond), FirstByte: durationpb.New(took / 2), Total: durationpb.New(took)},
		RemoteAddress: "192.0.2.1:443", RequestUrl: "https://example.com/hook", RequestBytes: 700, Sender: "sender-1", Position: f.position(topic.Deliveries),
		RequestHeaders: []*aftercallv1.HttpHeader{{Name: "webhook-id", Value: e.EventId}}, ResponseBody: []byte("ok"), OccurredAt: e.OccurredAt,
	}
	switch f.rand.IntN(4) {
	case 0:
		a.Result, a.ErrorClass, a.HttpStatus = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_ERROR_CLASS_STATUS, 503
	case 1:
		a.Result, a.ErrorClass, a.Error = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_ERROR_CLASS_TIMEOUT, "no answer within 15 s"
	default:
		a.Result, a.HttpStatus, a.State = aftercallv1.Attempt_RESULT_DELIVERED, 200, aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED
	}
	if a.Result == aftercallv1.Attempt_RESULT_FAILED {
		a.State = aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
		a.NextAttemptAt = timestamppb.New(at.Add(30 * time.Second))
	}
	f.out = append(f.out, Record{Attempt: &store.AttemptAt{Attempt: a, Record: f.position(topic.History), StoredAt: at.Add(took)}})
	return a
}
