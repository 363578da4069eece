package store

import (
	"time"
)

// Page asks for one page of a list, newest first. Limit is 1 to 1,000, 0 for
// 50. Cursor is the next of the page before, or empty.
type Page struct {
	Limit  int
	Cursor string
}

// AttemptQuery selects attempts; empty fields select all. From is inclusive, To
// exclusive; both speak of the attempt's start.
type AttemptQuery struct {
	SubscriptionID string
	EventType      string
	CallID         string
	DeliveryID     string
	EventID        string
	// Result is delivered, failed or not_sent.
	Result string
	// State is the state in which the attempt left the delivery.
	State string
	// ErrorClass is dns, connect, tls, timeout, reset, protocol, status or policy.
	ErrorClass string
	// Status is a code ("503") or a class of codes ("5xx").
	Status string
	// Cause is call_ended, test, resend or replay, or not_test for all but tests.
	Cause string
	// MinAttempt and MaxAttempt are the first and the last number that an attempt
	// may have. No index knows it: the others, and the newest first, do the work.
	MinAttempt, MaxAttempt int32
	From, To               time.Time
	Page
}

// Attempt is a row of v_attempts.
type Attempt struct {
	AttemptID        string    `json:"attempt_id"`
	DeliveryID       string    `json:"delivery_id"`
	EventID          string    `json:"event_id"`
	SubscriptionID   string    `json:"subscription_id"`
	SubscriptionName string    `json:"subscription_name"`
	EventType        string    `json:"event_type"`
	CallID           string    `json:"call_id"`
	Cause            string    `json:"cause"`
	Attempt          int32     `json:"attempt"`
	AttemptsAllowed  int32     `json:"attempts_allowed"`
	StartedAt        time.Time `json:"started_at"`
	Result           string    `json:"result"`
	ErrorClass       string    `json:"error_class,omitempty"`
	// HTTPStatus is 0 when there was no answer.
	HTTPStatus int32 `json:"http_status,omitempty"`
	DurationMS int64 `json:"duration_ms"`
	// CallEndToDeliveredMS is set on delivered ones.
	CallEndToDeliveredMS *int64 `json:"call_end_to_delivered_ms,omitempty"`
	// NextAttemptAt is set when State is waiting.
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	State         string    `json:"state"`
	Reason        string    `json:"reason,omitempty"`
}

// AttemptDetail is one attempt with all that was kept of it.
type AttemptDetail struct {
	Attempt
	SubscriptionVersion int64     `json:"subscription_version"`
	Tenant              string    `json:"tenant"`
	RequestID           string    `json:"request_id,omitempty"`
	WebhookID           string    `json:"webhook_id"`
	RequestURL          string    `json:"request_url"`
	RequestBytes        int32     `json:"request_bytes"`
	RequestHeaders      []Header  `json:"request_headers"`
	ResponseHeaders     []Header  `json:"response_headers"`
	ResponseBody        []byte    `json:"response_body"`
	ResponseTruncated   bool      `json:"response_truncated"`
	Error               string    `json:"error,omitempty"`
	Timings             Timings   `json:"timings"`
	RemoteAddress       string    `json:"remote_address,omitempty"`
	Deferrals           int32     `json:"deferrals"`
	OccurredAt          time.Time `json:"occurred_at,omitzero"`
	FirstQueuedAt       time.Time `json:"first_queued_at,omitzero"`
	Sender              string    `json:"sender"`
	// Position is where the delivery was read, Record where this attempt's own
	// record stands in the history topic.
	Position Position `json:"position"`
	Record   Position `json:"record"`
	// RecordedAt is the time of that record.
	RecordedAt time.Time `json:"recorded_at,omitzero"`
}

// Header is one header as sent or received.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Timings are the phases of one request, in microseconds.
type Timings struct {
	DNS              int64 `json:"dns_us"`
	Connect          int64 `json:"connect_us"`
	TLS              int64 `json:"tls_us"`
	FirstByte        int64 `json:"first_byte_us"`
	Total            int64 `json:"total_us"`
	ConnectionReused bool  `json:"connection_reused"`
}

// Position is a place in Kafka; an empty topic means unknown.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// DeliveryQuery selects deliveries; Result, ErrorClass and Status speak of the
// last attempt, From and To of when the delivery was first queued.
type DeliveryQuery struct {
	SubscriptionID string
	EventType      string
	CallID         string
	DeliveryID     string
	EventID        string
	Result         string
	State          string
	ErrorClass     string
	Status         string
	Cause          string
	From, To       time.Time
	Page
}

// Delivery is a row of v_deliveries: one event for one subscription, and where
// it stands.
type Delivery struct {
	DeliveryID       string `json:"delivery_id"`
	EventID          string `json:"event_id"`
	SubscriptionID   string `json:"subscription_id"`
	SubscriptionName string `json:"subscription_name"`
	EventType        string `json:"event_type"`
	CallID           string `json:"call_id"`
	Cause            string `json:"cause"`
	State            string `json:"state"`
	// Reason of given_up and stopped; of a waiting one that was put off, why.
	Reason string `json:"reason,omitempty"`
	// Attempt is the number of the last attempt, 0 before the first.
	Attempt         int32 `json:"attempt"`
	AttemptsAllowed int32 `json:"attempts_allowed"`
	Deferrals       int32 `json:"deferrals"`
	// Result, ErrorClass, HTTPStatus, LastAttemptID and LastAttemptAt are of the
	// last attempt.
	Result        string    `json:"result,omitempty"`
	ErrorClass    string    `json:"error_class,omitempty"`
	HTTPStatus    int32     `json:"http_status,omitempty"`
	LastAttemptID string    `json:"last_attempt_id,omitempty"`
	LastAttemptAt time.Time `json:"last_attempt_at,omitzero"`
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	OccurredAt    time.Time `json:"occurred_at,omitzero"`
	FirstQueuedAt time.Time `json:"first_queued_at"`
	// UpdatedAt is the time of what brought it into its state.
	UpdatedAt            time.Time `json:"updated_at"`
	CallEndToDeliveredMS *int64    `json:"call_end_to_delivered_ms,omitempty"`
	RequestID            string    `json:"request_id,omitempty"`
	RequestedBy          string    `json:"requested_by,omitempty"`
}

// EventQuery selects events; From and To speak of when the call ended.
type EventQuery struct {
	EventType  string
	CallID     string
	ScenarioID string
	ParentID   string
	Cause      string
	From, To   time.Time
	Page
}

// Event is a row of v_events: one CDR as the router took it.
type Event struct {
	EventID    string    `json:"event_id"`
	Tenant     string    `json:"tenant"`
	Source     string    `json:"source,omitempty"`
	EventType  string    `json:"event_type"`
	CeID       string    `json:"ce_id,omitempty"`
	CallID     string    `json:"call_id"`
	ScenarioID string    `json:"scenario_id,omitempty"`
	ParentID   string    `json:"parent_id,omitempty"`
	OUPath     string    `json:"ou_path,omitempty"`
	Cause      string    `json:"cause"`
	OccurredAt time.Time `json:"occurred_at"`
	ProducedAt time.Time `json:"produced_at,omitzero"`
	RoutedAt   time.Time `json:"routed_at,omitzero"`
	// Matched counts the deliveries decided on.
	Matched int32 `json:"matched"`
	// Duplicate is true when only repeats of this event are known here.
	Duplicate    bool  `json:"duplicate"`
	PayloadBytes int32 `json:"payload_bytes"`
	// Position is where the CDR was read.
	Position Position `json:"position"`
}

// EventDetail is an event with what was decided about it.
type EventDetail struct {
	Event
	SubscriptionsOffset int64      `json:"subscriptions_offset"`
	Decisions           []Decision `json:"decisions"`
	Warnings            []string   `json:"warnings"`
	Traceparent         string     `json:"traceparent,omitempty"`
	// Repeats are where further records stand that are the same event.
	Repeats []Position `json:"repeats"`
	// PayloadExpired is true when the payload is gone.
	PayloadExpired bool `json:"payload_expired"`
	// ErasedAt is when its personal data was erased, zero when it was not.
	ErasedAt time.Time `json:"erased_at,omitzero"`
}

// Decision is what the router decided about one subscription.
type Decision struct {
	SubscriptionID      string `json:"subscription_id"`
	SubscriptionName    string `json:"subscription_name"`
	SubscriptionVersion int64  `json:"subscription_version"`
	// Outcome is matched, inactive, filter_false or filter_error.
	Outcome    string `json:"outcome"`
	DeliveryID string `json:"delivery_id,omitempty"`
	Detail     string `json:"detail,omitempty"`
}

// CallEvent is a record of a call and its place in the call's tree.
type CallEvent struct {
	EventDetail
	// ParentEventID is the record that it stands under, empty for a root.
	ParentEventID string `json:"parent_event_id,omitempty"`
	// Depth is 0 for a root.
	Depth int `json:"depth"`
}

// Call is everything known of the records that belong to one call. Events are
// in the order of the tree: each follows its parent.
type Call struct {
	Events     []CallEvent `json:"events"`
	Deliveries []Delivery  `json:"deliveries"`
	Attempts   []Attempt   `json:"attempts"`
	// Truncated is true when there is more than fits here.
	Truncated bool `json:"truncated,omitempty"`
}

// RejectionQuery selects rejections; From and To speak of when they were
// rejected.
type RejectionQuery struct {
	Topic    string
	Code     string
	From, To time.Time
	Page
}

// Rejection is a record that could not become what its topic holds.
type Rejection struct {
	// ID is "topic/partition/offset".
	ID       string   `json:"id"`
	Position Position `json:"position"`
	// LastOffset is set when a range was rejected in one go.
	LastOffset int64  `json:"last_offset,omitempty"`
	Code       string `json:"code"`
	Field      string `json:"field,omitempty"`
	Reason     string `json:"reason"`
	EventType  string `json:"event_type,omitempty"`
	Tenant     string `json:"tenant"`
	// Payload may hold personal data.
	Payload          []byte    `json:"-"`
	PayloadTruncated bool      `json:"payload_truncated,omitempty"`
	PayloadBytes     int64     `json:"payload_bytes"`
	ProducedAt       time.Time `json:"produced_at,omitzero"`
	RejectedAt       time.Time `json:"rejected_at"`
}

// SubscriptionStats are the figures of one subscription. Tests are left out of
// the counts, but not of LastAttempt.
type SubscriptionStats struct {
	// Attempts is Delivered + Failed: what was really sent.
	Attempts, Delivered, Failed int64
	// P95 of the requests' durations, at most 10 % too high.
	P95 time.Duration
	// LastAttempt is nil before the first.
	LastAttempt *Attempt
	// NextRetry is zero when nothing waits.
	NextRetry time.Time
	Waiting   int64
	// Hourly are the last 24 hours, the current one last.
	Hourly [24]HourStats
}

// HourStats are the figures of one hour.
type HourStats struct{ Delivered, Failed int64 }

// PartitionFreshness says up to when one partition is in the store.
type PartitionFreshness struct {
	Topic          string        `json:"topic"`
	Partition      int32         `json:"partition"`
	Offset         int64         `json:"offset"`
	ProjectedUntil time.Time     `json:"projected_until,omitzero"`
	Lag            time.Duration `json:"-"`
	LagSeconds     float64       `json:"lag_s"`
}

// EndpointHealth is a row of v_endpoint_health.
type EndpointHealth struct {
	SubscriptionID string    `json:"subscription_id"`
	LastAttemptAt  time.Time `json:"last_attempt_at,omitzero"`
	LastSuccessAt  time.Time `json:"last_success_at,omitzero"`
	LastFailureAt  time.Time `json:"last_failure_at,omitzero"`
	// LastChange is breaker_opened, breaker_closed, throttled or
	// disable_requested, or empty.
	LastChange       string    `json:"last_change,omitempty"`
	LastChangeReason string    `json:"last_change_reason,omitempty"`
	LastChangeAt     time.Time `json:"last_change_at,omitzero"`
	Until            time.Time `json:"until,omitzero"`
}

// DisableRequest asks that a subscription be switched off: an endpoint answered
// 410 to this version of it.
type DisableRequest struct {
	ChangeID            string
	SubscriptionID      string
	SubscriptionVersion int64
	Reason              string
	At                  time.Time
}

// SubscriptionQuery selects subscriptions.
type SubscriptionQuery struct {
	IncludeDeleted bool
}

// Actor is who asks for a change, as kept in the audit log.
type Actor struct {
	// Name of the user or token.
	Name string
	// Kind is session, token, setup or system.
	Kind string
	// Address of the client, or empty.
	Address string
}

// Token is an API token. Its text is never stored, only SHA-256 of it.
type Token struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Hash       []byte    `json:"-"`
	Scopes     []string  `json:"scopes"`
	CreatedBy  string    `json:"created_by,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// Session is one signed-in browser. Hash is SHA-256 of the cookie's value.
type Session struct {
	Hash []byte
	// User is how the audit log names them.
	User string
	// Scopes of whoever came by a one-time link. Empty for a user, whose role
	// says what they may.
	Scopes []string
	// UserID and Role are a user's, empty for whoever came by a one-time link.
	// Role is only read.
	UserID, Role string
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// LoginLink is a one-time link. Hash is SHA-256 of its token.
type LoginLink struct {
	Hash      []byte
	User      string
	Scopes    []string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// AuditEntry says who did what to what.
type AuditEntry struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Kind    string    `json:"kind"`
	Address string    `json:"address,omitempty"`
	// Action is a dotted noun.verb, as subscription.updated.
	Action string `json:"action"`
	// Object is the id of what it was done to.
	Object string `json:"object"`
	// Detail holds names and values that are no secrets.
	Detail map[string]string `json:"detail,omitempty"`
}

// AuditQuery selects entries of the audit log.
type AuditQuery struct {
	Actor, Action, Object string
	From, To              time.Time
	Page
}
