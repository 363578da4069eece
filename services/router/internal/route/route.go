// Package route decides what becomes of one record of a CDR topic: an Event with
// its Deliveries, a repeat, or a Rejection. It reads and writes nothing: the same
// record, subscriptions and time give the same outcome with the same ids, so that
// routing a record twice changes nothing for anybody downstream.
package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/filter"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/system"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const (
	// MaxMatches is the largest number of subscriptions that one CDR may go to.
	MaxMatches = 1000
	// maxUnsent bounds the decisions about subscriptions that are off or whose
	// filter did not let the event through, so that an Event stays within what its
	// topic allows.
	maxUnsent = 1000
	// maxDetails and maxDetail bound the texts of filter errors, for the same reason.
	maxDetails = 100
	maxDetail  = 300
	// maxRejectedPayload is how much of a rejected value is kept.
	maxRejectedPayload = 64 << 10
	// VersionOfCDR is the only value that the version header may have on a CDR
	// topic. Upstream producers do not set it at all.
	VersionOfCDR = "cdr/1"
)

// Subscriptions are what is known of them when a record is routed.
type Subscriptions interface {
	// Match returns those that want an event, the inactive ones flagged.
	Match(eventType, ouPath string) []subscription.Match
	// Get returns one by its id, false when unknown or deleted.
	Get(id string) (*subscription.Subscription, bool)
	// Offset is the offset below which all changes are known.
	Offset() int64
}

// Router routes records. It holds no state of its own.
type Router struct {
	Subscriptions Subscriptions
	// Sources maps topics to the event type that they carry.
	Sources map[string]string
	// MaxBytes is the cap on a CDR.
	MaxBytes int
}

// Outcome is what one record becomes. Exactly one of Event and Rejection is set.
type Outcome struct {
	Event      *aftercallv1.Event
	Deliveries []*aftercallv1.Delivery
	Rejection  *aftercallv1.Rejection
	// keys of the deliveries, in their order.
	keys []string
}

// Identify is the first half of Route: what the record is. Its error is always a
// *cdr.Rejected.
func (r *Router) Identify(in *kgo.Record) (*cdr.CDR, error) {
	headers := make([]cdr.Header, len(in.Headers))
	for i, h := range in.Headers {
		if h.Key == record.Header && string(h.Value) != VersionOfCDR {
			return nil, &cdr.Rejected{Code: cdr.CodeVersionUnknown, Field: record.Header,
				Reason: fmt.Sprintf("this router reads %q; producers of CDRs leave the header out", VersionOfCDR)}
		}
		headers[i] = cdr.Header{Key: h.Key, Value: h.Value}
	}
	return cdr.Decode(cdr.Input{
		Topic:       in.Topic,
		TypeOfTopic: r.typeOf(in.Topic),
		Key:         in.Key,
		Value:       in.Value,
		Headers:     headers,
		Timestamp:   in.Timestamp,
		MaxBytes:    r.MaxBytes,
	})
}

func (r *Router) typeOf(topicName string) string {
	if topicName == topic.CDRTest {
		return "" // carries every type
	}
	return r.Sources[topicName]
}

// First is where an event was read first, as far as that is known.
type First struct {
	Position *aftercallv1.Position
	// Delivered: somebody wanted it then.
	Delivered bool
}

// Route decides about a record. first looks up an event that was read before,
// nil when none is known. A repeat gets no deliveries; but one of an event that
// nobody wanted at the time is matched again, since somebody may want it now.
func (r *Router) Route(in *kgo.Record, first func(eventID string) *First, now time.Time) Outcome {
	c, err := r.Identify(in)
	if err != nil {
		return Outcome{Rejection: r.reject(in, err, now)}
	}
	// The offset comes before the matching: it promises that at least these
	// changes were known.
	offset := r.Subscriptions.Offset()
	cause := causeOf(c)
	event := &aftercallv1.Event{
		EventId:             c.EventID,
		Tenant:              c.Tenant,
		Source:              c.Source,
		EventType:           c.Type,
		CeId:                c.CeID,
		CallId:              c.CallID,
		ScenarioId:          c.ScenarioID,
		ParentId:            c.ParentID,
		OuPath:              c.OUPath,
		OccurredAt:          timestamppb.New(c.OccurredAt),
		Position:            record.PositionOf(in),
		Payload:             in.Value,
		SubscriptionsOffset: offset,
		ProducedAt:          timestamppb.New(in.Timestamp),
		RoutedAt:            timestamppb.New(now),
		Traceparent:         c.Traceparent,
		Warnings:            c.Warnings,
		Cause:               cause,
	}
	earlier := first(c.EventID)
	if earlier != nil && earlier.Delivered {
		event.DuplicateOf = earlier.Position
		return Outcome{Event: event}
	}
	matches := filtered(r.match(c, in.Value), in.Value, c)
	out := Outcome{Event: event}
	active := 0
	for _, m := range matches {
		if m.outcome == aftercallv1.Decision_OUTCOME_MATCHED {
			active++
		}
	}
	if active > MaxMatches {
		return Outcome{Rejection: r.reject(in, &cdr.Rejected{Code: cdr.CodeTooManyMatches,
			Reason: fmt.Sprintf("%d subscriptions match, the most that one record may go to is %d; narrow their event types, OU scopes or filters", active, MaxMatches)}, now)}
	}
	if active == 0 && earlier != nil {
		event.DuplicateOf = earlier.Position
	}
	if len(matches) == 0 {
		return out
	}
	event.Decisions = make([]*aftercallv1.Decision, 0, len(matches))
	out.Deliveries = make([]*aftercallv1.Delivery, 0, active)
	out.keys = make([]string, 0, active)
	unsent, details := 0, 0
	for _, m := range matches {
		s := m.subscription
		if m.outcome != aftercallv1.Decision_OUTCOME_MATCHED {
			if unsent++; unsent > maxUnsent {
				continue
			}
			decision := &aftercallv1.Decision{SubscriptionId: s.ID, SubscriptionVersion: s.Version, Outcome: m.outcome}
			if m.fault != nil {
				if details++; details <= maxDetails {
					decision.Detail = detail(m.fault)
				}
			}
			event.Decisions = append(event.Decisions, decision)
			continue
		}
		d := &aftercallv1.Delivery{
			DeliveryId:          cdr.DeliveryID(c.EventID, s.ID, c.Cause, ""),
			EventId:             c.EventID,
			SubscriptionId:      s.ID,
			Tenant:              c.Tenant,
			EventType:           c.Type,
			CallId:              c.CallID,
			Cause:               cause,
			Attempt:             1,
			OccurredAt:          event.OccurredAt,
			FirstQueuedAt:       event.RoutedAt,
			SubscriptionsOffset: offset,
			Payload:             in.Value,
			Source:              c.Source,
			Traceparent:         c.Traceparent,
			Position:            event.Position,
		}
		out.Deliveries = append(out.Deliveries, d)
		out.keys = append(out.keys, record.ShardKey(d, concurrency(s)))
		event.Decisions = append(event.Decisions, &aftercallv1.Decision{
			SubscriptionId: s.ID, SubscriptionVersion: s.Version, Outcome: aftercallv1.Decision_OUTCOME_MATCHED, DeliveryId: d.DeliveryId,
		})
	}
	return out
}

// match is who wants the CDR. A test meant for one subscription goes to that
// one, whatever event types, OU scope and filter it has.
func (r *Router) match(c *cdr.CDR, payload []byte) []subscription.Match {
	if c.TargetSubscription == "" {
		matches := r.Subscriptions.Match(c.Type, c.OUPath)
		if topic.IsSystem(c.Type) && len(matches) > 0 {
			return r.others(matches, system.Subject(payload))
		}
		return matches
	}
	s, ok := r.Subscriptions.Get(c.TargetSubscription)
	if !ok {
		return nil
	}
	return []subscription.Match{{Subscription: s, Inactive: !s.Active}}
}

// others drops the subscription that a system event is about, and every other
// one with the same endpoint: who does not take webhooks is not told so by one.
func (r *Router) others(matches []subscription.Match, subject string) []subscription.Match {
	endpoint := ""
	if s, ok := r.Subscriptions.Get(subject); ok {
		endpoint = s.Endpoint
	}
	return slices.DeleteFunc(matches, func(m subscription.Match) bool {
		return m.Subscription.ID == subject || endpoint != "" && m.Subscription.Endpoint == endpoint
	})
}

// candidate is a subscription that wants a CDR, and what its filter makes of it.
type candidate struct {
	subscription *subscription.Subscription
	outcome      aftercallv1.Decision_Outcome
	// fault is set with OUTCOME_FILTER_ERROR.
	fault error
}

// filtered asks the filters of those that are not off. The CDR is decoded once
// for all of them, and only if one looks into it.
func filtered(matches []subscription.Match, payload []byte, c *cdr.CDR) []candidate {
	candidates := make([]candidate, len(matches))
	var input *filter.Input
	for i, m := range matches {
		candidates[i].subscription, candidates[i].outcome = m.Subscription, aftercallv1.Decision_OUTCOME_MATCHED
		switch {
		case m.Inactive:
			candidates[i].outcome = aftercallv1.Decision_OUTCOME_INACTIVE
		case m.FilterError != nil:
			candidates[i].outcome, candidates[i].fault = aftercallv1.Decision_OUTCOME_FILTER_ERROR, m.FilterError
		case m.Filter != nil:
			if input == nil {
				input = filter.NewInput(payload, filter.Envelope{
					Type: c.Type, CallID: c.CallID, ScenarioID: c.ScenarioID, ParentID: c.ParentID, OUPath: c.OUPath,
					Source: c.Source, Tenant: c.Tenant, OccurredAt: c.OccurredAt,
				})
			}
			ok, err := m.Filter.Match(input)
			switch {
			case err != nil:
				candidates[i].outcome, candidates[i].fault = aftercallv1.Decision_OUTCOME_FILTER_ERROR, err
			case !ok:
				candidates[i].outcome = aftercallv1.Decision_OUTCOME_FILTER_FALSE
			}
		}
	}
	return candidates
}

// detail is the text of a filter's error, which quotes nothing of the record.
func detail(err error) string {
	text := err.Error()
	if len(text) > maxDetail {
		text = text[:maxDetail]
	}
	return strings.ToValidUTF8(text, "")
}

func concurrency(s *subscription.Subscription) int {
	if s.MaxConcurrency <= 0 {
		return subscription.DefaultMaxConcurrency
	}
	return s.MaxConcurrency
}

func causeOf(c *cdr.CDR) aftercallv1.Cause {
	if c.Cause == cdr.CauseTest {
		return aftercallv1.Cause_CAUSE_TEST
	}
	return aftercallv1.Cause_CAUSE_CALL_ENDED
}

func (r *Router) reject(in *kgo.Record, err error, now time.Time) *aftercallv1.Rejection {
	rejected := &cdr.Rejected{Code: cdr.CodeNotJSON, Reason: err.Error()}
	errors.As(err, &rejected)
	kept := in.Value[:min(len(in.Value), maxRejectedPayload)]
	return &aftercallv1.Rejection{
		Position:         record.PositionOf(in),
		Code:             rejected.Code,
		Field:            strings.ToValidUTF8(rejected.Field, "\uFFFD"),
		Reason:           strings.ToValidUTF8(rejected.Reason, "\uFFFD"),
		Payload:          kept,
		PayloadTruncated: len(kept) < len(in.Value),
		PayloadBytes:     int64(len(in.Value)),
		ProducedAt:       timestamppb.New(in.Timestamp),
		RejectedAt:       timestamppb.New(now),
		EventType:        r.typeOf(in.Topic),
	}
}

// Records are the outcome as records of the topics that follow.
func (o Outcome) Records(now time.Time) []*kgo.Record {
	if o.Rejection != nil {
		p := o.Rejection.GetPosition()
		return []*kgo.Record{record.New(topic.Rejected, SourceKey(p.GetTopic(), p.GetPartition()), o.Rejection, now)}
	}
	records := make([]*kgo.Record, 0, 1+len(o.Deliveries))
	records = append(records, record.New(topic.Events, o.Event.GetEventId(), o.Event, now))
	for i, d := range o.Deliveries {
		records = append(records, record.New(topic.Deliveries, o.keys[i], d, now))
	}
	return records
}

// SourceKey is the key of rejections: where the rejected record stands.
func SourceKey(topicName string, partition int32) string {
	return fmt.Sprintf("%s/%d", topicName, partition)
}
