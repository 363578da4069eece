package api

import (
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/export"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// List is one page of a list, newest first.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor" doc:"The cursor of the next page, empty on the last one."`
}

func list[S, T any](rows []S, next string, convert func(S) T) List[T] {
	out := List[T]{Items: make([]T, len(rows)), NextCursor: next}
	for i, r := range rows {
		out.Items[i] = convert(r)
	}
	return out
}

// Attempt has the columns of v_attempts.
type Attempt = export.Attempt

func attemptRow(a store.Attempt) Attempt { return export.Row(a) }

// AttemptDetail is all that was kept of one attempt.
type AttemptDetail = export.AttemptDetail

func attemptDetail(a *store.AttemptDetail) AttemptDetail { return export.Detail(a) }

// Delivery has the columns of v_deliveries.
type Delivery struct {
	DeliveryID           string    `json:"delivery_id"`
	EventID              string    `json:"event_id"`
	SubscriptionID       string    `json:"subscription_id"`
	SubscriptionName     string    `json:"subscription_name"`
	EventType            string    `json:"event_type"`
	CallID               string    `json:"call_id"`
	Cause                string    `json:"cause"`
	State                string    `json:"state" enum:"queued,waiting,delivered,given_up,stopped"`
	Reason               string    `json:"reason,omitempty"`
	Attempt              int32     `json:"attempt" doc:"Number of the last attempt, 0 before the first."`
	AttemptsAllowed      int32     `json:"attempts_allowed"`
	Deferrals            int32     `json:"deferrals"`
	Result               string    `json:"result,omitempty"`
	ErrorClass           string    `json:"error_class,omitempty"`
	HTTPStatus           int32     `json:"http_status,omitempty"`
	LastAttemptID        string    `json:"last_attempt_id,omitempty"`
	LastAttemptAt        wire.Time `json:"last_attempt_at,omitzero"`
	NextAttemptAt        wire.Time `json:"next_attempt_at,omitzero"`
	OccurredAt           wire.Time `json:"occurred_at,omitzero"`
	FirstQueuedAt        wire.Time `json:"first_queued_at"`
	UpdatedAt            wire.Time `json:"updated_at"`
	CallEndToDeliveredMS *int64    `json:"call_end_to_delivered_ms,omitempty"`
	RequestID            string    `json:"request_id,omitempty"`
	RequestedBy          string    `json:"requested_by,omitempty"`
}

func deliveryRow(d store.Delivery) Delivery {
	return Delivery{
		DeliveryID: d.DeliveryID, EventID: d.EventID, SubscriptionID: d.SubscriptionID, SubscriptionName: d.SubscriptionName, EventType: d.EventType,
		CallID: d.CallID, Cause: d.Cause, State: d.State, Reason: d.Reason, Attempt: d.Attempt, AttemptsAllowed: d.AttemptsAllowed, Deferrals: d.Deferrals,
		Result: d.Result, ErrorClass: d.ErrorClass, HTTPStatus: d.HTTPStatus, LastAttemptID: d.LastAttemptID, LastAttemptAt: wire.At(d.LastAttemptAt),
		NextAttemptAt: wire.At(d.NextAttemptAt), OccurredAt: wire.At(d.OccurredAt), FirstQueuedAt: wire.At(d.FirstQueuedAt), UpdatedAt: wire.At(d.UpdatedAt),
		CallEndToDeliveredMS: d.CallEndToDeliveredMS, RequestID: d.RequestID, RequestedBy: d.RequestedBy,
	}
}

// Event has the columns of v_events.
type Event struct {
	EventID      string         `json:"event_id"`
	Tenant       string         `json:"tenant"`
	Source       string         `json:"source,omitempty"`
	EventType    string         `json:"event_type"`
	CeID         string         `json:"ce_id,omitempty"`
	CallID       string         `json:"call_id"`
	ScenarioID   string         `json:"scenario_id,omitempty"`
	ParentID     string         `json:"parent_id,omitempty"`
	OUPath       string         `json:"ou_path,omitempty"`
	Cause        string         `json:"cause"`
	OccurredAt   wire.Time      `json:"occurred_at"`
	ProducedAt   wire.Time      `json:"produced_at,omitzero"`
	RoutedAt     wire.Time      `json:"routed_at,omitzero"`
	Matched      int32          `json:"matched" doc:"Deliveries decided on."`
	Duplicate    bool           `json:"duplicate" doc:"Only repeats of this event are known."`
	PayloadBytes int32          `json:"payload_bytes"`
	Position     store.Position `json:"position" doc:"Where the CDR was read."`
}

func eventRow(e store.Event) Event {
	return Event{
		EventID: e.EventID, Tenant: e.Tenant, Source: e.Source, EventType: e.EventType, CeID: e.CeID, CallID: e.CallID, ScenarioID: e.ScenarioID,
		ParentID: e.ParentID, OUPath: e.OUPath, Cause: e.Cause, OccurredAt: wire.At(e.OccurredAt), ProducedAt: wire.At(e.ProducedAt), RoutedAt: wire.At(e.RoutedAt),
		Matched: e.Matched, Duplicate: e.Duplicate, PayloadBytes: e.PayloadBytes, Position: e.Position,
	}
}

// EventDetail is an event with what was decided about it.
type EventDetail struct {
	Event
	Decisions      []store.Decision `json:"decisions" doc:"Subscriptions that matched, and those that would have but for one reason."`
	Warnings       []string         `json:"warnings" doc:"Deviations from the schema, delivered all the same."`
	Traceparent    string           `json:"traceparent,omitempty"`
	Repeats        []store.Position `json:"repeats" doc:"Further records that are the same event; nothing was sent for them."`
	PayloadExpired bool             `json:"payload_expired"`
	ErasedAt       *wire.Time       `json:"erased_at,omitempty" doc:"When its personal data was erased."`
	// Payload is the CDR where it was asked for.
	Payload any `json:"payload,omitempty" doc:"The CDR; on /events/{id} only, and absent once expired."`
}

func eventDetail(e store.EventDetail) EventDetail {
	out := EventDetail{Event: eventRow(e.Event), Decisions: e.Decisions, Warnings: e.Warnings, Traceparent: e.Traceparent, Repeats: e.Repeats, PayloadExpired: e.PayloadExpired, ErasedAt: maybe(e.ErasedAt)}
	if out.Repeats == nil {
		out.Repeats = []store.Position{}
	}
	if out.Decisions == nil {
		out.Decisions = []store.Decision{}
	}
	if out.Warnings == nil {
		out.Warnings = []string{}
	}
	return out
}

// CallEvent is a record of a call and its place in the call's tree.
type CallEvent struct {
	EventDetail
	ParentEventID string `json:"parent_event_id,omitempty" doc:"The record that this one stands under; absent for a root."`
	Depth         int    `json:"depth" doc:"0 for a root."`
}

func callEvent(e store.CallEvent) CallEvent {
	return CallEvent{EventDetail: eventDetail(e.EventDetail), ParentEventID: e.ParentEventID, Depth: e.Depth}
}

// Call is everything known of one call.
type Call struct {
	Events     []CallEvent `json:"events" doc:"In the order of the tree: each follows its parent."`
	Deliveries []Delivery  `json:"deliveries"`
	Attempts   []Attempt   `json:"attempts"`
	Truncated  bool        `json:"truncated" doc:"There is more than fits here: ask /deliveries and /attempts."`
}

// Rejection is a record that cannot be a CDR.
type Rejection struct {
	ID               string         `json:"id" doc:"topic/partition/offset."`
	Position         store.Position `json:"position"`
	LastOffset       int64          `json:"last_offset,omitempty"`
	Code             string         `json:"code"`
	Field            string         `json:"field,omitempty"`
	Reason           string         `json:"reason"`
	EventType        string         `json:"event_type,omitempty"`
	Tenant           string         `json:"tenant"`
	PayloadBytes     int64          `json:"payload_bytes"`
	PayloadTruncated bool           `json:"payload_truncated,omitempty"`
	ProducedAt       wire.Time      `json:"produced_at,omitzero"`
	RejectedAt       wire.Time      `json:"rejected_at"`
}

func rejectionRow(r store.Rejection) Rejection {
	return Rejection{ID: r.ID, Position: r.Position, LastOffset: r.LastOffset, Code: r.Code, Field: r.Field, Reason: r.Reason, EventType: r.EventType,
		Tenant: r.Tenant, PayloadBytes: r.PayloadBytes, PayloadTruncated: r.PayloadTruncated, ProducedAt: wire.At(r.ProducedAt), RejectedAt: wire.At(r.RejectedAt)}
}

// Token is an API token without its text.
type Token struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Scopes     []string  `json:"scopes"`
	CreatedBy  string    `json:"created_by,omitempty"`
	CreatedAt  wire.Time `json:"created_at"`
	ExpiresAt  wire.Time `json:"expires_at,omitzero"`
	RevokedAt  wire.Time `json:"revoked_at,omitzero"`
	LastUsedAt wire.Time `json:"last_used_at,omitzero"`
	// Text is there once: in the answer to the creation.
	Text string `json:"token,omitempty" doc:"Only in the answer to the creation. It is not shown again."`
}

func tokenRow(t store.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedBy: t.CreatedBy, CreatedAt: wire.At(t.CreatedAt), ExpiresAt: wire.At(t.ExpiresAt), RevokedAt: wire.At(t.RevokedAt), LastUsedAt: wire.At(t.LastUsedAt)}
}
