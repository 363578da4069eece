package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// User signs in to the console with a password.
type User struct {
	ID          string    `json:"id"`
	Login       string    `json:"login" doc:"The name or e-mail address they sign in with." example:"ada@example.com"`
	Role        string    `json:"role" enum:"viewer,operator,admin" doc:"viewer: read; operator: read, resend and replay; admin: everything."`
	Disabled    bool      `json:"disabled" doc:"Signed out, and cannot sign in."`
	HasPassword bool      `json:"has_password" doc:"Whether they have set one yet."`
	Version     int64     `json:"version"`
	CreatedBy   string    `json:"created_by,omitempty"`
	CreatedAt   wire.Time `json:"created_at"`
	LastLoginAt wire.Time `json:"last_login_at,omitzero"`
	// SetupPath is there once: in the answer that made the link.
	SetupPath      string    `json:"setup_path,omitempty" doc:"Path and query of the one-time link with which they set their password: put the console's address before it. Only in the answer that made it." example:"/setup?t=…"`
	SetupExpiresAt wire.Time `json:"setup_expires_at,omitzero" doc:"When their setup link ends."`
}

func userRow(u store.User) User {
	return User{ID: u.ID, Login: u.Login, Role: u.Role, Disabled: u.Disabled, HasPassword: u.PasswordHash != "", Version: u.Version, CreatedBy: u.CreatedBy,
		CreatedAt: wire.At(u.CreatedAt), LastLoginAt: wire.At(u.LastLoginAt), SetupExpiresAt: wire.At(u.SetupExpiresAt)}
}

// UserID stands in a path.
type UserID struct {
	ID string `path:"id" doc:"Id of the user." maxLength:"64"`
}

type userAnswer struct {
	ETag string `header:"ETag"`
	Body User
}

func userAnswerOf(u *store.User, link string) *userAnswer {
	row := userRow(*u)
	if link != "" {
		row.SetupPath = access.SetupPath(link)
	}
	return &userAnswer{ETag: etag(u.Version), Body: row}
}

func (a *API) users() {
	tags := []string{"Users"}
	changes := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired}

	route(a, access.Admin, huma.Operation{OperationID: "listUsers", Method: http.MethodGet, Path: "/users", Summary: "All users", Tags: tags,
		Description: "By login. Roles are sets of the scopes that tokens have."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body List[User] }, error) {
			rows, err := a.store.Users(ctx)
			if err != nil {
				return nil, err
			}
			return &struct{ Body List[User] }{list(rows, "", userRow)}, nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "createUser", Method: http.MethodPost, Path: "/users", Summary: "Add a user", Tags: tags,
		Description:   "They have no password yet: setup_path is the one-time link with which they set it, in this answer and nowhere else.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict, http.StatusUnprocessableEntity}},
		func(ctx context.Context, in *struct {
			Body struct {
				Login string `json:"login" maxLength:"100" doc:"A name or an e-mail address. Capitals become small letters." example:"ada@example.com"`
				Role  string `json:"role" maxLength:"20" doc:"viewer, operator or admin." example:"viewer"`
			}
		}) (*userAnswer, error) {
			link, u, err := access.AddUser(ctx, a.store, access.UserInput{Login: in.Body.Login, Role: in.Body.Role}, actor(ctx))
			if err != nil {
				return nil, err
			}
			return userAnswerOf(&u, link), nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "readUser", Method: http.MethodGet, Path: "/users/{id}", Summary: "One user", Tags: tags, Errors: changes[:1]},
		func(ctx context.Context, in *UserID) (*userAnswer, error) {
			u, err := a.store.User(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return userAnswerOf(u, ""), nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "changeUser", Method: http.MethodPatch, Path: "/users/{id}", Summary: "Change a user's role or state", Tags: tags,
		Description: "Counts with their next request. Who is disabled is signed out. The last administrator who can sign in can be neither demoted nor disabled.",
		Errors:      append([]int{http.StatusUnprocessableEntity}, changes...)},
		func(ctx context.Context, in *struct {
			UserID
			IfMatch
			Body struct {
				Role     *string `json:"role,omitempty" maxLength:"20" doc:"viewer, operator or admin."`
				Disabled *bool   `json:"disabled,omitempty"`
			}
		}) (*userAnswer, error) {
			v, err := version(in.Match)
			if err != nil {
				return nil, err
			}
			u, err := access.ChangeUser(ctx, a.store, in.ID, v, store.UserChange{Role: in.Body.Role, Disabled: in.Body.Disabled}, actor(ctx))
			if err != nil {
				return nil, err
			}
			return userAnswerOf(u, ""), nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "removeUser", Method: http.MethodDelete, Path: "/users/{id}", Summary: "Remove a user", Tags: tags,
		Description:   "Signs them out at once. The last administrator who can sign in cannot be removed. API tokens that they made stay valid.",
		DefaultStatus: http.StatusNoContent, Errors: changes},
		func(ctx context.Context, in *struct {
			UserID
			IfMatch
		}) (*struct{}, error) {
			v, err := version(in.Match)
			if err != nil {
				return nil, err
			}
			return nil, access.RemoveUser(ctx, a.store, in.ID, v, actor(ctx))
		})

	route(a, access.Admin, huma.Operation{OperationID: "createSetupLink", Method: http.MethodPost, Path: "/users/{id}/setup-link", Summary: "Make a user's setup link", Tags: tags,
		Description:   "A one-time link with which they set a new password. The present password is good until then; links from before are not.",
		DefaultStatus: http.StatusCreated, Errors: changes[:2]},
		func(ctx context.Context, in *UserID) (*userAnswer, error) {
			link, u, err := access.NewSetupLink(ctx, a.store, in.ID, actor(ctx))
			if err != nil {
				return nil, err
			}
			return userAnswerOf(u, link), nil
		})

	route(a, access.Admin, huma.Operation{OperationID: "endSessions", Method: http.MethodDelete, Path: "/users/{id}/sessions", Summary: "Sign a user out everywhere", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: changes[:1]},
		func(ctx context.Context, in *UserID) (*struct{}, error) {
			return nil, a.store.EndSessions(ctx, in.ID, nil, actor(ctx))
		})
}
