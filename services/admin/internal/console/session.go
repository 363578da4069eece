package console

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
)

// gatePage is a page before the door: it needs no session, and shows nothing of
// what is behind.
type gatePage struct {
	Title, Text, Command, Href, Link, Theme string
	SignIn                                  *signInForm
	Setup                                   *setupForm
}

func (c *Console) gate(w http.ResponseWriter, r *http.Request, status int, page gatePage) {
	page.Theme = themeOf(r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = c.pages["gate"].ExecuteTemplate(w, "gate", page)
}

// secure says whether the browser speaks https with us, or with the proxy in
// front.
func (c *Console) secure(r *http.Request) bool {
	return r.TLS != nil || c.PublicURL != nil && c.PublicURL.Scheme == "https"
}

// cookieName has the prefix that binds a cookie to https and this host, where
// there is https. On plain http at loopback it cannot: Safari refuses Secure
// there.
func (c *Console) cookieName(r *http.Request) string {
	if c.secure(r) {
		return "__Host-aftercall_session"
	}
	return "aftercall_session"
}

// cookie is the value of the session's cookie, or "".
func (c *Console) cookie(r *http.Request) string {
	cookie, err := r.Cookie(c.cookieName(r))
	if err != nil {
		return "" // the one error is http.ErrNoCookie
	}
	return cookie.Value
}

func (c *Console) session(r *http.Request) (*access.Principal, error) {
	value := c.cookie(r)
	if value == "" {
		return nil, nil
	}
	p, err := access.Session(r.Context(), c.Store, value, clientAddress(r))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// plain refuses to open a session where anyone on the way could read it.
func (c *Console) plain(w http.ResponseWriter, r *http.Request) bool {
	if c.secure(r) || loopback(r.Host) {
		return false
	}
	c.gate(w, r, http.StatusForbidden, gatePage{Title: "Only over https", Text: "A session over plain http could be read by anyone on the way. Put https in front and set AFTERCALL_PUBLIC_URL=https://…, or use http://127.0.0.1 on the machine itself."})
	return true
}

// looksOnly answers programs that look at links before people open them.
func looksOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodHead || r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") == "prefetch" {
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	return false
}

// enter gives the browser its cookie and shows it in.
func (c *Console) enter(w http.ResponseWriter, r *http.Request, value, next string) {
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(r), Value: value, Path: "/", HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: int(access.SessionLifetime / time.Second)})
	http.Redirect(w, r, local(next), http.StatusSeeOther) //nolint:gosec // local keeps to paths of this host
}

// login takes a one-time link, or shows the page to sign in.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if c.plain(w, r) {
		return
	}
	text := r.URL.Query().Get("t")
	if text == "" {
		c.knock(w, r, http.StatusOK, "/webhooks")
		return
	}
	if looksOnly(w, r) {
		return
	}
	value, err := access.Login(r.Context(), c.Store, text, clientAddress(r))
	if errors.Is(err, store.ErrNotFound) {
		page := gatePage{Title: "This link was used", Text: "It opens the console once, within 12 hours. This makes another:", Command: "aftercall login"}
		if p, err := c.session(r); err == nil && p != nil {
			page.Text, page.Command, page.Href, page.Link = "It opens the console once, and you are signed in.", "", "/webhooks", "Open the console"
		}
		c.gate(w, r, http.StatusUnauthorized, page)
		return
	}
	if err != nil {
		c.trouble(w, r, err)
		return
	}
	c.enter(w, r, value, "/webhooks")
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if value := c.cookie(r); value != "" {
		if err := c.Store.DeleteSession(r.Context(), access.Hash(value)); err != nil && !errors.Is(err, store.ErrNotFound) {
			c.trouble(w, r, err)
			return
		}
	}
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(r), Path: "/", HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: -1})
	page := gatePage{Title: "Signed out", Text: "A new one-time link opens the console again:", Command: "aftercall login"}
	if there, err := c.Store.AnyUser(r.Context()); err == nil && there {
		page.Text, page.Command, page.Href, page.Link = "This browser is signed out.", "", "/login", "Sign in"
	}
	c.gate(w, r, http.StatusOK, page)
}

func (c *Console) theme(w http.ResponseWriter, r *http.Request) {
	value := r.FormValue("theme")
	cookie := &http.Cookie{Name: "aftercall_theme", Value: value, Path: "/", HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600}
	if value != "light" && value != "dark" {
		cookie.Value, cookie.MaxAge = "", -1
	}
	http.SetCookie(w, cookie)
	http.Redirect(w, r, back(r), http.StatusSeeOther) //nolint:gosec // back keeps to paths of this host
}

func themeOf(r *http.Request) string {
	if cookie, err := r.Cookie("aftercall_theme"); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// back is the page a form was posted from, when it is one of ours.
func back(r *http.Request) string {
	if u, err := url.Parse(r.Referer()); err == nil && u.Host == r.Host {
		return local(u.RequestURI())
	}
	return "/webhooks"
}

// local is path when it stays on this host, and the first page otherwise. A
// browser takes tabs and line breaks out of an address before it reads it, which
// makes another host of "/\t/host"; the addresses of our pages have neither.
func local(path string) string {
	foreign := func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsFunc(path, foreign) {
		return "/webhooks"
	}
	return path
}

func loopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost")
}

// CrossOrigin answers what another site made a browser post.
func (c *Console) CrossOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", Policy)
	c.gate(w, r, http.StatusForbidden, gatePage{Title: "Not from here", Text: "This was posted by another site, so nothing was done.", Href: "/webhooks", Link: "Open the console"})
}
