package console

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// liveness says whether a list refreshes itself, and how far its figures lag.
type liveness struct {
	On, Stale bool
	StaleText string
}

// staleAfter is when figures have to say how old they are.
const staleAfter = 10 * time.Second

// live reads how far the store is behind Kafka.
func (c *Console) live(ctx context.Context) liveness {
	fresh, err := c.Store.Freshness(ctx)
	if err != nil {
		return liveness{On: true, Stale: true, StaleText: "How fresh this is cannot be told"}
	}
	var lag time.Duration
	for _, f := range fresh {
		lag = max(lag, f.Lag)
	}
	if lag > staleAfter {
		return liveness{On: true, Stale: true, StaleText: "As of " + span(lag) + " ago: the projector is behind"}
	}
	return liveness{On: true}
}

type firstStep struct {
	N, Text, Href, Why string
	Post               bool
}

type lastAttempt struct {
	ID    string
	State state
	At    time.Time
}

type webhookRow struct {
	ID, Name, Endpoint string
	Active             state
	Events             []string
	Spark              template.HTML
	Success, P95       string
	Last               *lastAttempt
	NextRetry          time.Time
	Waiting            int64
}

type webhooksPage struct {
	base
	Steps    []firstStep
	Live     liveness
	Q        webhookFilter
	Filtered bool
	States   []option
	Events   []option
	// Count is of all that match, Rows are those of this page.
	Count   int
	Rows    []webhookRow
	Pager   pager
	Problem string
	Missed  *missed
}

// webhookFilter is the query string of the list.
type webhookFilter struct{ Text, State, Event string }

// Count is how many filters are on.
func (f webhookFilter) Count() int {
	n := 0
	for _, on := range []string{f.Text, f.State, f.Event} {
		if on != "" {
			n++
		}
	}
	return n
}

// matches says whether a webhook is to be in the list.
func (f webhookFilter) matches(s *subscription.Subscription) bool {
	text := strings.ToLower(f.Text)
	switch {
	case f.State == "active" && !s.Active, f.State == "off" && s.Active:
		return false
	case f.Event != "" && !slices.Contains(s.Events, f.Event):
		return false
	}
	return strings.Contains(strings.ToLower(s.Name), text) || strings.Contains(strings.ToLower(s.Endpoint), text) || s.ID == f.Text
}

// webhooksShown is how many rows a page of the list has.
const webhooksShown = 100

// missed is what a webhook did not get while it was off.
type missed struct{ Subscription, Name, Text, From, To, Why, Operation string }

// missedPatience is how long the list waits for the count.
const missedPatience = 2 * time.Second

// missed is nil when there is nothing to offer, or it cannot be told soon.
func (c *Console) missed(r *http.Request) *missed {
	id := r.URL.Query().Get("on")
	if id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), missedPatience)
	defer cancel()
	s, err := c.Store.Subscription(ctx, id)
	if err != nil {
		return nil
	}
	m, err := c.Webhooks.Missed(ctx, id)
	if err != nil || m.Replay == nil {
		return nil
	}
	text := "the " + count(m.Events) + " missed while it was off"
	if m.Events == 1 {
		text = "the one missed while it was off"
	}
	return &missed{id, s.Name, text, m.Replay.From.Format(time.RFC3339Nano), m.Replay.To.Format(time.RFC3339Nano), m.Replay.Why, webhooks.NewOperation().ID}
}

func (c *Console) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := webhooksPage{base: c.base(r, "Webhooks", "/webhooks", crumb{Text: "Webhooks"}), Live: c.live(r.Context()),
		Q: webhookFilter{Text: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Event: q.Get("event")}}
	page.Filtered = page.Q != webhookFilter{}
	page.States = choices(page.Q.State, "active", "active", "off", "off")
	for _, t := range webhooks.Types {
		page.Events = append(page.Events, option{Name: t, Checked: t == page.Q.Event})
	}
	status := http.StatusOK
	rows, err := c.webhookRows(r, &page)
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	page.Rows = rows
	page.Missed = c.missed(r)
	if c.FirstSteps {
		page.Steps = c.steps(r)
	}
	return c.render(w, r, status, "webhooks", page)
}

// webhookRows are those of one page, with their figures of 24 hours, which are
// read for the whole page at once.
func (c *Console) webhookRows(r *http.Request, page *webhooksPage) ([]webhookRow, error) {
	all, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	if err != nil {
		return nil, err
	}
	subs := slices.DeleteFunc(all, func(s *subscription.Subscription) bool { return !page.Q.matches(s) })
	page.Count = len(subs)
	first, _ := strconv.Atoi(r.URL.Query().Get("from"))
	first = max(0, min(first, max(0, len(subs)-1)))
	page.Pager = offsets(r, first, len(subs))
	subs = subs[first:min(first+webhooksShown, len(subs))]
	ids := make([]string, len(subs))
	for i, s := range subs {
		ids[i] = s.ID
	}
	var stats map[string]store.SubscriptionStats
	if len(ids) > 0 {
		if stats, err = c.Store.SubscriptionStats(r.Context(), c.Now().Add(-24*time.Hour), ids...); err != nil {
			return nil, err
		}
	}
	rows := make([]webhookRow, 0, len(subs))
	for _, s := range subs {
		f := stats[s.ID]
		row := webhookRow{ID: s.ID, Name: s.Name, Endpoint: s.Endpoint, Active: activeState(s.Active, s.DisabledReason), Spark: sparkline(s.Name, f.Hourly), Success: "–", P95: "–", NextRetry: f.NextRetry, Waiting: f.Waiting}
		for _, e := range s.Events {
			row.Events = append(row.Events, shortType(e))
		}
		if f.Attempts > 0 {
			row.Success = percent(f.Delivered, f.Attempts)
			row.P95 = duration(f.P95)
		}
		if f.LastAttempt != nil {
			row.Last = &lastAttempt{f.LastAttempt.AttemptID, resultState(f.LastAttempt.Result, f.LastAttempt.Reason), f.LastAttempt.StartedAt}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// offsets leads through a list that is read whole.
func offsets(r *http.Request, first, count int) pager {
	to := func(from int) string {
		v := r.URL.Query()
		v.Del("from")
		v.Del("done")
		v.Del("on")
		if from > 0 {
			v.Set("from", strconv.Itoa(from))
		}
		if len(v) == 0 {
			return r.URL.Path
		}
		return r.URL.Path + "?" + v.Encode()
	}
	var p pager
	if first > 0 {
		p.Newest, p.Newer = to(0), to(first-webhooksShown)
	}
	if first+webhooksShown < count {
		p.Older = to(first + webhooksShown)
	}
	return p
}

// fault is what a list says when it could not be read; the log has the rest.
func (c *Console) fault(r *http.Request, err error) (text string, status int) {
	p := problem.From(err)
	if p.Status >= 500 && r.Context().Err() == nil {
		request := problem.NewRequest()
		c.Logger.Error("page.failed", zap.String("request", request), logRoute(r), logError(err))
		if p.Code == problem.CodeInternal {
			p = problem.Fault(request)
		}
	}
	return p.Detail, p.Status
}

func activeState(active bool, disabled string) state {
	switch {
	case active:
		return on
	case disabled != "":
		return state{"Off: " + words(disabled), "bad", "square"}
	}
	return off
}

// shortType is an event type without what all have in common.
func shortType(t string) string { return strings.TrimSuffix(strings.TrimPrefix(t, "App."), "Webhook") }

func percent(part, whole int64) string {
	switch {
	case whole == 0:
		return "–"
	case part == whole:
		return "100 %"
	}
	// Never round a failure away.
	return fmt.Sprintf("%.1f %%", min(99.9, float64(part)*100/float64(whole)))
}

const stepsCookie = "aftercall_steps"

func (c *Console) steps(r *http.Request) []firstStep {
	dismissed := ""
	if cookie, err := r.Cookie(stepsCookie); err == nil {
		dismissed = cookie.Value
	}
	var out []firstStep
	for _, s := range []firstStep{
		{"1", "Send Test Webhook", "/webhooks/test", "See one go all the way, in seconds.", true},
		{"2", "Open a call", "/calls", "Every record of it, who wanted it, what became of it.", false},
		{"3", "Add your endpoint", "/webhooks/new", "http://localhost:3000 is fine here.", false},
	} {
		if !strings.Contains(dismissed, s.N) {
			out = append(out, s)
		}
	}
	return out
}

func (c *Console) dismissStep(w http.ResponseWriter, r *http.Request) error {
	dismissed := ""
	if cookie, err := r.Cookie(stepsCookie); err == nil {
		dismissed = cookie.Value
	}
	if n, err := strconv.Atoi(r.FormValue("step")); err == nil && n >= 1 && n <= 3 {
		dismissed += strconv.Itoa(n)
	}
	kept := ""
	for _, n := range []string{"1", "2", "3"} {
		if strings.Contains(dismissed, n) {
			kept += n
		}
	}
	http.SetCookie(w, &http.Cookie{Name: stepsCookie, Value: kept, Path: "/", HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600})
	http.Redirect(w, r, "/webhooks", http.StatusSeeOther)
	return nil
}
