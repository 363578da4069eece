package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/stream"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// StreamDeferral is the data of an event "deferral".
type StreamDeferral struct {
	DeliveryID       string    `json:"delivery_id"`
	EventID          string    `json:"event_id"`
	SubscriptionID   string    `json:"subscription_id"`
	SubscriptionName string    `json:"subscription_name"`
	EventType        string    `json:"event_type"`
	CallID           string    `json:"call_id"`
	Cause            string    `json:"cause"`
	Attempt          int32     `json:"attempt" doc:"Number of the attempt to come."`
	Deferrals        int32     `json:"deferrals"`
	Reason           string    `json:"reason" doc:"rate, breaker, queue_full, retry_after, paused or subscription_unknown."`
	At               wire.Time `json:"at"`
	Until            wire.Time `json:"until,omitzero"`
}

// StreamEndpoint is the data of an event "endpoint".
type StreamEndpoint struct {
	ChangeID         string    `json:"change_id"`
	SubscriptionID   string    `json:"subscription_id"`
	SubscriptionName string    `json:"subscription_name"`
	Change           string    `json:"change" doc:"breaker_opened, breaker_closed, throttled or disable_requested."`
	Reason           string    `json:"reason,omitempty"`
	At               wire.Time `json:"at"`
	Until            wire.Time `json:"until,omitzero"`
}

// StreamGap is the data of an event "gap".
type StreamGap struct {
	Reason  string `json:"reason" enum:"coalesced,retention,behind,unknown_position" doc:"coalesced: more at a time than rows allows, or than you took. retention: Kafka has them no more. behind: too many to catch up with. unknown_position: the id is none of this history."`
	Dropped int64  `json:"dropped" doc:"What was left out: rows that match (coalesced), records of the history (retention, behind), 0 when unknown."`
}

type streamRequest struct {
	AttemptFilters
	Rows        int    `query:"rows" minimum:"1" maximum:"1000" default:"100" doc:"Most attempts, deferrals and changes at a time, of which there are five a second. What is more is counted in a gap, and the newest are kept."`
	Since       string `query:"since" maxLength:"16384" doc:"Id of the last event that you have; the header Last-Event-ID comes before it. Left out: from now on." example:"0:812,1:77"`
	LastEventID string `header:"Last-Event-ID" maxLength:"16384"`
}

func (r *streamRequest) listen() stream.Request {
	since := r.LastEventID
	if since == "" {
		since = r.Since
	}
	return stream.Request{Since: since, Rows: r.Rows, Filter: stream.Filter{
		Subscription: r.Subscription, EventType: r.EventType, Call: r.Call, Delivery: r.Delivery, Event: r.Filters.Event, Result: r.Result, State: r.State,
		Status: r.Status, Error: r.Error, Cause: r.Cause, MinAttempt: r.MinAttempt, MaxAttempt: r.MaxAttempt, From: r.From, To: r.To,
	}}
}

// stream is what happens, while it happens.
func (a *API) stream() {
	schemas := a.huma.OpenAPI().Components.Schemas
	for _, t := range []reflect.Type{reflect.TypeFor[Attempt](), reflect.TypeFor[StreamDeferral](), reflect.TypeFor[StreamEndpoint](), reflect.TypeFor[StreamGap]()} {
		schemas.Schema(t, true, t.Name())
	}
	route(a, access.Read, huma.Operation{OperationID: "stream", Method: http.MethodGet, Path: "/stream", Summary: "What happens, while it happens", Tags: []string{"History"},
		Description: "Server-sent events, read from Kafka: `attempt` (data: Attempt), `deferral` (StreamDeferral), `endpoint` (StreamEndpoint) and `gap` (StreamGap), which says what was left out and why. " +
			"The id of each names the place in every partition of the history: come back with it (Last-Event-ID, or since) and what followed comes, all of it and each once. " +
			"A filter on what a record does not have leaves it out: result=failed tells attempts only. A quiet stream sends a comment every 15 s. " +
			"It ends when its token is revoked or expires, and when this process does.",
		Errors: []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {Description: "The stream.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
			Type: huma.TypeString, Description: "Events as the HTML standard describes them; the data of each is one JSON object in one line."}}}}}},
		func(ctx context.Context, in *streamRequest) (*huma.StreamResponse, error) {
			listener, err := a.webhooks.Listen(ctx, in.listen())
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				r, w := humago.Unwrap(hc)
				err := listener.Serve(r.Context(), w, stream.Way{Encode: streamEvent, Allowed: func(ctx context.Context) error {
					p, err := access.Bearer(ctx, a.store, r.Header.Get("Authorization"), host(r.RemoteAddr))
					return webhooks.Allowed(p, err)
				}})
				if err != nil && !errors.Is(err, context.Canceled) {
					a.logger.Warn("stream.ended", zap.Error(err))
				}
			}}, nil
		})
}

func streamEvent(i *stream.Item) (any, error) {
	at := wire.At
	a := i.Attempt
	switch i.Kind {
	case stream.KindDeferral:
		return StreamDeferral{DeliveryID: a.DeliveryID, EventID: a.EventID, SubscriptionID: a.SubscriptionID, SubscriptionName: a.SubscriptionName, EventType: a.EventType,
			CallID: a.CallID, Cause: a.Cause, Attempt: a.Attempt, Deferrals: i.Deferrals, Reason: i.Reason, At: at(i.At), Until: at(i.Until)}, nil
	case stream.KindEndpoint:
		return StreamEndpoint{ChangeID: i.ChangeID, SubscriptionID: a.SubscriptionID, SubscriptionName: a.SubscriptionName, Change: i.Change, Reason: i.Reason, At: at(i.At), Until: at(i.Until)}, nil
	}
	return attemptRow(a), nil
}
