package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/erase"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Erasure is a removal of personal data in the API. It does not name what it goes by.
type Erasure struct {
	ID          string        `json:"id"`
	Kind        string        `json:"kind" enum:"caller_number,call"`
	State       string        `json:"state" enum:"counting,planned,running,done,cancelled"`
	Counts      ErasureCounts `json:"counts" doc:"What was found, then what is erased."`
	Copies      []ErasureCopy `json:"copies" doc:"Where copies are in Kafka, and when they are gone."`
	Fault       string        `json:"fault,omitempty" doc:"What went wrong last."`
	RequestedBy string        `json:"requested_by"`
	CreatedAt   wire.Time     `json:"created_at"`
	StartedBy   string        `json:"started_by,omitempty"`
	StartedAt   wire.Time     `json:"started_at,omitzero"`
	EndedAt     wire.Time     `json:"ended_at,omitzero"`
	KeptUntil   *wire.Time    `json:"kept_until,omitempty" doc:"Until then a keyed digest is kept, so that what comes from Kafka again is recognised and stays erased. Missing: a topic keeps for ever, and so does the digest."`
}

// ErasureCounts are those of an erasure.
type ErasureCounts struct {
	Events     int64 `json:"events" doc:"Events concerned. Their rows stay, without personal data."`
	Payloads   int64 `json:"payloads" doc:"Payloads of them that had not expired."`
	Attempts   int64 `json:"attempts" doc:"Attempts whose answers (headers, body, error) are taken out."`
	Rejections int64 `json:"rejections" doc:"Rejected records whose content is taken out."`
	IDs        int64 `json:"ids" doc:"Ids that held the number, and are replaced."`
	Waiting    int64 `json:"waiting" doc:"Deliveries of them that wait: they are still delivered, from Kafka."`
}

// ErasureCopy is a topic that holds copies.
type ErasureCopy struct {
	Topic     string     `json:"topic"`
	Upstream  bool       `json:"upstream" doc:"A topic of CDRs: it belongs to whoever produces them."`
	Retention *float64   `json:"retention_s,omitempty" doc:"How long the topic keeps records, as Kafka says. Missing: for ever, unless unknown."`
	Unknown   bool       `json:"unknown,omitempty" doc:"Kafka does not let Aftercall see its retention: ask whose topic it is."`
	GoneBy    *wire.Time `json:"gone_by,omitempty"`
}

func erasureRow(e *store.Erasure) Erasure {
	out := Erasure{ID: e.ID, Kind: e.Kind, State: e.State, Counts: ErasureCounts(e.Counts), Copies: []ErasureCopy{}, Fault: e.Fault, RequestedBy: e.RequestedBy, CreatedAt: wire.At(e.CreatedAt),
		StartedBy: e.StartedBy, StartedAt: wire.At(e.StartedAt), EndedAt: wire.At(e.EndedAt), KeptUntil: maybe(e.KeptUntil)}
	for _, c := range e.Copies {
		row := ErasureCopy{Topic: c.Topic, Upstream: c.Upstream, Unknown: c.Unknown, GoneBy: maybe(c.GoneBy)}
		if c.Retention >= 0 && !c.Unknown {
			seconds := c.Retention.Round(time.Millisecond).Seconds()
			row.Retention = &seconds
		}
		out.Copies = append(out.Copies, row)
	}
	return out
}

// erasuresOf is the service's, none where only the document is wanted.
func erasuresOf(s *webhooks.Service) *erase.Service {
	if s == nil {
		return nil
	}
	return s.Erasures
}

// erasures adds the routes of erasures.
func (a *API) erasures(s *erase.Service) {
	type ByID struct {
		ID string `path:"id" maxLength:"80"`
	}
	type one struct{ Body Erasure }
	type made struct {
		Location string `header:"Location"`
		Body     Erasure
	}
	tags := []string{"Erasures"}
	change := []int{http.StatusNotFound, http.StatusConflict}
	answer := func(e *store.Erasure, err error) (*one, error) {
		if err != nil {
			return nil, err
		}
		return &one{erasureRow(e)}, nil
	}

	route(a, access.Admin, huma.Operation{OperationID: "createErasure", Method: http.MethodPost, Path: "/erasures", Summary: "Erase personal data", Tags: tags,
		Description:   "By a caller's number or by a call, at once, or after a look at the counts (plan, then run). The history stays, without personal data. Copies in Kafka go with its retention: the answer says when.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable}},
		func(ctx context.Context, in *struct{ Body erase.ErasureInput }) (*made, error) {
			e, err := s.Create(ctx, in.Body, actor(ctx))
			if err != nil {
				return nil, err
			}
			return &made{Prefix + "/erasures/" + e.ID, erasureRow(e)}, nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "listErasures", Method: http.MethodGet, Path: "/erasures", Summary: "Erasures", Tags: tags, Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity}},
		func(ctx context.Context, in *struct{ Paging }) (*struct{ Body List[Erasure] }, error) {
			rows, next, err := a.store.Erasures(ctx, store.ErasureQuery{Page: in.page()})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Erasure] }{list(rows, next, erasureRow)}, nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "readErasure", Method: http.MethodGet, Path: "/erasures/{id}", Summary: "One erasure, its progress and its report", Tags: tags, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *ByID) (*one, error) { return answer(a.store.Erasure(ctx, in.ID)) })

	route(a, access.Admin, huma.Operation{OperationID: "runErasure", Method: http.MethodPost, Path: "/erasures/{id}/run", Summary: "Run an erasure that was planned", Tags: tags,
		Description: "It cannot be taken back.", DefaultStatus: http.StatusAccepted, Errors: change},
		func(ctx context.Context, in *ByID) (*one, error) { return answer(s.Start(ctx, in.ID, actor(ctx))) })

	route(a, access.Admin, huma.Operation{OperationID: "cancelErasure", Method: http.MethodPost, Path: "/erasures/{id}/cancel", Summary: "Cancel an erasure that was planned", Tags: tags, Errors: change},
		func(ctx context.Context, in *ByID) (*one, error) { return answer(s.Cancel(ctx, in.ID, actor(ctx))) })
}
