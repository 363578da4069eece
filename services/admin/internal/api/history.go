package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/mask"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// Paging selects a page of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Items of a page."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before."`
}

func (p Paging) page() store.Page { return store.Page{Limit: p.Limit, Cursor: p.Cursor} }

// Span selects by time.
type Span struct {
	From time.Time `query:"from" doc:"Inclusive, RFC 3339."`
	To   time.Time `query:"to" doc:"Exclusive, RFC 3339."`
}

// Filters select attempts or deliveries.
type Filters struct {
	Subscription string `query:"subscription" maxLength:"64" doc:"Id of a subscription."`
	EventType    string `query:"event_type" maxLength:"200"`
	Call         string `query:"call" maxLength:"256" doc:"A CallId, ScenarioId or ParentId."`
	Delivery     string `query:"delivery" maxLength:"64"`
	Event        string `query:"event" maxLength:"80" doc:"Id of an event."`
	Result       string `query:"result" enum:"delivered,failed,not_sent" doc:"Of the attempt; of deliveries, of the last one."`
	State        string `query:"state" enum:"queued,waiting,delivered,given_up,stopped"`
	Status       string `query:"status" pattern:"^[1-5]([0-9]{2}|xx)$" doc:"An HTTP status or a class of them." example:"5xx"`
	Error        string `query:"error" enum:"dns,connect,tls,timeout,reset,protocol,status,policy" doc:"Class of the error."`
	Cause        string `query:"cause" enum:"call_ended,test,resend,replay,not_test" doc:"not_test: all but tests."`
	Span
}

func (f Filters) attempts() store.AttemptQuery {
	return store.AttemptQuery{SubscriptionID: f.Subscription, EventType: f.EventType, CallID: f.Call, DeliveryID: f.Delivery,
		EventID: f.Event, Result: f.Result, State: f.State, ErrorClass: f.Error, Status: f.Status, Cause: f.Cause, From: f.From, To: f.To}
}

// AttemptFilters select attempts.
type AttemptFilters struct {
	Filters
	MinAttempt int32 `query:"min_attempt" minimum:"1" maximum:"65535" doc:"The least number of the attempt: 2 leaves first attempts out."`
	MaxAttempt int32 `query:"max_attempt" minimum:"1" maximum:"65535" doc:"The greatest number of the attempt."`
}

func (f AttemptFilters) attempts() store.AttemptQuery {
	q := f.Filters.attempts()
	q.MinAttempt, q.MaxAttempt = f.MinAttempt, f.MaxAttempt
	return q
}

// ResendKey makes repeating a resend safe.
type ResendKey struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Repeating a request with the same key resends once."`
}

// resendRequest may come without a body.
type resendRequest struct {
	ID string `path:"id" maxLength:"80"`
	ResendKey
	Body *webhooks.ResendOptions
}

func (r *resendRequest) options() webhooks.ResendOptions {
	if r.Body == nil {
		return webhooks.ResendOptions{}
	}
	return *r.Body
}

type resendAnswer struct {
	Location string `header:"Location"`
	Body     webhooks.Resent
}

func resent(r *webhooks.Resent) *resendAnswer {
	return &resendAnswer{Location: Prefix + "/deliveries/" + r.DeliveryID, Body: *r}
}

func (a *API) history() {
	type ByID struct {
		ID string `path:"id" maxLength:"80"`
	}
	notFound := []int{http.StatusNotFound}
	pages := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}

	route(a, access.Read, huma.Operation{OperationID: "listAttempts", Method: http.MethodGet, Path: "/attempts", Summary: "View Webhook Send Attempts", Tags: []string{"History"}, Errors: pages},
		func(ctx context.Context, in *struct {
			AttemptFilters
			Paging
		}) (*struct{ Body List[Attempt] }, error) {
			q := in.attempts()
			q.Page = in.page()
			rows, next, err := a.store.Attempts(ctx, q)
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Attempt] }{list(rows, next, attemptRow)}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readAttempt", Method: http.MethodGet, Path: "/attempts/{id}", Summary: "One attempt", Tags: []string{"History"}, Errors: notFound},
		func(ctx context.Context, in *ByID) (*struct{ Body AttemptDetail }, error) {
			d, err := a.store.Attempt(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body AttemptDetail }{attemptDetail(d)}, nil
		})

	resends := []int{http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusServiceUnavailable}
	route(a, access.Resend, huma.Operation{OperationID: "resendAttempt", Method: http.MethodPost, Path: "/attempts/{id}/resend", Summary: "Resend", Tags: []string{"History"},
		Description: "Sends the event of this attempt's delivery to its webhook once more: one try, with the URL, headers and secret of now.", DefaultStatus: http.StatusAccepted, Errors: resends},
		func(ctx context.Context, in *resendRequest) (*resendAnswer, error) {
			r, err := a.webhooks.ResendAttempt(ctx, in.ID, in.IdempotencyKey, in.options(), actor(ctx))
			if err != nil {
				return nil, err
			}
			return resent(r), nil
		})

	route(a, access.Read, huma.Operation{OperationID: "listDeliveries", Method: http.MethodGet, Path: "/deliveries", Summary: "Deliveries", Tags: []string{"History"}, Errors: pages},
		func(ctx context.Context, in *struct {
			Filters
			Paging
		}) (*struct{ Body List[Delivery] }, error) {
			rows, next, err := a.store.Deliveries(ctx, store.DeliveryQuery{SubscriptionID: in.Subscription, EventType: in.EventType, CallID: in.Call, DeliveryID: in.Delivery,
				EventID: in.Event, Result: in.Result, State: in.State, ErrorClass: in.Error, Status: in.Status, Cause: in.Cause, From: in.From, To: in.To, Page: in.page()})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Delivery] }{list(rows, next, deliveryRow)}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readDelivery", Method: http.MethodGet, Path: "/deliveries/{id}", Summary: "One delivery", Tags: []string{"History"}, Errors: notFound},
		func(ctx context.Context, in *ByID) (*struct{ Body Delivery }, error) {
			d, err := a.store.Delivery(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body Delivery }{deliveryRow(*d)}, nil
		})

	route(a, access.Resend, huma.Operation{OperationID: "resendDelivery", Method: http.MethodPost, Path: "/deliveries/{id}/resend", Summary: "Resend a delivery", Tags: []string{"History"},
		Description: "One try, with the URL, headers and secret of now. Answered after Kafka has acknowledged it.", DefaultStatus: http.StatusAccepted, Errors: resends},
		func(ctx context.Context, in *resendRequest) (*resendAnswer, error) {
			r, err := a.webhooks.ResendDelivery(ctx, in.ID, in.IdempotencyKey, in.options(), actor(ctx))
			if err != nil {
				return nil, err
			}
			return resent(r), nil
		})

	route(a, access.Resend, huma.Operation{OperationID: "stopDelivery", Method: http.MethodPost, Path: "/deliveries/{id}/stop", Summary: "Stop retrying a delivery", Tags: []string{"History"},
		Description: "Its retries end: stopped(stopped). A request under way is not called back. 409 when it has come to its end already.", DefaultStatus: http.StatusAccepted,
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable}},
		func(ctx context.Context, in *ByID) (*struct{ Body Delivery }, error) {
			d, err := a.webhooks.StopDelivery(ctx, in.ID, actor(ctx))
			if err != nil {
				return nil, err
			}
			return &struct{ Body Delivery }{deliveryRow(*d)}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "listEvents", Method: http.MethodGet, Path: "/events", Summary: "Events: the CDRs as routed", Tags: []string{"History"}, Errors: pages},
		func(ctx context.Context, in *struct {
			EventType string `query:"event_type" maxLength:"200"`
			Call      string `query:"call" maxLength:"256" doc:"A CallId."`
			Scenario  string `query:"scenario" maxLength:"256"`
			Parent    string `query:"parent" maxLength:"256"`
			Cause     string `query:"cause" enum:"call_ended,test,resend,replay"`
			Span
			Paging
		}) (*struct{ Body List[Event] }, error) {
			rows, next, err := a.store.Events(ctx, store.EventQuery{EventType: in.EventType, CallID: in.Call, ScenarioID: in.Scenario, ParentID: in.Parent, Cause: in.Cause, From: in.From, To: in.To, Page: in.page()})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Event] }{list(rows, next, eventRow)}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readEvent", Method: http.MethodGet, Path: "/events/{id}", Summary: "One event with its payload", Tags: []string{"History"},
		Description: "Personal data in the payload is masked, unless reveal is true: then who asked is kept in the audit log.", Errors: notFound},
		func(ctx context.Context, in *struct {
			ByID
			Reveal bool `query:"reveal" doc:"Show personal data; audited."`
		}) (*struct{ Body EventDetail }, error) {
			e, err := a.store.Event(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			out := eventDetail(*e)
			if !e.PayloadExpired {
				if out.Payload, err = a.payload(ctx, in.ID, in.Reveal); err != nil && problem.From(err).Code != problem.CodePayloadExpired && problem.From(err).Code != problem.CodePayloadErased && problem.From(err).Code != problem.CodeNotFound {
					return nil, err
				}
			}
			return &struct{ Body EventDetail }{out}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readCall", Method: http.MethodGet, Path: "/calls/{id}", Summary: "Why did this webhook (not) arrive?", Tags: []string{"History"},
		Description: "Every record of a call as a tree, with what was decided, and every delivery and attempt of them: all that share a CallId, ScenarioId or ParentId, directly or through others, within 24 hours.", Errors: notFound},
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"256" doc:"A CallId."`
		}) (*struct{ Body Call }, error) {
			c, err := a.store.Call(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if len(c.Events) == 0 && len(c.Deliveries) == 0 && len(c.Attempts) == 0 {
				return nil, problem.NotFound("call")
			}
			return &struct{ Body Call }{Call{
				Events: list(c.Events, "", callEvent).Items, Deliveries: list(c.Deliveries, "", deliveryRow).Items, Attempts: list(c.Attempts, "", attemptRow).Items, Truncated: c.Truncated}}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "listRejected", Method: http.MethodGet, Path: "/rejected", Summary: "Records that cannot be a CDR", Tags: []string{"History"}, Errors: pages},
		func(ctx context.Context, in *struct {
			Topic string `query:"topic" maxLength:"249"`
			Code  string `query:"code" maxLength:"100"`
			Span
			Paging
		}) (*struct{ Body List[Rejection] }, error) {
			rows, next, err := a.store.Rejections(ctx, store.RejectionQuery{Topic: in.Topic, Code: in.Code, From: in.From, To: in.To, Page: in.page()})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Rejection] }{list(rows, next, rejectionRow)}, nil
		})
}

// payload is a CDR, masked unless it is to be revealed.
func (a *API) payload(ctx context.Context, eventID string, reveal bool) (any, error) {
	if reveal {
		b, err := a.webhooks.Reveal(ctx, eventID, actor(ctx))
		if err != nil {
			return nil, err
		}
		return rawJSON(b), nil
	}
	b, err := a.store.Payload(ctx, eventID)
	if err != nil {
		return nil, err
	}
	masked, _, err := mask.Payload(b)
	if err != nil {
		return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid, "The payload is "+strings.TrimSuffix(err.Error(), ".")+".")
	}
	return rawJSON(masked), nil
}
