package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// SubscriptionID stands in a path.
type SubscriptionID struct {
	ID string `path:"id" doc:"Id of the subscription." maxLength:"64"`
}

// IfMatch is what a change is based on.
type IfMatch struct {
	Match string `header:"If-Match" doc:"The ETag of what the change is based on; * for whatever is there." example:"\"3\""`
}

type subscriptionAnswer struct {
	Status int
	ETag   string `header:"ETag"`
	Body   webhooks.Subscription
}

func saved(s *webhooks.Saved, status int) *subscriptionAnswer {
	v := webhooks.View(s.Subscription)
	v.SigningSecret, v.AbpSecret = s.Secret, s.AbpSecret
	v.Published = &s.Published
	if !s.Published {
		status = http.StatusAccepted
	}
	return &subscriptionAnswer{Status: status, ETag: etag(v.Version), Body: v}
}

func (a *API) subscriptions() {
	route(a, access.Read, huma.Operation{OperationID: "listSubscriptions", Method: http.MethodGet, Path: "/subscriptions", Summary: "All subscriptions", Tags: []string{"Subscriptions"}},
		func(ctx context.Context, _ *struct{}) (*struct{ Body List[webhooks.Subscription] }, error) {
			rows, err := a.store.Subscriptions(ctx, store.SubscriptionQuery{})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[webhooks.Subscription] }{list(rows, "", webhooks.View)}, nil
		})

	route(a, access.Write, huma.Operation{OperationID: "createSubscription", Method: http.MethodPost, Path: "/subscriptions", Summary: "Add a subscription", Tags: []string{"Subscriptions"},
		Description:   "The endpoint's host is resolved and its addresses are checked; a name that does not exist and an address that is not allowed are refused. The signing secret is in this answer and nowhere else. 202 means saved, but not yet acknowledged by Kafka.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusUnprocessableEntity}},
		func(ctx context.Context, in *struct{ Body webhooks.Input }) (*subscriptionAnswer, error) {
			s, err := a.webhooks.Create(ctx, "", in.Body, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusCreated), nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readSubscription", Method: http.MethodGet, Path: "/subscriptions/{id}", Summary: "One subscription", Tags: []string{"Subscriptions"}, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *SubscriptionID) (*subscriptionAnswer, error) {
			s, err := a.store.Subscription(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if s.Deleted {
				return nil, store.ErrNotFound
			}
			return &subscriptionAnswer{Status: http.StatusOK, ETag: etag(s.Version), Body: webhooks.View(s)}, nil
		})

	changes := []int{http.StatusNotFound, http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity}
	route(a, access.Write, huma.Operation{OperationID: "replaceSubscription", Method: http.MethodPut, Path: "/subscriptions/{id}", Summary: "Replace a subscription", Tags: []string{"Subscriptions"},
		Description: "Fields left out get their defaults. A secret header whose value is [unchanged] keeps it.", Errors: changes},
		func(ctx context.Context, in *struct {
			SubscriptionID
			IfMatch
			Body webhooks.Input
		}) (*subscriptionAnswer, error) {
			v, err := version(in.Match)
			if err != nil {
				return nil, err
			}
			s, err := a.webhooks.Change(ctx, in.ID, v, in.Body, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusOK), nil
		})

	route(a, access.Write, huma.Operation{OperationID: "changeSubscription", Method: http.MethodPatch, Path: "/subscriptions/{id}", Summary: "Change a subscription", Tags: []string{"Subscriptions"},
		Description: "A JSON merge patch (RFC 7396): members that are there replace, null resets to the default, lists are replaced whole.", Errors: changes,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/merge-patch+json": {Schema: &huma.Schema{Type: huma.TypeObject, Description: "Any members of a subscription.", Examples: []any{map[string]any{"active": false}}}},
			"application/json":             {Schema: &huma.Schema{Type: huma.TypeObject, Description: "Any members of a subscription.", Examples: []any{map[string]any{"active": false}}}},
		}}},
		func(ctx context.Context, in *struct {
			SubscriptionID
			IfMatch
			RawBody []byte
		}) (*subscriptionAnswer, error) {
			v, err := version(in.Match)
			if err != nil {
				return nil, err
			}
			s, err := a.webhooks.Patch(ctx, in.ID, v, in.RawBody, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusOK), nil
		})

	route(a, access.Write, huma.Operation{OperationID: "deleteSubscription", Method: http.MethodDelete, Path: "/subscriptions/{id}", Summary: "Delete a subscription", Tags: []string{"Subscriptions"},
		Description: "Nothing more is sent to it. Its history stays.", DefaultStatus: http.StatusNoContent, Errors: changes[:3]},
		func(ctx context.Context, in *struct {
			SubscriptionID
			IfMatch
		}) (*struct{ Status int }, error) {
			v, err := version(in.Match)
			if err != nil {
				return nil, err
			}
			published, err := a.webhooks.Delete(ctx, in.ID, v, actor(ctx))
			if err != nil {
				return nil, err
			}
			if !published {
				return &struct{ Status int }{http.StatusAccepted}, nil
			}
			return &struct{ Status int }{http.StatusNoContent}, nil
		})

	route(a, access.Write, huma.Operation{OperationID: "checkSubscription", Method: http.MethodPost, Path: "/subscriptions/{id}/check", Summary: "Check an endpoint", Tags: []string{"Subscriptions"},
		Description: "Looks it up, checks its addresses, asks it with HEAD. It never posts.", Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *SubscriptionID) (*struct{ Body webhooks.Checked }, error) {
			c, err := a.webhooks.Check(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body webhooks.Checked }{*c}, nil
		})

	route(a, access.Write, huma.Operation{OperationID: "testSubscription", Method: http.MethodPost, Path: "/subscriptions/{id}/test", Summary: "Send a test webhook to one subscription", Tags: []string{"Tests"},
		Description: "It gets it when it is active, whatever its events are.", DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusNotFound, http.StatusServiceUnavailable}},
		func(ctx context.Context, in *SubscriptionID) (*struct{ Body webhooks.Test }, error) {
			t, err := a.webhooks.SendTest(ctx, in.ID, actor(ctx))
			if err != nil {
				return nil, err
			}
			return &struct{ Body webhooks.Test }{*t}, nil
		})

	route(a, access.Write, huma.Operation{OperationID: "sendTestWebhook", Method: http.MethodPost, Path: "/test-webhook", Summary: "Send Test Webhook", Tags: []string{"Tests"},
		Description: "One App.TestWebhook goes through the whole pipeline to every active subscription that has it.", DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusServiceUnavailable}},
		func(ctx context.Context, _ *struct{}) (*struct{ Body webhooks.Test }, error) {
			t, err := a.webhooks.SendTest(ctx, "", actor(ctx))
			if err != nil {
				return nil, err
			}
			return &struct{ Body webhooks.Test }{*t}, nil
		})
}
