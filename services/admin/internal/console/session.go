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

type gatePage struct {
	Title, Text, Command, Href, Link, Theme string
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

func (c *Console) session(r *http.Request) (*access.Principal, error) {
	cookie, err := r.Cookie(c.cookieName(r))
	if err != nil || cookie.Value == "" {
		return nil, nil //nolint:nilerr // the one error is http.ErrNoCookie: nobody is signed in
	}
	p, err := access.Session(r.Context(), c.Store, cookie.Value, clientAddress(r))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// login takes a one-time link.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if !c.secure(r) && !loopback(r.Host) {
		c.gate(w, r, http.StatusForbidden, gatePage{Title: "Only over https", Text: "A session over plain http could be read by anyone on the way. Put https in front and set AFTERCALL_PUBLIC_URL=https://…, or use http://127.0.0.1 on the machine itself."})
		return
	}
	text := r.URL.Query().Get("t")
	if text == "" {
		c.gate(w, r, http.StatusUnauthorized, gatePage{Title: "Sign in", Text: "The console opens with a one-time link. The process printed one when it started; this makes another:", Command: "aftercall login"})
		return
	}
	// Some programs look at links before people open them.
	if r.Method == http.MethodHead || r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") == "prefetch" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	value, err := access.Login(r.Context(), c.Store, text)
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
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(r), Value: value, Path: "/", HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: int(access.SessionLifetime / time.Second)})
	http.Redirect(w, r, "/webhooks", http.StatusSeeOther)
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(c.cookieName(r)); err == nil {
		if err := c.Store.DeleteSession(r.Context(), access.Hash(cookie.Value)); err != nil && !errors.Is(err, store.ErrNotFound) {
			c.trouble(w, r, err)
			return
		}
	}
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(r), Path: "/", HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: -1})
	c.gate(w, r, http.StatusOK, gatePage{Title: "Signed out", Text: "A new one-time link opens the console again:", Command: "aftercall login"})
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

// local is path when it stays on this host, and the first page otherwise.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
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
