package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// care is what people do with a webhook that runs: pause it, rotate its secret,
// stop what waits, ask what would match.
func (a *API) care() {
	errors := []int{http.StatusNotFound, http.StatusUnprocessableEntity}

	route(a, access.Write, huma.Operation{OperationID: "pauseSubscription", Method: http.MethodPost, Path: "/subscriptions/{id}/pause", Summary: "Pause", Tags: []string{"Subscriptions"},
		Description: "Its deliveries are put off; it resumes by itself. No delivery's maximum age is extended.", Errors: errors},
		func(ctx context.Context, in *struct {
			SubscriptionID
			Body webhooks.PauseInput
		}) (*subscriptionAnswer, error) {
			s, err := a.webhooks.Pause(ctx, in.ID, in.Body, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusOK), nil
		})

	route(a, access.Write, huma.Operation{OperationID: "resumeSubscription", Method: http.MethodPost, Path: "/subscriptions/{id}/resume", Summary: "End a pause", Tags: []string{"Subscriptions"}, Errors: errors[:1]},
		func(ctx context.Context, in *SubscriptionID) (*subscriptionAnswer, error) {
			s, err := a.webhooks.Resume(ctx, in.ID, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusOK), nil
		})

	route(a, access.Write, huma.Operation{OperationID: "rotateSecret", Method: http.MethodPost, Path: "/subscriptions/{id}/rotate-secret", Summary: "Rotate the signing secret", Tags: []string{"Subscriptions"},
		Description: "The previous secret signs beside the new one for 24 hours; one before that ends now. A secret that is made is in this answer and nowhere else. If-Match keeps a request that is repeated from rotating twice.",
		Errors:      append([]int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired}, errors...)},
		func(ctx context.Context, in *struct {
			SubscriptionID
			IfMatch
			Body *webhooks.RotateInput
		}) (*subscriptionAnswer, error) {
			v, err := version(in.Match)
			if err != nil {
				return nil, err
			}
			var input webhooks.RotateInput
			if in.Body != nil {
				input = *in.Body
			}
			s, err := a.webhooks.Rotate(ctx, in.ID, v, input, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusOK), nil
		})

	route(a, access.Resend, huma.Operation{OperationID: "stopWaiting", Method: http.MethodPost, Path: "/subscriptions/{id}/stop-waiting", Summary: "Stop everything that waits", Tags: []string{"Subscriptions"},
		Description: "Whatever was queued for it before this moment ends: stopped(discarded). What comes after is sent.", Errors: errors[:1]},
		func(ctx context.Context, in *SubscriptionID) (*subscriptionAnswer, error) {
			s, err := a.webhooks.StopWaiting(ctx, in.ID, actor(ctx))
			if err != nil {
				return nil, err
			}
			return saved(s, http.StatusOK), nil
		})

	route(a, access.Read, huma.Operation{OperationID: "previewSubscription", Method: http.MethodPost, Path: "/subscriptions/preview", Summary: "What would match", Tags: []string{"Subscriptions"},
		Description: "Of the last 1,000 events, those that event types, organization unit and filter would let through. Nothing is saved or sent.", Errors: errors},
		func(ctx context.Context, in *struct{ Body webhooks.PreviewInput }) (*struct{ Body webhooks.Preview }, error) {
			p, err := a.webhooks.Preview(ctx, in.Body)
			if err != nil {
				return nil, err
			}
			return &struct{ Body webhooks.Preview }{*p}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readMissed", Method: http.MethodGet, Path: "/subscriptions/{id}/missed", Summary: "What it missed while it was off", Tags: []string{"Subscriptions"},
		Description: "The events that match it as it is now and were not sent because Is Active was off. Its replay is the body of a POST to /replays, which plans to send them. What waited when it was switched off ended as stopped(inactive): recover brings that back.", Errors: errors},
		func(ctx context.Context, in *SubscriptionID) (*struct{ Body webhooks.Missed }, error) {
			m, err := a.webhooks.Missed(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body webhooks.Missed }{*m}, nil
		})

	type sending struct{ Body webhooks.SendWaiting }
	view := func(w *store.SendWaiting, err error) (*sending, error) {
		if err != nil {
			return nil, err
		}
		return &sending{webhooks.ViewSendWaiting(w)}, nil
	}
	route(a, access.Resend, huma.Operation{OperationID: "sendWaiting", Method: http.MethodPost, Path: "/subscriptions/{id}/send-waiting", Summary: "Send waiting now", Tags: []string{"Subscriptions"},
		Description: "After an endpoint was mended: everything that waits for a retry goes out now, 50 a second or at the webhook's rate limit. While one runs, this answers it.", DefaultStatus: http.StatusAccepted,
		Errors: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *SubscriptionID) (*sending, error) {
			return view(a.webhooks.SendWaiting(ctx, in.ID, actor(ctx)))
		})

	route(a, access.Read, huma.Operation{OperationID: "readSendWaiting", Method: http.MethodGet, Path: "/subscriptions/{id}/send-waiting", Summary: "How far Send waiting now has come", Tags: []string{"Subscriptions"}, Errors: errors[:1]},
		func(ctx context.Context, in *SubscriptionID) (*sending, error) {
			return view(a.store.LastSendWaiting(ctx, in.ID))
		})

	route(a, access.Resend, huma.Operation{OperationID: "cancelSendWaiting", Method: http.MethodDelete, Path: "/subscriptions/{id}/send-waiting", Summary: "Cancel Send waiting now", Tags: []string{"Subscriptions"},
		Description: "What was sent is sent; the rest goes on waiting.", DefaultStatus: http.StatusAccepted, Errors: errors[:1]},
		func(ctx context.Context, in *SubscriptionID) (*sending, error) {
			return view(a.webhooks.CancelSendWaiting(ctx, in.ID, actor(ctx)))
		})
}
