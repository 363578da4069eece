package console

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// scopeTexts say what a token with a scope may do.
var scopeTexts = []option{
	{Value: access.Read, Text: "read: webhooks, attempts, calls, rejected records; personal data stays masked"},
	{Value: access.Write, Text: "write: add, change and delete webhooks, send tests"},
	{Value: access.Resend, Text: "resend: send a delivery again, stop its retries, send what waits"},
	{Value: access.Replay, Text: "replay: plan, run and cancel replays"},
	{Value: access.Admin, Text: "admin: all of these, users, tokens, and the audit log"},
}

type tokenRow struct {
	ID, Name, Scopes, By                 string
	CreatedAt, LastUsedAt, ExpiresAt     time.Time
	Revoked, Expired, NeverUsed, Expires bool
}

type tokensPage struct {
	base
	Problem string
	// Made is the text of the token that was just made.
	Made, MadeName string
	Name, Expires  string
	Scopes         []option
	Errors         *problem.Problem
	Rows           []tokenRow
}

// Err is what is wrong with a field, or "".
func (p tokensPage) Err(pointer string) string { return p.Errors.At(pointer) }

func (c *Console) listTokens(w http.ResponseWriter, r *http.Request) error {
	return c.tokens(w, r, http.StatusOK, tokensPage{})
}

func (c *Console) tokens(w http.ResponseWriter, r *http.Request, status int, page tokensPage) error {
	page.base = c.base(r, "API tokens", "/tokens", crumb{Text: "API tokens"})
	if page.Scopes == nil {
		page.Scopes = slices.Clone(scopeTexts)
		page.Scopes[0].Checked = true
	}
	rows, err := c.Store.Tokens(r.Context())
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	for _, t := range rows {
		page.Rows = append(page.Rows, tokenRow{
			ID: t.ID, Name: t.Name, Scopes: strings.Join(t.Scopes, ", "), By: t.CreatedBy, CreatedAt: t.CreatedAt, LastUsedAt: t.LastUsedAt, ExpiresAt: t.ExpiresAt,
			Revoked: !t.RevokedAt.IsZero(), NeverUsed: t.LastUsedAt.IsZero(), Expires: !t.ExpiresAt.IsZero(), Expired: !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(c.Now()),
		})
	}
	return c.render(w, r, status, "tokens", page)
}

// lifetimes of a token, as the form offers them.
var lifetimes = map[string]time.Duration{"": 0, "30": 30 * 24 * time.Hour, "90": 90 * 24 * time.Hour, "365": 365 * 24 * time.Hour}

func (c *Console) createToken(w http.ResponseWriter, r *http.Request) error {
	in := access.TokenInput{Name: r.PostForm.Get("name"), Scopes: r.PostForm["scope"]}
	days := r.PostForm.Get("expires")
	life, known := lifetimes[days]
	if !known {
		return problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid, "A token is valid for 30, 90 or 365 days, or until it is revoked.")
	}
	if life > 0 {
		in.ExpiresAt = c.Now().Add(life).UTC()
	}
	text, t, err := access.Issue(r.Context(), c.Store, in, actor(r))
	var wrong *problem.Problem
	if errors.As(err, &wrong) {
		page := tokensPage{Name: in.Name, Expires: days, Errors: wrong, Scopes: slices.Clone(scopeTexts)}
		for i := range page.Scopes {
			page.Scopes[i].Checked = slices.Contains(in.Scopes, page.Scopes[i].Value)
		}
		return c.tokens(w, r, wrong.Status, page)
	}
	if err != nil {
		return err
	}
	// Not a redirect: the text is in this answer and nowhere else.
	return c.tokens(w, r, http.StatusOK, tokensPage{Made: text, MadeName: t.Name})
}

func (c *Console) revokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := access.Revoke(r.Context(), c.Store, r.PathValue("id"), actor(r)); err != nil {
		return err
	}
	http.Redirect(w, r, "/tokens?done=revoked", http.StatusSeeOther)
	return nil
}

type auditRow struct {
	At                                   time.Time
	Actor, Kind, Address, Action, Object string
	Href, Detail                         string
}

type auditPage struct {
	base
	Problem               string
	Actor, Action, Object string
	Filtered              bool
	Rows                  []auditRow
	Pager                 pager
}

func (c *Console) listAudit(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := auditPage{base: c.base(r, "Audit log", "/audit", crumb{Text: "Audit log"}),
		Actor: strings.TrimSpace(q.Get("actor")), Action: strings.TrimSpace(q.Get("action")), Object: strings.TrimSpace(q.Get("object"))}
	page.Filtered = page.Actor+page.Action+page.Object != ""
	status := http.StatusOK
	rows, next, err := c.Store.Audit(r.Context(), store.AuditQuery{Actor: page.Actor, Action: page.Action, Object: page.Object,
		Page: store.Page{Limit: pageRows, Cursor: q.Get("cursor")}})
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	for _, e := range rows {
		page.Rows = append(page.Rows, auditRow{At: e.At, Actor: e.Actor, Kind: e.Kind, Address: e.Address, Action: e.Action, Object: e.Object, Href: hrefOf(e.Object), Detail: detailOf(e.Detail)})
	}
	page.Pager = pagerOf(r, next)
	return c.render(w, r, status, "audit", page)
}

// hrefOf is the page of what an entry is about, by its id.
func hrefOf(id string) string {
	for prefix, page := range map[string]string{"sub_": "/webhooks/", "dlv_": "/deliveries/", "att_": "/attempts/", "evt_": "/events/", "rpl_": "/replays/", "usr_": "/users/", "era_": "/erasures/"} {
		if strings.HasPrefix(id, prefix) {
			return page + url.PathEscape(id)
		}
	}
	return ""
}

func detailOf(detail map[string]string) string {
	parts := make([]string, 0, len(detail))
	for _, name := range slices.Sorted(maps.Keys(detail)) {
		parts = append(parts, name+": "+detail[name])
	}
	return strings.Join(parts, " · ")
}
