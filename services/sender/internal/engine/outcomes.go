package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/system"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/core"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
	"github.com/aftercall/aftercall/services/sender/internal/post"
)

// attempted judges an answer and writes it down: the attempt, and the delivery's
// next state when there is one to keep.
func (e *Engine) attempted(a core.Action, r *post.Report, now time.Time) (outcome.Verdict, []*kgo.Record) {
	v := outcome.Decide(r.Answer, a.Progress, now)
	attempt := e.attempt(a, r.StartedAt)
	attempt.Timings = r.Timings
	attempt.RemoteAddress = r.RemoteAddress
	attempt.Result, attempt.Reason = v.Result, v.Reason
	attempt.ErrorClass, attempt.Error = r.Class, r.Error
	attempt.HttpStatus = int32(r.Status)
	attempt.RequestHeaders, attempt.ResponseHeaders = r.Request, r.Response
	attempt.ResponseBody, attempt.ResponseTruncated = r.Body, r.Truncated
	attempt.RequestUrl, attempt.RequestBytes, attempt.WebhookId = r.URL, int32(r.RequestBytes), r.WebhookID
	attempt.State, attempt.StateReason = v.State, v.StateReason

	e.meter.attempted(attempt, r.Took)
	if told := e.logger.Check(zap.DebugLevel, "delivery.attempted"); told != nil {
		told.Write(zap.String("delivery_id", attempt.GetDeliveryId()), zap.String("subscription_id", attempt.GetSubscriptionId()),
			zap.Int32("attempt", attempt.GetAttempt()), zap.Int("status", r.Status), zap.Duration("took", r.Took),
			zap.String("state", attempt.GetState().String()))
	}

	records := make([]*kgo.Record, 0, 2)
	if v.State == outcome.StateWaiting {
		attempt.NextAttemptAt = timestamppb.New(now.Add(v.Wait.Dwell))
		next := proto.CloneOf(a.Job.Delivery)
		next.Attempt++
		next.Deferrals, next.WaitReason = 0, ""
		if next.GetFirstAttemptTraceparent() == "" {
			next.FirstAttemptTraceparent = r.Traceparent
		}
		records = append(records, record.New(v.Wait.Topic, string(a.Job.Key), next, now))
	}
	if v.State == outcome.StateGivenUp {
		records = append(records, record.New(topic.GivenUp, string(a.Job.Key), a.Job.Delivery, now))
		records = tellGivenUp(records, a, attempt, now)
	}
	return v, append(records, historyRecord(attempt, now))
}

// ended writes down the end of a delivery to which no request was made.
func (e *Engine) ended(a core.Action, now time.Time) []*kgo.Record {
	attempt := e.attempt(a, now)
	attempt.Result, attempt.Reason = outcome.NotSent, a.Reason
	attempt.State, attempt.StateReason = a.State, a.Reason
	e.meter.attempted(attempt, 0)
	records := []*kgo.Record{historyRecord(attempt, now)}
	if a.State == outcome.StateGivenUp {
		records = append(records, record.New(topic.GivenUp, string(a.Job.Key), a.Job.Delivery, now))
		records = tellGivenUp(records, a, attempt, now)
	}
	return records
}

// tellGivenUp adds the system event of a delivery that is given up, unless that
// was a system event itself: news about news would never end.
func tellGivenUp(records []*kgo.Record, a core.Action, attempt *aftercallv1.Attempt, now time.Time) []*kgo.Record {
	if topic.IsSystem(attempt.GetEventType()) {
		return records
	}
	made := attempt.GetAttempt()
	if attempt.GetResult() == outcome.NotSent {
		made-- // this one was not made
	}
	return append(records, system.GivenUp{
		Subscription: a.Subscription, SubscriptionID: attempt.GetSubscriptionId(), Tenant: attempt.GetTenant(), Reason: attempt.GetStateReason(),
		DeliveryID: attempt.GetDeliveryId(), EventID: attempt.GetEventId(), EventType: attempt.GetEventType(), CallID: attempt.GetCallId(),
		Cause:    strings.ToLower(strings.TrimPrefix(attempt.GetCause().String(), "CAUSE_")),
		Attempts: made, Status: attempt.GetHttpStatus(), At: now,
	}.Record())
}

// attempt is what every attempt says of its delivery.
func (e *Engine) attempt(a core.Action, started time.Time) *aftercallv1.Attempt {
	d := a.Job.Delivery
	attempt := &aftercallv1.Attempt{
		AttemptId:       newID(),
		DeliveryId:      d.GetDeliveryId(),
		EventId:         d.GetEventId(),
		SubscriptionId:  d.GetSubscriptionId(),
		Tenant:          d.GetTenant(),
		EventType:       d.GetEventType(),
		CallId:          d.GetCallId(),
		Cause:           d.GetCause(),
		Attempt:         d.GetAttempt(),
		AttemptsAllowed: int32(a.Progress.Schedule.Attempts()),
		Deferrals:       d.GetDeferrals(),
		StartedAt:       timestamppb.New(started),
		Sender:          e.cfg.Instance,
		Position:        &aftercallv1.Position{Topic: topic.Deliveries, Partition: a.Job.Partition, Offset: a.Job.Offset},
		OccurredAt:      d.GetOccurredAt(),
		FirstQueuedAt:   d.GetFirstQueuedAt(),
		RequestId:       d.GetRequestId(),
	}
	if a.Subscription != nil {
		attempt.SubscriptionVersion = a.Subscription.Version
	}
	if d.GetSingleTry() {
		attempt.AttemptsAllowed = d.GetAttempt()
	}
	return attempt
}

// diverted puts a delivery off, and says so when that is news.
func (e *Engine) diverted(a core.Action, now time.Time) []*kgo.Record {
	d := a.Job.Delivery
	next := proto.CloneOf(d)
	next.Deferrals++
	next.WaitReason = a.Reason
	records := []*kgo.Record{record.New(a.Tier.Topic, string(a.Job.Key), next, now)}
	e.meter.deferred(a.Reason)
	if !a.Announce {
		return records
	}
	deferral := &aftercallv1.Deferral{
		DeliveryId: d.GetDeliveryId(), EventId: d.GetEventId(), SubscriptionId: d.GetSubscriptionId(),
		Tenant: d.GetTenant(), EventType: d.GetEventType(), CallId: d.GetCallId(), Cause: d.GetCause(),
		Attempt: d.GetAttempt(), Deferrals: next.GetDeferrals(), Reason: a.Reason,
		At: timestamppb.New(now), Until: timestamppb.New(now.Add(a.Tier.Dwell)),
		Sender:        e.cfg.Instance,
		Position:      &aftercallv1.Position{Topic: topic.Deliveries, Partition: a.Job.Partition, Offset: a.Job.Offset},
		OccurredAt:    d.GetOccurredAt(),
		FirstQueuedAt: d.GetFirstQueuedAt(),
	}
	if a.Subscription != nil {
		deferral.SubscriptionVersion = a.Subscription.Version
	}
	return append(records, historyRecord(deferral, now))
}

// changed writes down a change of an endpoint's state, and tells others of it.
func (e *Engine) changed(ch core.Change, now time.Time) []*kgo.Record {
	change := &aftercallv1.EndpointChange{
		ChangeId: newID(), SubscriptionId: ch.Subscription.ID, SubscriptionVersion: ch.Subscription.Version,
		Tenant: ch.Subscription.Tenant, Kind: ch.Kind, Reason: ch.Reason, At: timestamppb.New(now), Sender: e.cfg.Instance,
	}
	if !ch.Until.IsZero() {
		change.Until = timestamppb.New(ch.Until)
	}
	e.logger.Info("endpoint.changed", zap.String("subscription_id", change.GetSubscriptionId()), zap.Stringer("kind", ch.Kind), zap.Time("until", ch.Until))
	records := []*kgo.Record{record.New(topic.History, change.GetSubscriptionId(), change, now)}
	switch {
	case !ch.Tell:
	case ch.Kind == core.BreakerOpened:
		records = append(records, system.Failing(ch.Subscription, met(ch.Answer), ch.Until, now))
	case ch.Kind == core.BreakerClosed:
		records = append(records, system.Recovered(ch.Subscription, now))
	}
	return records
}

// met is what an attempt met, in a word or two that quote nothing.
func met(a outcome.Answer) string {
	if a.Status != 0 {
		return fmt.Sprintf("status %d", a.Status)
	}
	return strings.ToLower(strings.TrimPrefix(a.Class.String(), "ERROR_CLASS_"))
}

func historyRecord(m interface {
	proto.Message
	GetDeliveryId() string
}, now time.Time) *kgo.Record {
	return record.New(topic.History, m.GetDeliveryId(), m, now)
}

// parkTier is where a record waits that a newer build will read.
var parkTier = topic.TierFor(30 * time.Minute)

// unreadable is a record that is no delivery to this build, and why.
type unreadable struct {
	record *kgo.Record
	err    error
}

// parked keeps a record that this build cannot read: one of a newer version
// waits, as it is, for a build that can; a damaged one becomes a rejection.
func (e *Engine) parked(a core.Action, now time.Time) []*kgo.Record {
	u := a.Job.Raw.(unreadable)
	if !isCorrupt(u.err) {
		return []*kgo.Record{{
			Topic: parkTier.Topic, Key: u.record.Key, Value: u.record.Value, Headers: u.record.Headers, Timestamp: now,
		}}
	}
	payload := u.record.Value
	if len(payload) > maxRejectedPayload {
		payload = payload[:maxRejectedPayload]
	}
	rejection := &aftercallv1.Rejection{
		Position: record.PositionOf(u.record), LastOffset: u.record.Offset,
		Code: "corrupt_record", Reason: u.err.Error(),
		Payload: payload, PayloadTruncated: len(payload) < len(u.record.Value), PayloadBytes: int64(len(u.record.Value)),
		ProducedAt: timestamppb.New(u.record.Timestamp), RejectedAt: timestamppb.New(now),
	}
	return []*kgo.Record{record.New(topic.Rejected, record.SourceKey(u.record), rejection, now)}
}

// maxRejectedPayload is how much of a rejected record is kept.
const maxRejectedPayload = 64 << 10

func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		// The system's randomness is gone: nothing can be signed either.
		panic(err)
	}
	return id.String()
}
