package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// AuditEntry is something that somebody did.
type AuditEntry struct {
	ID      string            `json:"id"`
	At      wire.Time         `json:"at"`
	Actor   string            `json:"actor" doc:"Who: a user, a token's name, or aftercall itself."`
	Kind    string            `json:"kind" doc:"How they came: session, token or system."`
	Address string            `json:"address,omitempty" doc:"The address that they came from."`
	Action  string            `json:"action" example:"subscription.updated"`
	Object  string            `json:"object,omitempty" doc:"What it was done to."`
	Detail  map[string]string `json:"detail,omitempty"`
}

func (a *API) auditLog() {
	route(a, access.Admin, huma.Operation{OperationID: "listAudit", Method: http.MethodGet, Path: "/audit", Summary: "Audit log, newest first", Tags: []string{"Audit"},
		Description: "Every change, test, resend, replay and look at personal data, with who did it."},
		func(ctx context.Context, in *struct {
			Actor  string    `query:"actor" maxLength:"200"`
			Action string    `query:"action" maxLength:"100"`
			Object string    `query:"object" maxLength:"200"`
			From   time.Time `query:"from"`
			To     time.Time `query:"to"`
			Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
			Cursor string    `query:"cursor" maxLength:"1000"`
		}) (*struct{ Body List[AuditEntry] }, error) {
			rows, next, err := a.store.Audit(ctx, store.AuditQuery{Actor: in.Actor, Action: in.Action, Object: in.Object, From: in.From, To: in.To, Page: store.Page{Limit: in.Limit, Cursor: in.Cursor}})
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[AuditEntry] }{list(rows, next, func(e store.AuditEntry) AuditEntry {
				return AuditEntry{ID: e.ID, At: wire.At(e.At), Actor: e.Actor, Kind: e.Kind, Address: e.Address, Action: e.Action, Object: e.Object, Detail: e.Detail}
			})}, nil
		})
}
