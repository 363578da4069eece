// Package console is the pages: Administration | Webhooks and what belongs to
// it, rendered on the server.
//
// What it guarantees:
//
//   - Every page works without JavaScript: forms post, links lead on. Scripts
//     add live updates, keys, and buttons that copy.
//   - Rows that somebody reads, selects or points at do not move; what a live list
//     leaves out it says.
//   - Nothing is inline: the content security policy allows own files only. What
//     others wrote (names, URLs, answers, records) is text, never markup.
//   - A page is its URL: filters stand in the query string.
//   - A list says which of its four states it is in: filled, empty with the next
//     step, nothing matches, or a fault with "Try again". Figures that lag say by
//     how much.
//   - Personal data is masked until it is revealed, and revealing is audited.
package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static
var static embed.FS

// Policy is the content security policy of every page.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Limits of forms.
const (
	maxFormBytes = 256 << 10
	formTime     = 10 * time.Second
)

// Options of a console.
type Options struct {
	Store    *store.DB
	Webhooks *webhooks.Service
	Logger   *zap.Logger
	// PublicURL is the address people use, where a proxy with https stands in
	// front.
	PublicURL *url.URL
	// FirstSteps shows the three steps for newcomers.
	FirstSteps bool
	// SetupInLog says that the process logs a setup link while there is no user.
	SetupInLog bool
	Now        func() time.Time
}

// Console serves the pages.
type Console struct {
	Options
	pages map[string]*template.Template
	mux   *http.ServeMux
	// doorman checks passwords.
	doorman *access.Doorman
	// guarded are the routes behind a session, for the test that asks each.
	guarded []guarded
}

// guarded is a route and the scope that it needs.
type guarded struct{ pattern, scope string }

// New makes the console. Its routes are all but /api, /livez, /readyz, /metrics.
func New(o Options) *Console {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Console{Options: o, pages: map[string]*template.Template{}, mux: http.NewServeMux(), doorman: access.NewDoorman(o.Now)}
	for _, name := range []string{"webhooks", "overview", "tests", "edit", "added", "delete", "rotate", "attempts", "attempt", "delivery", "calls", "event", "rejected", "replays", "replay", "eventtypes", "eventtype", "tokens", "users", "user", "account", "audit", "erasures", "erasure", "health", "test", "bulk", "trouble"} {
		c.pages[name] = template.Must(template.New(name).Funcs(c.funcs()).ParseFS(templates, "templates/layout.html", "templates/payload.html", "templates/keys.html", "templates/"+name+".html"))
	}
	c.pages["gate"] = template.Must(template.New("gate").Funcs(c.funcs()).ParseFS(templates, "templates/gate.html"))
	c.routes()
	return c
}

func (c *Console) routes() {
	files, _ := fs.Sub(static, "static")
	assets := http.FileServerFS(files)
	c.mux.Handle("GET /static/", http.StripPrefix("/static/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		if r.URL.Query().Has("v") {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
		if !serveZipped(w, r) {
			assets.ServeHTTP(w, r)
		}
	})))
	c.mux.HandleFunc("GET /login", c.login)
	c.mux.HandleFunc("POST /login", c.signIn)
	c.mux.HandleFunc("GET /setup", c.setup)
	c.mux.HandleFunc("POST /setup", c.completeSetup)
	c.mux.HandleFunc("POST /logout", c.logout)
	c.mux.HandleFunc("POST /theme", c.theme)

	page := func(pattern, scope string, h handler) {
		c.guarded = append(c.guarded, guarded{pattern, scope})
		c.mux.Handle(pattern, c.signedIn(scope, h))
	}
	page("GET /{$}", access.Read, func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/webhooks", http.StatusSeeOther)
		return nil
	})
	page("GET /webhooks", access.Read, c.listWebhooks)
	page("POST /webhooks/test", access.Write, c.sendTest)
	page("GET /webhooks/new", access.Write, c.newForm)
	page("POST /webhooks/new", access.Write, c.create)
	c.overviewRoutes(page)
	page("GET /webhooks/{id}/edit", access.Write, c.editForm)
	page("POST /webhooks/{id}/edit", access.Write, c.change)
	page("POST /webhooks/{id}/test", access.Write, c.sendTest)
	page("POST /webhooks/{id}/add-test", access.Write, c.addTest)
	page("GET /webhooks/{id}/delete", access.Write, c.confirmDelete)
	page("POST /webhooks/{id}/delete", access.Write, c.delete)
	page("GET /webhooks/{id}/attempts", access.Read, c.listAttempts)
	page("GET /tests/{id}", access.Read, c.showTest)
	page("GET /attempts", access.Read, c.listAttempts)
	page("GET /stream", access.Read, c.stream)
	page("GET /attempts/export", access.Read, c.exportAttempts)
	page("GET /attempts/{id}", access.Read, c.showAttempt)
	page("POST /attempts/{id}/resend", access.Resend, c.resend)
	page("GET /deliveries/{id}", access.Read, c.showDelivery)
	page("POST /deliveries/{id}/resend", access.Resend, c.resend)
	page("GET /calls", access.Read, c.showCalls)
	page("GET /events/{id}", access.Read, c.showEvent)
	page("POST /events/{id}/reveal", access.Read, c.reveal)
	page("GET /rejected", access.Read, c.listRejected)
	page("GET /health", access.Read, c.showHealth)
	page("GET /replays", access.Read, c.listReplays)
	page("POST /replays", access.Replay, c.planReplay)
	page("GET /replays/{id}", access.Read, c.showReplay)
	page("POST /replays/{id}/run", access.Replay, c.runReplay)
	page("POST /replays/{id}/cancel", access.Replay, c.cancelReplay)
	page("GET /event-types", access.Read, c.listEventTypes)
	page("GET /event-types/{name}", access.Read, c.showEventType)
	page("POST /event-types/{name}/send", access.Write, c.sendSample)
	page("GET /tokens", access.Admin, c.listTokens)
	page("POST /tokens", access.Admin, c.createToken)
	page("POST /tokens/{id}/revoke", access.Admin, c.revokeToken)
	page("GET /audit", access.Admin, c.listAudit)
	page("POST /steps/dismiss", access.Read, c.dismissStep)
	c.careRoutes(page)
	c.erasureRoutes(page)
	c.userRoutes(page)
	c.bulkRoutes(page)
	page("/", access.Read, func(http.ResponseWriter, *http.Request) error { return problem.NotFound("page") })
}

// ServeHTTP answers with the headers that every page has.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodPost {
		// A form that arrives slowly must not hold a connection for long.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formTime))
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	}
	c.mux.ServeHTTP(w, r)
}

// handler answers a request or returns why it could not. One place makes a page
// of the latter.
type handler func(http.ResponseWriter, *http.Request) error

type principalKey struct{}

func principal(r *http.Request) *access.Principal {
	p, _ := r.Context().Value(principalKey{}).(*access.Principal)
	return p
}

func actor(r *http.Request) store.Actor { return principal(r).Actor() }

func (c *Console) signedIn(scope string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := c.session(r)
		if err != nil {
			c.trouble(w, r, err)
			return
		}
		if p == nil {
			next := ""
			if r.Method == http.MethodGet {
				next = r.URL.RequestURI()
			}
			c.knock(w, r, http.StatusUnauthorized, next)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), principalKey{}, p))
		if !p.May(scope) {
			c.trouble(w, r, problem.New(http.StatusForbidden, problem.CodeForbidden, "Your role does not allow this: it lacks the scope "+scope+"."))
			return
		}
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				var tooLarge *http.MaxBytesError
				if errors.As(err, &tooLarge) {
					c.trouble(w, r, problem.New(http.StatusRequestEntityTooLarge, problem.CodeTooLarge, "The form is larger than 256 KiB."))
					return
				}
				c.trouble(w, r, problem.New(http.StatusBadRequest, problem.CodeInvalid, "The form could not be read."))
				return
			}
		}
		c.await(r)
		if err := h(w, r); err != nil {
			c.trouble(w, r, err)
		}
	})
}

type crumb struct{ Text, Href string }

type menuItem struct {
	Text, Href, Icon string
	Current          bool
}

type flash struct{ Kind, Text string }

// base is what the frame of every page needs.
type base struct {
	Title  string
	Theme  string
	User   string
	Crumbs []crumb
	// Tabs are the pages of one webhook.
	Tabs  []tab
	Menu  []menuItem
	Flash *flash
}

func (c *Console) base(r *http.Request, title, current string, crumbs ...crumb) base {
	b := base{Title: title, Theme: themeOf(r), Crumbs: append([]crumb{{Text: "Administration", Href: "/webhooks"}}, crumbs...)}
	if p := principal(r); p != nil {
		b.User = p.Name
	}
	for _, m := range []menuItem{
		{Text: "Webhooks", Href: "/webhooks", Icon: "webhook"},
		{Text: "Send attempts", Href: "/attempts", Icon: "send"},
		{Text: "Calls", Href: "/calls", Icon: "call"},
		{Text: "Replays", Href: "/replays", Icon: "again"},
		{Text: "Event types", Href: "/event-types", Icon: "list"},
		{Text: "Rejected records", Href: "/rejected", Icon: "alert"},
		{Text: "Health", Href: "/health", Icon: "pulse"},
		{Text: "Users", Href: "/users", Icon: "person"},
		{Text: "API tokens", Href: "/tokens", Icon: "key"},
		{Text: "Audit log", Href: "/audit", Icon: "log"},
		{Text: "Erasures", Href: "/erasures", Icon: "erase"},
	} {
		if (m.Href == "/users" || m.Href == "/tokens" || m.Href == "/audit" || m.Href == "/erasures") && !principal(r).May(access.Admin) {
			continue
		}
		m.Current = m.Href == current
		b.Menu = append(b.Menu, m)
	}
	if text := flashes[r.URL.Query().Get("done")]; text.Text != "" {
		b.Flash = &text
	}
	return b
}

// flashes are what a page says after a change; the query names one, and can
// therefore say nothing else.
var flashes = map[string]flash{
	"saved":      {"ok", "Saved. Every attempt from now on uses it."},
	"unpub":      {"wait", "Saved, but Kafka does not answer right now. It counts as soon as Kafka does; nothing more to do here."},
	"deleted":    {"ok", "Deleted. Nothing more is sent to it."},
	"duplicate":  {"ok", "This webhook was added already."},
	"paused":     {"ok", "Paused: its deliveries wait, and go out by themselves when the pause ends."},
	"resumed":    {"ok", "Resumed. What was put off comes back within its tier, paced; Send waiting now brings it at once."},
	"discarded":  {"ok", "Whatever was queued for it before this moment stops. What comes after is sent."},
	"sending":    {"ok", "Everything that waits goes out now, at a pace."},
	"cancelling": {"ok", "It ends where it is: what was sent is sent, the rest goes on waiting."},
	"stopped":    {"ok", "Stopped: it is not tried again."},
	"revoked":    {"ok", "Revoked: it opens nothing any more."},
	"role":       {"ok", "The role is changed, and counts from the next click on."},
	"disabled":   {"ok", "Disabled, and signed out everywhere."},
	"enabled":    {"ok", "Enabled: the password from before opens the console again."},
	"signedout":  {"ok", "Signed out everywhere."},
	"removed":    {"ok", "Removed, and signed out everywhere."},
	"password":   {"ok", "Your password is changed. Your other browsers are signed out."},
	"othersout":  {"ok", "Every other browser of yours is signed out."},
	"resent":     {"ok", "On its way again: one try, with the URL, headers and secret of now."},
}

// render writes a page, or only the region that the script asked for.
func (c *Console) render(w http.ResponseWriter, r *http.Request, status int, page string, data any) error {
	t := c.pages[page]
	name := "layout"
	if region := r.Header.Get("Aftercall-Fragment"); region != "" {
		if t.Lookup("live-"+liveName(region)) != nil {
			name = "live-" + liveName(region)
		}
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	writePage(w, r, status, page, b.Bytes())
	return nil
}

func liveName(region string) string {
	if region == "call-detail" {
		return "call"
	}
	return region
}

type troublePage struct {
	base
	Heading, Text, Retry string
}

// trouble is the one place that makes a page of an error.
func (c *Console) trouble(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	if p.Code == problem.CodeInternal && !errors.Is(err, context.Canceled) {
		request := problem.NewRequest()
		c.Logger.Error("page.failed", zap.String("request", request), zap.String("route", r.Pattern), zap.Error(err))
		p = problem.Fault(request)
	}
	c.apologize(w, r, p)
}

// Panicked answers a request whose handler panicked: the log has it by this id.
func (c *Console) Panicked(w http.ResponseWriter, r *http.Request, request string) {
	if p, err := c.session(r); err == nil && p != nil {
		r = r.WithContext(context.WithValue(r.Context(), principalKey{}, p))
	}
	c.apologize(w, r, problem.Fault(request))
}

// apologize shows the page of a problem.
func (c *Console) apologize(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	page := troublePage{base: c.base(r, "Not possible", "", crumb{Text: p.Title}), Heading: p.Title, Text: p.Detail}
	switch p.Status {
	case http.StatusNotFound:
		page.Heading = "Not found"
	case http.StatusPreconditionFailed:
		page.Heading, page.Text = "It was changed meanwhile", "Somebody else changed this webhook after you opened it. Open it again, then repeat your change."
	}
	if r.Method == http.MethodGet && p.Status >= 500 {
		page.Retry = r.URL.RequestURI()
	}
	if err := c.render(w, r, p.Status, "trouble", page); err != nil {
		c.Logger.Error("page.failed", zap.String("route", r.Pattern), zap.Error(err))
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
	}
}

// fingerprints of the static files, so that browsers keep them for good.
var fingerprints = func() map[string]string {
	all := map[string]string{}
	entries, _ := static.ReadDir("static")
	for _, e := range entries {
		b, _ := static.ReadFile("static/" + e.Name())
		sum := sha256.Sum256(b)
		all[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return all
}()

func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
