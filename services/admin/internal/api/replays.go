package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Replay is a replay in the API.
type Replay struct {
	ID            string           `json:"id"`
	Mode          string           `json:"mode" enum:"recover,backfill"`
	State         string           `json:"state" enum:"planned,running,done,cancelled,failed"`
	From          wire.Time        `json:"from"`
	To            wire.Time        `json:"to"`
	Subscriptions []string         `json:"subscriptions" doc:"The chosen webhooks; none: all."`
	States        []string         `json:"states" doc:"Of recover: the states taken."`
	Why           string           `json:"why,omitempty"`
	Rate          int              `json:"rate" doc:"Deliveries a second."`
	Plan          []ReplayCount    `json:"plan" doc:"What was counted by webhook, before anything was sent."`
	Total         int64            `json:"total" doc:"Deliveries concerned: sent + skipped in the end."`
	Sent          int64            `json:"sent"`
	Skipped       int64            `json:"skipped"`
	SkippedFor    map[string]int64 `json:"skipped_for" doc:"By reason: waiting, delivered, payload_expired, inactive, deleted."`
	Fault         string           `json:"fault,omitempty" doc:"What went wrong last."`
	CreatedBy     string           `json:"created_by"`
	CreatedAt     wire.Time        `json:"created_at"`
	StartedBy     string           `json:"started_by,omitempty"`
	StartedAt     wire.Time        `json:"started_at,omitzero"`
	EndedBy       string           `json:"ended_by,omitempty" doc:"Who cancelled it."`
	EndedAt       wire.Time        `json:"ended_at,omitzero"`
	UpdatedAt     wire.Time        `json:"updated_at"`
}

// ReplayCount is what a plan says of one webhook.
type ReplayCount struct {
	SubscriptionID string           `json:"subscription_id"`
	Send           int64            `json:"send" doc:"To be sent."`
	Skip           map[string]int64 `json:"skip" doc:"Not to be sent, by reason."`
}

func replayRow(r *store.Replay) Replay {
	out := Replay{ID: r.ID, Mode: r.Mode, State: r.State, From: wire.At(r.From), To: wire.At(r.To), Subscriptions: append([]string{}, r.Subscriptions...), States: append([]string{}, r.States...),
		Why: r.Why, Rate: r.Rate, Plan: []ReplayCount{}, Total: r.Total, Sent: r.Sent, Skipped: r.Skipped, SkippedFor: counts(r.SkippedFor), Fault: r.Fault, CreatedBy: r.CreatedBy,
		CreatedAt: wire.At(r.CreatedAt), StartedBy: r.StartedBy, StartedAt: wire.At(r.StartedAt), EndedBy: r.EndedBy, EndedAt: wire.At(r.EndedAt), UpdatedAt: wire.At(r.UpdatedAt)}
	for _, c := range r.Plan {
		out.Plan = append(out.Plan, ReplayCount{SubscriptionID: c.SubscriptionID, Send: c.Send, Skip: counts(c.Skip)})
	}
	return out
}

func counts(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}

// replaysOf is the service's, none where only the document is wanted.
func replaysOf(s *webhooks.Service) *replay.Service {
	if s == nil {
		return nil
	}
	return s.Replays
}

// replays adds the routes of replays.
func (a *API) replays(s *replay.Service) {
	type ByID struct {
		ID string `path:"id" maxLength:"80"`
	}
	type one struct{ Body Replay }
	tags := []string{"Replays"}
	invalid := []int{http.StatusUnprocessableEntity}
	change := []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}
	answer := func(r *store.Replay, err error) (*one, error) {
		if err != nil {
			return nil, err
		}
		return &one{replayRow(r)}, nil
	}

	route(a, access.Replay, huma.Operation{OperationID: "planReplay", Method: http.MethodPost, Path: "/replays", Summary: "Plan a replay", Tags: tags,
		Description: "Counts what would be sent, by webhook. Nothing is sent before it is run. What still waits for an attempt, and what was delivered, is never sent.", DefaultStatus: http.StatusCreated, Errors: invalid},
		func(ctx context.Context, in *struct{ Body replay.Request }) (*struct {
			Location string `header:"Location"`
			Body     Replay
		}, error) {
			r, err := s.Plan(ctx, in.Body, actor(ctx))
			if err != nil {
				return nil, err
			}
			return &struct {
				Location string `header:"Location"`
				Body     Replay
			}{Prefix + "/replays/" + r.ID, replayRow(r)}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "listReplays", Method: http.MethodGet, Path: "/replays", Summary: "Replays", Tags: tags, Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity}},
		func(ctx context.Context, in *struct {
			State string `query:"state" enum:"planned,running,done,cancelled,failed"`
			Span
			Paging
		}) (*struct{ Body List[Replay] }, error) {
			rows, next, err := s.List(ctx, store.ReplayQuery{State: in.State, From: in.From, To: in.To, Page: in.page()})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Replay] }{list(rows, next, replayRow)}, nil
		})

	route(a, access.Read, huma.Operation{OperationID: "readReplay", Method: http.MethodGet, Path: "/replays/{id}", Summary: "One replay and its progress", Tags: tags, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *ByID) (*one, error) { return answer(s.Replay(ctx, in.ID)) })

	route(a, access.Replay, huma.Operation{OperationID: "runReplay", Method: http.MethodPost, Path: "/replays/{id}/run", Summary: "Run a replay", Tags: tags,
		Description: "Runs a planned one, goes on with a cancelled or failed one where it was, or changes the rate of a running one.", DefaultStatus: http.StatusAccepted, Errors: change},
		func(ctx context.Context, in *struct {
			ByID
			Body struct {
				Rate int `json:"rate,omitempty" minimum:"1" maximum:"1000" default:"50" doc:"Deliveries a second."`
			}
		}) (*one, error) {
			return answer(s.Start(ctx, in.ID, in.Body.Rate, actor(ctx)))
		})

	route(a, access.Replay, huma.Operation{OperationID: "cancelReplay", Method: http.MethodPost, Path: "/replays/{id}/cancel", Summary: "Cancel a replay", Tags: tags,
		Description: "Takes effect within a second. What was sent was sent; running it again goes on from there.", Errors: change},
		func(ctx context.Context, in *ByID) (*one, error) { return answer(s.Cancel(ctx, in.ID, actor(ctx))) })
}
