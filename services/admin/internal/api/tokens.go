package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

func (a *API) tokens() {
	route(a, access.Admin, huma.Operation{OperationID: "listTokens", Method: http.MethodGet, Path: "/tokens", Summary: "API tokens", Tags: []string{"Tokens"}},
		func(ctx context.Context, _ *struct{}) (*struct{ Body List[Token] }, error) {
			rows, err := a.store.Tokens(ctx)
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[Token] }{list(rows, "", tokenRow)}, nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "createToken", Method: http.MethodPost, Path: "/tokens", Summary: "Make an API token", Tags: []string{"Tokens"},
		Description: "Its text is in this answer and nowhere else.", DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict, http.StatusUnprocessableEntity}},
		func(ctx context.Context, in *struct {
			Body struct {
				Name      string    `json:"name" minLength:"1" maxLength:"100"`
				Scopes    []string  `json:"scopes" minItems:"1" doc:"read, write, resend, replay, admin."`
				ExpiresAt time.Time `json:"expires_at,omitempty" doc:"When it stops being valid. Left out: never."`
			}
		}) (*struct{ Body Token }, error) {
			text, t, err := access.Issue(ctx, a.store, access.TokenInput{Name: in.Body.Name, Scopes: in.Body.Scopes, ExpiresAt: in.Body.ExpiresAt}, actor(ctx))
			if err != nil {
				return nil, err
			}
			out := tokenRow(t)
			out.Text = text
			return &struct{ Body Token }{out}, nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "revokeToken", Method: http.MethodDelete, Path: "/tokens/{id}", Summary: "Revoke an API token", Tags: []string{"Tokens"},
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"64"`
		}) (*struct{}, error) {
			return nil, access.Revoke(ctx, a.store, in.ID, actor(ctx))
		})
}

// LoginLink opens the console once.
type LoginLink struct {
	Path      string    `json:"path" doc:"Path and query of the link: put the console's address before it." example:"/login?t=…"`
	ExpiresAt wire.Time `json:"expires_at"`
}

func (a *API) loginLinks() {
	route(a, access.Admin, huma.Operation{OperationID: "createLoginLink", Method: http.MethodPost, Path: "/login-links", Summary: "Make a one-time link to the console", Tags: []string{"Tokens"},
		Description: "It opens a session with all scopes, once.", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, _ *struct{}) (*struct{ Body LoginLink }, error) {
			text, err := access.NewLoginLink(ctx, a.store, "admin", access.Scopes)
			if err != nil {
				return nil, err
			}
			a.audit(ctx, "login_link.created", "")
			return &struct{ Body LoginLink }{LoginLink{Path: "/login?t=" + text, ExpiresAt: wire.At(time.Now().Add(access.LinkLifetime))}}, nil
		})
}

func (a *API) audit(ctx context.Context, action, object string) {
	by := actor(ctx)
	err := a.store.AddAudit(ctx, store.AuditEntry{ID: uuid.Must(uuid.NewV7()).String(), At: time.Now().UTC(), Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: action, Object: object})
	if err != nil {
		a.log(err, problem.From(err), action)
	}
}
