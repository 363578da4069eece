package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// roleTexts say what a role may do.
var roleTexts = []option{
	{Value: access.Viewer, Text: "viewer: sees webhooks, attempts, calls and health; personal data stays masked until revealed, which is audited"},
	{Value: access.Operator, Text: "operator: also sends again, stops retries, and plans and runs replays"},
	{Value: access.Administrator, Text: "admin: also adds and changes webhooks, and has users, API tokens and the audit log"},
}

func rolesOf(chosen string) []option {
	roles := slices.Clone(roleTexts)
	for i := range roles {
		roles[i].Checked = roles[i].Value == chosen
	}
	return roles
}

// userStateOf is the word for where a user stands.
func userStateOf(u *store.User, now time.Time) state {
	switch {
	case u.Disabled:
		return state{"disabled", "", "square"}
	case u.PasswordHash != "":
		return state{"can sign in", "ok", "dot"}
	case u.SetupExpiresAt.After(now):
		return state{"has not set a password yet", "wait", "clock"}
	}
	return state{"setup link has ended", "bad", "cross"}
}

type userRow struct {
	ID, Login, Role, By    string
	State                  state
	CreatedAt, LastLoginAt time.Time
	You                    bool
}

func (c *Console) userRow(r *http.Request, u *store.User) userRow {
	return userRow{ID: u.ID, Login: u.Login, Role: u.Role, By: u.CreatedBy, State: userStateOf(u, c.Now()), CreatedAt: u.CreatedAt, LastLoginAt: u.LastLoginAt, You: u.ID == principal(r).UserID}
}

// madeLink is a setup link, shown once.
type madeLink struct {
	Login, URL string
	Until      time.Time
}

func (c *Console) linkFor(r *http.Request, u *store.User, text string) *madeLink {
	address := url.URL{Scheme: "http", Host: r.Host}
	if c.PublicURL != nil {
		address = url.URL{Scheme: c.PublicURL.Scheme, Host: c.PublicURL.Host}
	} else if c.secure(r) {
		address.Scheme = "https"
	}
	return &madeLink{Login: u.Login, URL: address.String() + access.SetupPath(text), Until: u.SetupExpiresAt}
}

type usersPage struct {
	base
	Problem string
	Made    *madeLink
	Login   string
	Roles   []option
	Errors  *problem.Problem
	Rows    []userRow
}

// Err is what is wrong with a field, or "".
func (p usersPage) Err(pointer string) string { return p.Errors.At(pointer) }

func (c *Console) userRoutes(page func(pattern, scope string, h handler)) {
	page("GET /users", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		return c.users(w, r, http.StatusOK, usersPage{})
	})
	page("POST /users", access.Admin, c.addUser)
	page("GET /users/{id}", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		return c.user(w, r, http.StatusOK, userPage{})
	})
	page("POST /users/{id}/role", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		role := r.PostForm.Get("role")
		return c.changeUser(w, r, store.UserChange{Role: &role}, "role")
	})
	page("POST /users/{id}/disable", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		yes := true
		return c.changeUser(w, r, store.UserChange{Disabled: &yes}, "disabled")
	})
	page("POST /users/{id}/enable", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		no := false
		return c.changeUser(w, r, store.UserChange{Disabled: &no}, "enabled")
	})
	page("POST /users/{id}/link", access.Admin, c.newUserLink)
	page("POST /users/{id}/sign-out", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		id := r.PathValue("id")
		if err := c.Store.EndSessions(r.Context(), id, nil, actor(r)); err != nil {
			return err
		}
		http.Redirect(w, r, "/users/"+url.PathEscape(id)+"?done=signedout", http.StatusSeeOther)
		return nil
	})
	page("GET /users/{id}/remove", access.Admin, func(w http.ResponseWriter, r *http.Request) error {
		return c.user(w, r, http.StatusOK, userPage{Removing: true})
	})
	page("POST /users/{id}/remove", access.Admin, c.removeUser)
	c.accountRoutes(page)
}

func (c *Console) users(w http.ResponseWriter, r *http.Request, status int, page usersPage) error {
	page.base = c.base(r, "Users", "/users", crumb{Text: "Users"})
	if page.Roles == nil {
		page.Roles = rolesOf(access.Viewer)
	}
	rows, err := c.Store.Users(r.Context())
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	for _, u := range rows {
		page.Rows = append(page.Rows, c.userRow(r, &u))
	}
	return c.render(w, r, status, "users", page)
}

func (c *Console) addUser(w http.ResponseWriter, r *http.Request) error {
	in := access.UserInput{Login: r.PostForm.Get("login"), Role: r.PostForm.Get("role")}
	text, u, err := access.AddUser(r.Context(), c.Store, in, actor(r))
	var wrong *problem.Problem
	if errors.As(err, &wrong) {
		return c.users(w, r, wrong.Status, usersPage{Login: in.Login, Roles: rolesOf(in.Role), Errors: wrong})
	}
	if err != nil {
		return err
	}
	// Not a redirect: the link is in this answer and nowhere else.
	return c.users(w, r, http.StatusOK, usersPage{Made: c.linkFor(r, &u, text)})
}

type userPage struct {
	base
	userRow
	Disabled, HasPassword, HasLink, Removing bool

	LinkUntil time.Time
	Roles     []option
	Made      *madeLink
	Refused   string
}

// user is the page of one of them.
func (c *Console) user(w http.ResponseWriter, r *http.Request, status int, page userPage) error {
	u, err := c.Store.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	page.base = c.base(r, u.Login, "/users", crumb{Text: "Users", Href: "/users"}, crumb{Text: u.Login})
	page.userRow, page.Disabled, page.HasPassword, page.Roles = c.userRow(r, u), u.Disabled, u.PasswordHash != "", rolesOf(u.Role)
	page.HasLink, page.LinkUntil = u.SetupExpiresAt.After(c.Now()), u.SetupExpiresAt
	return c.render(w, r, status, "user", page)
}

func (c *Console) changeUser(w http.ResponseWriter, r *http.Request, change store.UserChange, done string) error {
	id := r.PathValue("id")
	_, err := access.ChangeUser(r.Context(), c.Store, id, 0, change, actor(r))
	if err != nil {
		return c.refuseUser(w, r, err)
	}
	http.Redirect(w, r, "/users/"+url.PathEscape(id)+"?done="+done, http.StatusSeeOther)
	return nil
}

// refuseUser says on the user's page why a change was not made.
func (c *Console) refuseUser(w http.ResponseWriter, r *http.Request, err error) error {
	var wrong *problem.Problem
	if errors.As(err, &wrong) {
		return c.user(w, r, wrong.Status, userPage{Refused: wrong.Detail})
	}
	return err
}

func (c *Console) newUserLink(w http.ResponseWriter, r *http.Request) error {
	text, u, err := access.NewSetupLink(r.Context(), c.Store, r.PathValue("id"), actor(r))
	if err != nil {
		return c.refuseUser(w, r, err)
	}
	return c.user(w, r, http.StatusOK, userPage{Made: c.linkFor(r, u, text)})
}

func (c *Console) removeUser(w http.ResponseWriter, r *http.Request) error {
	if err := access.RemoveUser(r.Context(), c.Store, r.PathValue("id"), 0, actor(r)); err != nil {
		return c.refuseUser(w, r, err)
	}
	http.Redirect(w, r, "/users?done=removed", http.StatusSeeOther)
	return nil
}
