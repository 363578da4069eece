package console

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// signInForm is where a name and a password go.
type signInForm struct {
	Next, Login, Wrong string
}

// setupForm is where somebody with a setup link chooses a password.
type setupForm struct {
	Link, Login  string
	First        bool
	Least        int
	Errors       *problem.Problem
	Wrong, Again string
}

// Err is what is wrong with a field, or "".
func (f setupForm) Err(pointer string) string { return f.Errors.At(pointer) }

const (
	signInTitle = "Sign in"
	oneTimeText = "The console opens with a one-time link. The process printed one when it started; this makes another:"
)

// knock is the page for whoever has no session: the form, once there are users.
func (c *Console) knock(w http.ResponseWriter, r *http.Request, status int, next string) {
	there, err := c.Store.AnyUser(r.Context())
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	if there {
		c.gate(w, r, status, gatePage{Title: signInTitle, SignIn: &signInForm{Next: local(next)}})
		return
	}
	page := gatePage{Title: signInTitle, Text: oneTimeText, Command: "aftercall login"}
	if c.SetupInLog {
		page.Text = "There is no user yet. A link with which the first one is made stands in admin's log, new with each start. With an API token this makes a one-time link:"
	}
	c.gate(w, r, http.StatusUnauthorized, page)
}

// form reads a form of somebody who has no session.
func (c *Console) form(w http.ResponseWriter, r *http.Request) bool {
	if c.plain(w, r) {
		return false
	}
	if err := r.ParseForm(); err != nil {
		c.gate(w, r, http.StatusBadRequest, gatePage{Title: "Not understood", Text: "The form could not be read.", Href: "/login", Link: signInTitle})
		return false
	}
	return true
}

// signIn takes a name and its password.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	if !c.form(w, r) {
		return
	}
	value, err := access.SignIn(r.Context(), c.Store, c.doorman, r.PostForm.Get("login"), r.PostForm.Get("password"), clientAddress(r))
	if err == nil {
		c.enter(w, r, value, r.PostForm.Get("next"))
		return
	}
	status, text, known := c.refusal(w, err)
	if !known {
		c.trouble(w, r, err)
		return
	}
	// Not the name: people type passwords there.
	c.Logger.Warn("sign_in.refused", zap.String("address", clientAddress(r)), zap.Error(err))
	c.gate(w, r, status, gatePage{Title: signInTitle, SignIn: &signInForm{Next: local(r.PostForm.Get("next")), Login: r.PostForm.Get("login"), Wrong: text}})
}

// refusal is how the doorman's refusals are answered.
func (c *Console) refusal(w http.ResponseWriter, err error) (status int, text string, known bool) {
	var slow *access.SlowDownError
	switch {
	case errors.Is(err, access.ErrWrong):
		return http.StatusUnauthorized, "The name or the password is wrong.", true
	case errors.As(err, &slow):
		s := int(math.Ceil(slow.For.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(s))
		return http.StatusTooManyRequests, fmt.Sprintf("Too many wrong passwords for this name. Try again in %s.", time.Duration(s)*time.Second), true
	case errors.Is(err, access.ErrBusy):
		w.Header().Set("Retry-After", "5")
		return http.StatusServiceUnavailable, "Many people sign in right now. Try again in a few seconds.", true
	}
	return 0, "", false
}

// setup shows the form of a setup link, which is not used up by that.
func (c *Console) setup(w http.ResponseWriter, r *http.Request) {
	if c.plain(w, r) || looksOnly(w, r) {
		return
	}
	c.showSetup(w, r, http.StatusOK, setupForm{Link: r.URL.Query().Get("t")})
}

func (c *Console) showSetup(w http.ResponseWriter, r *http.Request, status int, f setupForm) {
	s, err := access.OpenSetup(r.Context(), c.Store, f.Link)
	if errors.Is(err, store.ErrNotFound) {
		c.gate(w, r, http.StatusUnauthorized, gatePage{Title: "This link cannot be used any more", Text: "A setup link works once, within three days, and a newer one takes its place. An administrator makes another: Users, New link.", Href: "/login", Link: signInTitle})
		return
	}
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	f.First, f.Least = s.First, access.MinPassword
	page := gatePage{Title: "Choose your password", Setup: &f}
	if f.First {
		page.Title = "Make the first user"
		page.Text = "They administer: webhooks, users, tokens. Everybody else is added in the console."
	} else {
		f.Login = s.Login
	}
	c.gate(w, r, status, page)
}

// completeSetup takes the password that somebody chose.
func (c *Console) completeSetup(w http.ResponseWriter, r *http.Request) {
	if !c.form(w, r) {
		return
	}
	f := setupForm{Link: r.PostForm.Get("t"), Login: r.PostForm.Get("login")}
	if r.PostForm.Get("password") != r.PostForm.Get("again") {
		f.Again = "The two are not the same."
		c.showSetup(w, r, http.StatusUnprocessableEntity, f)
		return
	}
	value, err := access.CompleteSetup(r.Context(), c.Store, c.doorman, f.Link, f.Login, r.PostForm.Get("password"), clientAddress(r))
	var wrong *problem.Problem
	switch {
	case err == nil:
		c.enter(w, r, value, "/webhooks")
	case errors.As(err, &wrong):
		f.Errors = wrong
		c.showSetup(w, r, wrong.Status, f)
	case errors.Is(err, store.ErrNotFound):
		c.showSetup(w, r, http.StatusUnauthorized, f)
	default:
		status, text, known := c.refusal(w, err)
		if !known {
			c.trouble(w, r, err)
			return
		}
		f.Wrong = text
		c.showSetup(w, r, status, f)
	}
}
