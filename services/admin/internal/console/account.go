package console

import (
	"errors"
	"net/http"

	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// accountPage is what somebody may do about themselves.
type accountPage struct {
	base
	Name, Role string
	// Own says that they have a password here.
	Own          bool
	Least        int
	Errors       *problem.Problem
	Wrong, Again string
	Refused      string
}

// Err is what is wrong with a field, or "".
func (p accountPage) Err(pointer string) string { return p.Errors.At(pointer) }

func (c *Console) accountRoutes(page func(pattern, scope string, h handler)) {
	page("GET /account", access.Read, func(w http.ResponseWriter, r *http.Request) error {
		return c.account(w, r, http.StatusOK, accountPage{})
	})
	page("POST /account/password", access.Read, c.changePassword)
	page("POST /account/sign-out", access.Read, func(w http.ResponseWriter, r *http.Request) error {
		p := principal(r)
		if p.UserID == "" {
			return problem.New(http.StatusConflict, problem.CodeConflict, "You came by a one-time link, and have no other sessions by this name.")
		}
		if err := c.Store.EndSessions(r.Context(), p.UserID, access.Hash(c.cookie(r)), p.Actor()); err != nil {
			return err
		}
		http.Redirect(w, r, "/account?done=othersout", http.StatusSeeOther)
		return nil
	})
}

func (c *Console) account(w http.ResponseWriter, r *http.Request, status int, page accountPage) error {
	p := principal(r)
	page.base = c.base(r, "Your account", "/account", crumb{Text: "Your account"})
	page.Name, page.Own, page.Least = p.Name, p.UserID != "", access.MinPassword
	if page.Own {
		u, err := c.Store.User(r.Context(), p.UserID)
		if err != nil {
			return err
		}
		page.Role = u.Role
	}
	return c.render(w, r, status, "account", page)
}

func (c *Console) changePassword(w http.ResponseWriter, r *http.Request) error {
	password := r.PostForm.Get("password")
	if password != r.PostForm.Get("again") {
		return c.account(w, r, http.StatusUnprocessableEntity, accountPage{Again: "The two are not the same."})
	}
	err := access.ChangePassword(r.Context(), c.Store, c.doorman, principal(r), c.cookie(r), r.PostForm.Get("old"), password)
	var wrong *problem.Problem
	switch {
	case err == nil:
		http.Redirect(w, r, "/account?done=password", http.StatusSeeOther)
		return nil
	case errors.As(err, &wrong):
		return c.account(w, r, wrong.Status, accountPage{Errors: wrong})
	case errors.Is(err, access.ErrWrong):
		return c.account(w, r, http.StatusUnprocessableEntity, accountPage{Wrong: "This is not your present password."})
	}
	status, text, known := c.refusal(w, err)
	if !known {
		return err
	}
	return c.account(w, r, status, accountPage{Refused: text})
}
