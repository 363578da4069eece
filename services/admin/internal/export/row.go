package export

import (
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Attempt is a row of the list, as API and exports write it. It has the columns of
// v_attempts.
type Attempt struct {
	AttemptID            string    `json:"attempt_id"`
	DeliveryID           string    `json:"delivery_id"`
	EventID              string    `json:"event_id"`
	SubscriptionID       string    `json:"subscription_id"`
	SubscriptionName     string    `json:"subscription_name"`
	EventType            string    `json:"event_type"`
	CallID               string    `json:"call_id"`
	Cause                string    `json:"cause" enum:"call_ended,test,resend,replay"`
	Attempt              int32     `json:"attempt" doc:"1-based."`
	AttemptsAllowed      int32     `json:"attempts_allowed"`
	StartedAt            wire.Time `json:"started_at"`
	Result               string    `json:"result" enum:"delivered,failed,not_sent"`
	ErrorClass           string    `json:"error_class,omitempty" doc:"dns, connect, tls, timeout, reset, protocol, status or policy."`
	HTTPStatus           int32     `json:"http_status,omitempty" doc:"Left out when there was no answer."`
	DurationMS           int64     `json:"duration_ms"`
	CallEndToDeliveredMS *int64    `json:"call_end_to_delivered_ms,omitempty"`
	NextAttemptAt        wire.Time `json:"next_attempt_at,omitzero"`
	State                string    `json:"state" doc:"The state in which it left the delivery: queued, waiting, delivered, given_up or stopped."`
	Reason               string    `json:"reason,omitempty"`
}

// Row is an attempt as it is written.
func Row(a store.Attempt) Attempt {
	return Attempt{
		AttemptID: a.AttemptID, DeliveryID: a.DeliveryID, EventID: a.EventID, SubscriptionID: a.SubscriptionID, SubscriptionName: a.SubscriptionName,
		EventType: a.EventType, CallID: a.CallID, Cause: a.Cause, Attempt: a.Attempt, AttemptsAllowed: a.AttemptsAllowed, StartedAt: wire.At(a.StartedAt),
		Result: a.Result, ErrorClass: a.ErrorClass, HTTPStatus: a.HTTPStatus, DurationMS: a.DurationMS, CallEndToDeliveredMS: a.CallEndToDeliveredMS,
		NextAttemptAt: wire.At(a.NextAttemptAt), State: a.State, Reason: a.Reason,
	}
}
