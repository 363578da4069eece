// Package reduce turns a batch of records into the rows that it means for each
// table, the same for both databases: made storable, one row a key, sorted by
// key. Rows of one key that meet in a batch are merged by the rules by which
// the tables' upserts merge them with what is there: so it makes no difference
// how records are split into batches, or in what order they come.
package reduce

import (
	"fmt"
	"sort"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Rows are the rows of one batch.
type Rows struct {
	Events     []Event
	Repeats    []Repeat
	Decisions  []Decision
	Deliveries []Delivery
	Attempts   []Attempt
	Deferrals  []Deferral
	Rejections []Rejection
	Changes    []Change
	Endpoints  []Endpoint
	Offsets    []store.Offset
}

// Of reduces a batch.
func Of(b *store.Batch) *Rows {
	r := &reducer{
		events:     make(map[string]*Event, len(b.Events)),
		repeats:    map[Repeat]struct{}{},
		decisions:  map[decisionKey]*Decision{},
		deliveries: make(map[string]*Delivery, len(b.Events)+len(b.Attempts)),
		attempts:   make(map[string]*Attempt, len(b.Attempts)),
		deferrals:  map[deferralKey]*Deferral{},
		rejections: map[string]*Rejection{},
		changes:    map[string]*Change{},
		endpoints:  map[string]*Endpoint{},
	}
	for _, e := range b.Events {
		r.event(e)
	}
	for _, d := range b.Requested {
		r.requested(d)
	}
	for _, a := range b.Attempts {
		r.attempt(a)
	}
	for _, d := range b.Deferrals {
		r.deferral(d)
	}
	for _, j := range b.Rejections {
		r.rejection(j)
	}
	for _, c := range b.Changes {
		r.change(c)
	}
	return r.rows(b.Offsets)
}

type reducer struct {
	events     map[string]*Event
	repeats    map[Repeat]struct{}
	decisions  map[decisionKey]*Decision
	deliveries map[string]*Delivery
	attempts   map[string]*Attempt
	deferrals  map[deferralKey]*Deferral
	rejections map[string]*Rejection
	changes    map[string]*Change
	endpoints  map[string]*Endpoint
}

func (r *reducer) event(m *aftercallv1.Event) {
	routed := firstTime(at(m.GetRoutedAt()), at(m.GetProducedAt()), at(m.GetOccurredAt()), epoch)
	e := &Event{
		EventID:      store.CleanID(m.GetEventId()),
		Tenant:       store.CleanID(m.GetTenant()),
		Source:       store.CleanID(m.GetSource()),
		EventType:    store.CleanID(m.GetEventType()),
		CeID:         store.CleanID(m.GetCeId()),
		CallID:       store.CleanID(m.GetCallId()),
		ScenarioID:   store.CleanID(m.GetScenarioId()),
		ParentID:     store.CleanID(m.GetParentId()),
		OUPath:       store.CleanID(m.GetOuPath()),
		Cause:        store.CauseWord(m.GetCause()),
		OccurredAt:   firstTime(at(m.GetOccurredAt()), at(m.GetProducedAt()), routed),
		ProducedAt:   at(m.GetProducedAt()),
		RoutedAt:     routed,
		PayloadBytes: len(m.GetPayload()),
		Position:     positionOf(m.GetPosition()),
		Payload:      m.GetPayload(),
	}
	if e.Payload == nil {
		e.Payload = []byte{}
	}
	if e.Cause == "" {
		e.Cause = store.CauseCallEnded
	}
	if m.GetDuplicateOf() != nil {
		e.Duplicate = 1
	}
	for _, d := range m.GetDecisions() {
		if d.GetOutcome() != aftercallv1.Decision_OUTCOME_MATCHED {
			dec := &Decision{
				EventID: e.EventID, SubscriptionID: store.CleanID(d.GetSubscriptionId()), Version: d.GetSubscriptionVersion(),
				Outcome: store.OutcomeWord(d.GetOutcome()), OccurredAt: e.OccurredAt,
			}
			r.decisions[dec.key()] = dec
			continue
		}
		e.Matched++
		if m.GetDuplicateOf() != nil || d.GetDeliveryId() == "" {
			continue
		}
		r.deliver(&Delivery{
			DeliveryID: store.CleanID(d.GetDeliveryId()), EventID: e.EventID, SubscriptionID: store.CleanID(d.GetSubscriptionId()),
			Tenant: e.Tenant, EventType: e.EventType, CallID: e.CallID, Cause: e.Cause,
			OccurredAt: e.OccurredAt, QueuedAt: routed, Routed: true,
			State: store.StateQueued, Rank: rankQueued, UpdatedAt: routed,
		})
	}
	e.Detail = marshal(&aftercallv1.Event{
		Decisions: m.GetDecisions(), SubscriptionsOffset: m.GetSubscriptionsOffset(), DuplicateOf: m.GetDuplicateOf(),
		Traceparent: m.GetTraceparent(), Warnings: m.GetWarnings(),
	})
	old := r.events[e.EventID]
	switch {
	case old == nil:
		r.events[e.EventID] = e
	case e.Before(old):
		r.events[e.EventID] = e
		r.repeat(e.EventID, old.Position, e.Position)
	default:
		r.repeat(e.EventID, e.Position, old.Position)
	}
}

func (r *reducer) repeat(eventID string, loser, winner store.Position) {
	if loser != winner {
		r.repeats[Repeat{eventID, loser}] = struct{}{}
	}
}

func (r *reducer) requested(m *store.RequestedDelivery) {
	queued := firstTime(at(m.GetFirstQueuedAt()), at(m.GetOccurredAt()), epoch)
	r.deliver(&Delivery{
		DeliveryID: store.CleanID(m.GetDeliveryId()), EventID: store.CleanID(m.GetEventId()), SubscriptionID: store.CleanID(m.GetSubscriptionId()),
		Tenant: store.CleanID(m.GetTenant()), EventType: store.CleanID(m.GetEventType()), CallID: store.CleanID(m.GetCallId()),
		Cause: store.CauseWord(m.GetCause()), RequestID: store.CleanID(m.GetRequestId()), RequestedBy: store.CleanID(m.By),
		OccurredAt: at(m.GetOccurredAt()), QueuedAt: queued,
		State: store.StateQueued, Rank: rankQueued, UpdatedAt: queued,
	})
}

func (r *reducer) attempt(m *store.AttemptAt) {
	recorded := store.CleanTime(m.StoredAt)
	a := &Attempt{
		AttemptID:       store.CleanID(m.GetAttemptId()),
		DeliveryID:      store.CleanID(m.GetDeliveryId()),
		EventID:         store.CleanID(m.GetEventId()),
		SubscriptionID:  store.CleanID(m.GetSubscriptionId()),
		EventType:       store.CleanID(m.GetEventType()),
		CallID:          store.CleanID(m.GetCallId()),
		Cause:           store.CauseWord(m.GetCause()),
		Number:          m.GetAttempt(),
		AttemptsAllowed: m.GetAttemptsAllowed(),
		StartedAt:       firstTime(at(m.GetStartedAt()), recorded, at(m.GetFirstQueuedAt()), epoch),
		Result:          store.ResultWord(m.GetResult()),
		ErrorClass:      store.ErrorWord(m.GetErrorClass()),
		HTTPStatus:      m.GetHttpStatus(),
		NextAttemptAt:   at(m.GetNextAttemptAt()),
		State:           store.StateWord(m.GetState()),
		Reason:          store.CleanID(m.GetReason()),
		RecordedAt:      recorded,
		Record:          positionOf(m.Record),
	}
	if a.AttemptID == "" {
		a.AttemptID = positionID(a.Record)
	}
	if a.Reason == "" {
		a.Reason = store.CleanID(m.GetStateReason())
	}
	total := m.GetTimings().GetTotal().AsDuration()
	a.DurationMS = total.Milliseconds()
	a.Bucket = store.LatencyBucket(total)
	if a.Result == store.ResultNotSent {
		a.Bucket = store.NoLatency
	}
	if occurred := at(m.GetOccurredAt()); a.Result == store.ResultDelivered && !occurred.IsZero() {
		ms := a.StartedAt.Add(total).Sub(occurred).Milliseconds()
		a.CallEndToDeliveredMS = &ms
	}
	a.Detail = marshal(&aftercallv1.Attempt{
		SubscriptionVersion: m.GetSubscriptionVersion(), Tenant: m.GetTenant(), Deferrals: m.GetDeferrals(), Timings: m.GetTimings(),
		RemoteAddress: m.GetRemoteAddress(), Error: m.GetError(), RequestHeaders: m.GetRequestHeaders(), ResponseHeaders: m.GetResponseHeaders(),
		ResponseBody: m.GetResponseBody(), ResponseTruncated: m.GetResponseTruncated(), RequestUrl: m.GetRequestUrl(), RequestBytes: m.GetRequestBytes(),
		Sender: m.GetSender(), Position: m.GetPosition(), OccurredAt: m.GetOccurredAt(), FirstQueuedAt: m.GetFirstQueuedAt(),
		RequestId: m.GetRequestId(), WebhookId: m.GetWebhookId(), Reason: m.GetReason(), StateReason: m.GetStateReason(),
	})
	if _, seen := r.attempts[a.AttemptID]; seen {
		return
	}
	r.attempts[a.AttemptID] = a

	d := &Delivery{
		DeliveryID: a.DeliveryID, EventID: a.EventID, SubscriptionID: a.SubscriptionID, Tenant: store.CleanID(m.GetTenant()),
		EventType: a.EventType, CallID: a.CallID, Cause: a.Cause, RequestID: store.CleanID(m.GetRequestId()),
		OccurredAt: at(m.GetOccurredAt()), QueuedAt: firstTime(at(m.GetFirstQueuedAt()), at(m.GetOccurredAt()), a.StartedAt),
		State: a.State, Reason: a.Reason, NextAttemptAt: a.NextAttemptAt, Rank: rankOf(a.State), Made: a.Number,
		Deferrals: m.GetDeferrals(), UpdatedAt: a.StartedAt, UpdatedBy: a.AttemptID,
		LastRank: rankOf(a.State), Number: a.Number, LastAttemptAt: a.StartedAt, LastAttemptID: a.AttemptID,
		AttemptsAllowed: a.AttemptsAllowed, Result: a.Result, ErrorClass: a.ErrorClass, HTTPStatus: a.HTTPStatus,
		CallEndToDeliveredMS: a.CallEndToDeliveredMS,
	}
	r.deliver(d)

	e := &Endpoint{SubscriptionID: a.SubscriptionID, LastAttemptAt: a.StartedAt, LastAttemptID: a.AttemptID}
	switch a.Result {
	case store.ResultDelivered:
		e.LastSuccessAt = a.StartedAt
	case store.ResultFailed:
		e.LastFailureAt = a.StartedAt
	default:
		return
	}
	if old := r.endpoints[e.SubscriptionID]; old != nil {
		old.merge(e)
	} else {
		r.endpoints[e.SubscriptionID] = e
	}
}

func (r *reducer) deferral(m *store.DeferralAt) {
	d := &Deferral{
		DeliveryID: store.CleanID(m.GetDeliveryId()), Number: m.GetAttempt(), Deferrals: m.GetDeferrals(),
		At:             firstTime(at(m.GetAt()), store.CleanTime(m.StoredAt), at(m.GetFirstQueuedAt()), epoch),
		SubscriptionID: store.CleanID(m.GetSubscriptionId()), Reason: store.CleanID(m.GetReason()),
		Until: at(m.GetUntil()), Sender: store.CleanID(m.GetSender()),
	}
	if _, seen := r.deferrals[d.key()]; seen {
		return
	}
	r.deferrals[d.key()] = d
	r.deliver(&Delivery{
		DeliveryID: d.DeliveryID, EventID: store.CleanID(m.GetEventId()), SubscriptionID: d.SubscriptionID, Tenant: store.CleanID(m.GetTenant()),
		EventType: store.CleanID(m.GetEventType()), CallID: store.CleanID(m.GetCallId()), Cause: store.CauseWord(m.GetCause()),
		OccurredAt: at(m.GetOccurredAt()), QueuedAt: firstTime(at(m.GetFirstQueuedAt()), at(m.GetOccurredAt()), d.At),
		State: store.StateWaiting, Reason: d.Reason, NextAttemptAt: d.Until, Rank: rankWaiting,
		// It names the attempt to come: those before it are made.
		Made: max(d.Number-1, 0), PutOff: 1, Deferrals: d.Deferrals, UpdatedAt: d.At, UpdatedBy: d.Sender,
	})
}

func (r *reducer) deliver(d *Delivery) {
	if old := r.deliveries[d.DeliveryID]; old != nil {
		old.merge(d)
		return
	}
	r.deliveries[d.DeliveryID] = d
}

func (r *reducer) rejection(m *store.RejectionAt) {
	p := positionOf(m.GetPosition())
	if p.Topic == "" {
		p = positionOf(m.Record)
	}
	j := &Rejection{
		ID: positionID(p), Position: p, LastOffset: m.GetLastOffset(), Code: store.CleanID(m.GetCode()), Field: store.CleanID(m.GetField()),
		Reason: store.Clean(m.GetReason()), EventType: store.CleanID(m.GetEventType()), Tenant: store.CleanID(m.GetTenant()),
		Payload: m.GetPayload(), Truncated: m.GetPayloadTruncated(), PayloadBytes: m.GetPayloadBytes(),
		ProducedAt: at(m.GetProducedAt()), RejectedAt: firstTime(at(m.GetRejectedAt()), store.CleanTime(m.StoredAt), epoch),
	}
	if j.Payload == nil {
		j.Payload = []byte{}
	}
	if old := r.rejections[j.ID]; old == nil || j.RejectedAt.Before(old.RejectedAt) {
		r.rejections[j.ID] = j
	}
}

func (r *reducer) change(m *aftercallv1.EndpointChange) {
	c := &Change{
		ChangeID: store.CleanID(m.GetChangeId()), SubscriptionID: store.CleanID(m.GetSubscriptionId()), Version: m.GetSubscriptionVersion(),
		Kind: store.ChangeWord(m.GetKind()), Reason: store.CleanID(m.GetReason()), At: firstTime(at(m.GetAt()), epoch),
		Until: at(m.GetUntil()), Sender: store.CleanID(m.GetSender()),
	}
	if c.ChangeID == "" {
		c.ChangeID = store.CleanID(fmt.Sprintf("%s/%d/%s/%d/%s", c.SubscriptionID, c.Version, c.Kind, c.At.UnixMicro(), c.Sender))
	}
	r.changes[c.ChangeID] = c
}

func (r *reducer) rows(offsets []store.Offset) *Rows {
	out := &Rows{
		Events: values(r.events), Decisions: values(r.decisions), Deliveries: values(r.deliveries), Attempts: values(r.attempts),
		Deferrals: values(r.deferrals), Rejections: values(r.rejections), Changes: values(r.changes), Endpoints: values(r.endpoints),
		Offsets: append([]store.Offset(nil), offsets...),
	}
	for p := range r.repeats {
		out.Repeats = append(out.Repeats, p)
	}
	sort.Slice(out.Events, func(i, j int) bool { return out.Events[i].EventID < out.Events[j].EventID })
	sort.Slice(out.Repeats, func(i, j int) bool { return out.Repeats[i].less(out.Repeats[j]) })
	sort.Slice(out.Decisions, func(i, j int) bool { return out.Decisions[i].key().less(out.Decisions[j].key()) })
	sort.Slice(out.Deliveries, func(i, j int) bool { return out.Deliveries[i].DeliveryID < out.Deliveries[j].DeliveryID })
	sort.Slice(out.Attempts, func(i, j int) bool { return out.Attempts[i].AttemptID < out.Attempts[j].AttemptID })
	sort.Slice(out.Deferrals, func(i, j int) bool { return out.Deferrals[i].key().less(out.Deferrals[j].key()) })
	sort.Slice(out.Rejections, func(i, j int) bool { return out.Rejections[i].ID < out.Rejections[j].ID })
	sort.Slice(out.Changes, func(i, j int) bool { return out.Changes[i].ChangeID < out.Changes[j].ChangeID })
	sort.Slice(out.Endpoints, func(i, j int) bool { return out.Endpoints[i].SubscriptionID < out.Endpoints[j].SubscriptionID })
	sort.Slice(out.Offsets, func(i, j int) bool {
		a, b := out.Offsets[i], out.Offsets[j]
		if a.Topic != b.Topic {
			return a.Topic < b.Topic
		}
		return a.Partition < b.Partition
	})
	for i := range out.Offsets {
		out.Offsets[i].Until = store.CleanTime(out.Offsets[i].Until)
	}
	return out
}

func values[K comparable, V any](m map[K]*V) []V {
	out := make([]V, 0, len(m))
	for _, v := range m {
		out = append(out, *v)
	}
	return out
}

// epoch stands where no record names a time: rows must sort somewhere.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func firstTime(ts ...time.Time) time.Time {
	for _, t := range ts {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

type stamp interface{ AsTime() time.Time }

func at[T interface {
	stamp
	comparable
}](t T) time.Time {
	var none T
	if t == none {
		return time.Time{}
	}
	return store.CleanTime(t.AsTime())
}

func positionOf(p *aftercallv1.Position) store.Position {
	return store.Position{Topic: store.CleanID(p.GetTopic()), Partition: p.GetPartition(), Offset: p.GetOffset()}
}

func positionID(p store.Position) string {
	return p.Topic + "/" + strconv.Itoa(int(p.Partition)) + "/" + strconv.FormatInt(p.Offset, 10)
}

// marshal cannot fail for what was read from Kafka: protobuf has refused
// invalid UTF-8 there. Others' messages are cleaned and marshalled again.
func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err == nil {
		return nonNil(b)
	}
	m = proto.Clone(m)
	clean(m.ProtoReflect())
	b, _ = proto.Marshal(m)
	return nonNil(b)
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
