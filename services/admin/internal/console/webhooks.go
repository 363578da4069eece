package console

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
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
	Steps   []firstStep
	Live    liveness
	Rows    []webhookRow
	Problem string
	Missed  *missed
}

// missed is what a webhook did not get while it was off.
type missed struct{ Subscription, Name, Text, From, To, Why string }

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
	return &missed{id, s.Name, text, m.Replay.From.Format(time.RFC3339Nano), m.Replay.To.Format(time.RFC3339Nano), m.Replay.Why}
}

func (c *Console) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	page := webhooksPage{base: c.base(r, "Webhooks", "/webhooks", crumb{Text: "Webhooks"}), Live: c.live(r.Context())}
	status := http.StatusOK
	subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	var stats map[string]store.SubscriptionStats
	if err == nil {
		stats, err = c.Store.SubscriptionStats(r.Context(), c.Now().Add(-24*time.Hour))
	}
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
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
		page.Rows = append(page.Rows, row)
	}
	page.Missed = c.missed(r)
	if c.FirstSteps {
		page.Steps = c.steps(r)
	}
	return c.render(w, r, status, "webhooks", page)
}

// fault is what a list says when it could not be read; the log has the rest.
func (c *Console) fault(r *http.Request, err error) (text string, status int) {
	p := problem.From(err)
	if p.Status >= 500 && r.Context().Err() == nil {
		c.Logger.Error("page.failed", logRoute(r), logError(err))
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
