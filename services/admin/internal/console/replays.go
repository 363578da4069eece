package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

type replayRow struct {
	ID, What, Span, Who, Why, Progress, Fault string
	At                                        time.Time
	State                                     state
}

type replayForm struct {
	Mode, From, To, Why, Subscription string
	// Operation makes one plan of a button that is pressed twice.
	Operation string
	Errors    *problem.Problem
}

// At is what is wrong with a field, or "".
func (f replayForm) At(pointer string) string { return f.Errors.At(pointer) }

type choice struct{ Value, Text string }

type replaysPage struct {
	base
	Live    liveness
	Problem string
	Form    replayForm
	Choices []choice
	Rows    []replayRow
	Pager   pager
}

type replayCount struct {
	Name, Href, Send string
	Skips            []string
}

type replayPage struct {
	base
	replayRow
	Planned, CanRun, CanCancel, Running, Done bool
	Rate, Percent                             int
	Sent, Skipped, Total                      string
	Skips                                     []string
	Counts                                    []replayCount
}

func replayState(s string) state {
	switch s {
	case store.ReplayPlanned:
		return state{"planned", "", "ring"}
	case store.ReplayRunning:
		return state{"running", "info", "again"}
	case store.ReplayDone:
		return state{"done", "ok", "tick"}
	case store.ReplayFailed:
		return state{"failed", "bad", "cross"}
	}
	return state{s, "", "square"}
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func replayRowOf(r *store.Replay) replayRow {
	row := replayRow{ID: r.ID, State: replayState(r.State), At: r.CreatedAt, Who: r.CreatedBy, Why: r.Why, Fault: r.Fault, What: "Recover what ended without success",
		Span: r.From.UTC().Format("2006-01-02 15:04") + " to " + r.To.UTC().Format("2006-01-02 15:04") + " UTC", Progress: count(r.Sent+r.Skipped) + " of " + count(r.Total)}
	if r.Mode == store.ReplayBackfill {
		row.What = "Match events again"
	}
	return row
}

func skipTexts(m map[string]int64) []string {
	var out []string
	for _, reason := range replay.Skips() {
		if n := m[reason]; n > 0 {
			out = append(out, count(n)+" "+replay.SkipText(reason))
		}
	}
	return out
}

func (c *Console) listReplays(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	from := cmp.Or(q.Get("from"), c.Now().UTC().Add(-24*time.Hour).Format(minuteLayout))
	return c.replaysPage(w, r, http.StatusOK, replayForm{Mode: store.ReplayRecover, From: from, To: q.Get("to"), Subscription: q.Get("subscription")})
}

func (c *Console) replaysPage(w http.ResponseWriter, r *http.Request, status int, form replayForm) error {
	form.Operation = webhooks.NewOperation().ID
	page := replaysPage{base: c.base(r, "Replays", "/replays", crumb{Text: "Replays"}), Form: form}
	cursor := r.URL.Query().Get("cursor")
	rows, next, err := c.Webhooks.Replays.List(r.Context(), store.ReplayQuery{Page: store.Page{Limit: pageRows, Cursor: cursor}})
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	for _, x := range rows {
		page.Rows = append(page.Rows, replayRowOf(x))
	}
	page.Pager = pagerOf(r, next)
	page.Live = liveness{On: cursor == ""}
	subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	if err != nil {
		return err
	}
	for _, s := range subs {
		page.Choices = append(page.Choices, choice{s.ID, s.Name})
	}
	return c.render(w, r, status, "replays", page)
}

func (c *Console) planReplay(w http.ResponseWriter, r *http.Request) error {
	form := replayForm{Mode: r.PostForm.Get("mode"), From: r.PostForm.Get("from"), To: r.PostForm.Get("to"), Why: r.PostForm.Get("why"), Subscription: r.PostForm.Get("subscription")}
	q := replay.Request{Mode: form.Mode, Why: form.Why}
	if form.Subscription != "" {
		q.Subscriptions = []string{form.Subscription}
	}
	q.From = formTimeOf(form.From)
	if q.To = formTimeOf(form.To); form.To != "" && q.To.IsZero() {
		form.Errors = problem.Invalid(problem.Field{Pointer: "/from", Code: problem.CodeInvalid, Message: "The end of the span cannot be read."})
		return c.replaysPage(w, r, http.StatusUnprocessableEntity, form)
	}
	planned, err := c.Webhooks.Replays.PlanOnce(r.Context(), r.PostForm.Get("operation"), q, actor(r))
	if err != nil {
		if p := problem.From(err); p.Status == http.StatusUnprocessableEntity {
			form.Errors = p
			return c.replaysPage(w, r, p.Status, form)
		}
		return err
	}
	http.Redirect(w, r, "/replays/"+url.PathEscape(planned.ID), http.StatusSeeOther)
	return nil
}

// formTimeOf reads what datetime-local sends, in UTC, or the zero time.
func formTimeOf(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func (c *Console) showReplay(w http.ResponseWriter, r *http.Request) error {
	x, err := c.Webhooks.Replays.Replay(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	page := replayPage{base: c.base(r, "Replay", "/replays", crumb{"Replays", "/replays"}, crumb{Text: x.ID}), replayRow: replayRowOf(x), Rate: x.Rate,
		Planned: x.State == store.ReplayPlanned, Running: x.State == store.ReplayRunning, Done: x.State == store.ReplayDone,
		CanRun: x.State != store.ReplayDone && x.State != store.ReplayRunning, CanCancel: x.State == store.ReplayRunning || x.State == store.ReplayPlanned,
		Sent: count(x.Sent), Skipped: count(x.Skipped), Total: count(x.Total), Skips: skipTexts(x.SkippedFor), Percent: 100}
	if x.Total > 0 {
		page.Percent = int(100 * (x.Sent + x.Skipped) / x.Total)
	}
	subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{IncludeDeleted: true})
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, s := range subs {
		names[s.ID] = s.Name
	}
	for _, n := range x.Plan {
		row := replayCount{Name: names[n.SubscriptionID], Href: "/webhooks/" + url.PathEscape(n.SubscriptionID) + "/attempts", Send: count(n.Send), Skips: skipTexts(n.Skip)}
		if row.Name == "" {
			row.Name = n.SubscriptionID
		}
		page.Counts = append(page.Counts, row)
	}
	return c.render(w, r, http.StatusOK, "replay", page)
}

func (c *Console) runReplay(w http.ResponseWriter, r *http.Request) error {
	rate, _ := strconv.Atoi(r.PostForm.Get("rate")) // 0 is refused below
	if _, err := c.Webhooks.Replays.Start(r.Context(), r.PathValue("id"), rate, actor(r)); err != nil {
		return err
	}
	http.Redirect(w, r, "/replays/"+url.PathEscape(r.PathValue("id")), http.StatusSeeOther)
	return nil
}

func (c *Console) cancelReplay(w http.ResponseWriter, r *http.Request) error {
	if _, err := c.Webhooks.Replays.Cancel(r.Context(), r.PathValue("id"), actor(r)); err != nil {
		return err
	}
	http.Redirect(w, r, "/replays/"+url.PathEscape(r.PathValue("id")), http.StatusSeeOther)
	return nil
}
