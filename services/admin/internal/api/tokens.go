package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
			var fields []problem.Field
			for i, s := range in.Body.Scopes {
				if !slices.Contains(access.Scopes, s) {
					fields = append(fields, problem.Field{Pointer: "/scopes/" + strconv.Itoa(i), Code: problem.CodeInvalid, Message: "A scope is one of " + strings.Join(access.Scopes, ", ") + "."})
				}
			}
			if !in.Body.ExpiresAt.IsZero() && in.Body.ExpiresAt.Before(time.Now()) {
				fields = append(fields, problem.Field{Pointer: "/expires_at", Code: problem.CodeInvalid, Message: "This is in the past."})
			}
			if len(fields) > 0 {
				return nil, problem.Invalid(fields...)
			}
			text, t := access.NewToken(in.Body.Name, in.Body.Scopes, principal(ctx).Name, in.Body.ExpiresAt)
			if err := a.store.CreateToken(ctx, t); errors.Is(err, store.ErrExists) {
				return nil, problem.New(http.StatusConflict, problem.CodeConflict, "There is a token of this name already.",
					problem.Field{Pointer: "/name", Code: problem.CodeConflict, Message: "There is a token of this name already."})
			} else if err != nil {
				return nil, err
			}
			a.audit(ctx, "token.created", t.ID)
			out := tokenRow(t)
			out.Text = text
			return &struct{ Body Token }{out}, nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "revokeToken", Method: http.MethodDelete, Path: "/tokens/{id}", Summary: "Revoke an API token", Tags: []string{"Tokens"},
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"64"`
		}) (*struct{}, error) {
			if err := a.store.RevokeToken(ctx, in.ID); err != nil {
				return nil, err
			}
			a.audit(ctx, "token.revoked", in.ID)
			return nil, nil
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

// notYet are routes of features that are designed and not built: they say so,
// and do nothing. They are not in the document.
func (a *API) notYet() {
	for _, r := range []struct{ id, method, path, scope string }{
		{"stream", http.MethodGet, "/stream", access.Read},
		{"listAudit", http.MethodGet, "/audit", access.Admin},
		{"createErasure", http.MethodPost, "/erasures", access.Admin},
	} {
		op := huma.Operation{OperationID: r.id, Method: r.method, Path: r.path, Hidden: true}
		refuse := problem.New(http.StatusUnprocessableEntity, problem.CodeNotAvailableYet, "This is not available yet.")
		if strings.Contains(r.path, "{id}") {
			route(a, r.scope, op, func(context.Context, *struct {
				ID string `path:"id"`
			}) (*struct{}, error) {
				return nil, refuse
			})
			continue
		}
		route(a, r.scope, op, func(context.Context, *struct{}) (*struct{}, error) { return nil, refuse })
	}
}
