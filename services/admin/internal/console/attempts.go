package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/export"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

func logRoute(r *http.Request) zap.Field { return zap.String("route", r.Pattern) }
func logError(err error) zap.Field       { return zap.Error(err) }

type attemptRow struct {
	ID, SubscriptionID, SubscriptionName string
	At                                   time.Time
	EventType, Cause                     string
	CallID, CallHref                     string
	Attempt                              string
	State                                state
	HTTP, Latency                        string
	NextRetry                            time.Time
	// OfAll is a row of the list of all webhooks, which names its own.
	OfAll bool
}

type attemptFilter struct {
	EventType, Result, State, Status, Error, Cause, Attempt, Call, From, To string
}

// attemptFilterOf reads it from a page's query.
func attemptFilterOf(q url.Values) attemptFilter {
	return attemptFilter{EventType: q.Get("event_type"), Result: q.Get("result"), State: q.Get("state"), Attempt: q.Get("attempt"), Status: q.Get("status"), Error: q.Get("error"), Cause: q.Get("cause"), Call: q.Get("call"), From: q.Get("from"), To: q.Get("to")}
}

// query is what the store is asked, or what cannot be read in it.
func (f attemptFilter) query() (store.AttemptQuery, *problem.Problem) {
	q := store.AttemptQuery{EventType: f.EventType, CallID: f.Call, Result: f.Result, State: f.State, ErrorClass: f.Error, Status: f.Status, Cause: f.Cause}
	var fromOK, toOK bool
	q.From, fromOK = minute(f.From)
	q.To, toOK = minute(f.To)
	var attemptOK bool
	q.MinAttempt, q.MaxAttempt, attemptOK = attemptNumbers(f.Attempt)
	unreadable := func(title, detail string) (store.AttemptQuery, *problem.Problem) {
		p := problem.New(http.StatusBadRequest, problem.CodeInvalid, detail)
		p.Title = title
		return store.AttemptQuery{}, p
	}
	switch {
	case !fromOK || !toOK:
		return unreadable("The time cannot be read", "A time looks like 2026-03-14T09:26.")
	case f.Status != "" && !statusPattern.MatchString(f.Status):
		return unreadable("The HTTP status cannot be read", "A status looks like 503, a class of them like 5xx.")
	case !attemptOK:
		return unreadable("The attempt cannot be read", "An attempt looks like 3, all after the first like >1.")
	}
	return q, nil
}

// attemptNumbers reads "3" and ">1".
func attemptNumbers(text string) (least, most int32, ok bool) {
	if text == "" {
		return 0, 0, true
	}
	number, after := strings.CutPrefix(text, ">")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 && !after {
		return 0, 0, false
	}
	if after {
		return int32(n) + 1, 0, true
	}
	return int32(n), int32(n), true
}

type pager struct{ Newest, Newer, Older string }

type attemptsPage struct {
	base
	Path, TestAction      string
	Subscription          *subscription.Subscription
	Care                  *care
	EventTypes            []option
	Results, ErrorClasses []option
	Causes, States        []option
	// Search is what was typed, when it could not be read; Chips are the filters
	// that are on.
	Search, SearchWords string
	Chips               []chip
	Q                   attemptFilter
	Filtered            bool
	Live                liveness
	// Stream adds rows to the first page; Since is up to where it was read.
	Stream, Since         string
	Rows                  []attemptRow
	Pager                 pager
	ExportCSV, ExportJSON string
	ProblemTitle, Problem string
}

func choices(current string, pairs ...string) []option {
	var out []option
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, option{Value: pairs[i], Text: pairs[i+1], Checked: pairs[i] == current})
	}
	return out
}

const minuteLayout = "2006-01-02T15:04"

var statusPattern = regexp.MustCompile(`^[1-5]([0-9]{2}|xx)$`)

// minute reads a time as browsers write it, in UTC.
func minute(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{minuteLayout, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

const pageRows = 50

func (c *Console) listAttempts(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := attemptsPage{Path: "/attempts", TestAction: "/webhooks/test", Live: liveness{}, Q: attemptFilterOf(q), SearchWords: searchWords}
	if id := r.PathValue("id"); id != "" {
		s, err := c.Store.Subscription(r.Context(), id)
		if err != nil {
			return err
		}
		page.Path = "/webhooks/" + url.PathEscape(id) + "/attempts"
		page.base = c.base(r, "View Webhook Send Attempts", "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{s.Name, "/webhooks/" + url.PathEscape(id)}, crumb{Text: "View Webhook Send Attempts"})
		page.Tabs = tabsOf(r, id, "View Webhook Send Attempts")
		page.TestAction = "/webhooks/" + url.PathEscape(id) + "/test"
		page.Subscription, page.Care = s, c.careOf(r, s)
	} else {
		page.base = c.base(r, "View Webhook Send Attempts", "/attempts", crumb{"Webhooks", "/webhooks"}, crumb{Text: "View Webhook Send Attempts"})
	}
	for _, t := range webhooks.Types {
		page.EventTypes = append(page.EventTypes, option{Name: t, Checked: t == page.Q.EventType})
	}
	page.Results = choices(page.Q.Result, "delivered", "delivered", "failed", "failed", "not_sent", "not sent")
	page.ErrorClasses = choices(page.Q.Error, "status", "status", "timeout", "time-out", "connect", "connect", "dns", "DNS", "tls", "TLS", "reset", "reset", "protocol", "protocol", "policy", "policy")
	page.Causes = choices(page.Q.Cause, "call_ended", "a call ended", "test", "test", "resend", "resend", "replay", "replay", "not_test", "all but tests")

	page.States = choices(page.Q.State, "waiting", "waiting", "delivered", "delivered", "given_up", "given up", "stopped", "stopped")

	var wrong *problem.Problem
	if q.Has("search") {
		found, err := parseSearch(q.Get("search"), page.Q, c.Now())
		if err == nil {
			http.Redirect(w, r, withQuery(page.Path, found.values()), http.StatusSeeOther) //nolint:gosec // a path of this console
			return nil
		}
		page.Search = q.Get("search")
		wrong = problem.New(http.StatusBadRequest, problem.CodeInvalid, err.Error()+".")
		wrong.Title = "The search cannot be read"
	}
	page.Filtered, page.Chips = page.Q != attemptFilter{}, page.Q.chips(page.Path)
	query, unreadable := page.Q.query()
	if wrong == nil {
		wrong = unreadable
	}
	query.Page = store.Page{Limit: pageRows, Cursor: q.Get("cursor")}
	if page.Subscription != nil {
		query.SubscriptionID = page.Subscription.ID
	}
	status := http.StatusOK
	switch {
	case wrong != nil:
		page.ProblemTitle, page.Problem, status = wrong.Title, wrong.Detail, wrong.Status
	default:
		if q.Get("cursor") == "" {
			page.Stream, page.Since = page.Q.streamHref(query.SubscriptionID), c.place(r.Context())
		}
		rows, next, err := c.Store.Attempts(r.Context(), query)
		if err != nil {
			page.ProblemTitle = "The list could not be read"
			page.Problem, status = c.fault(r, err)
			break
		}
		for _, a := range rows {
			page.Rows = append(page.Rows, rowOf(a, page.Subscription == nil))
		}
		page.Pager = pagerOf(r, next)
		page.ExportCSV, page.ExportJSON = exportHref(q, query.SubscriptionID, export.CSV), exportHref(q, query.SubscriptionID, export.NDJSON)
		if q.Get("cursor") == "" {
			page.Live = c.live(r.Context())
		}
	}
	return c.render(w, r, status, "attempts", page)
}

// pagerOf keeps the way back in the query: the cursors of the pages before.
func pagerOf(r *http.Request, next string) pager {
	q := r.URL.Query()
	to := func(cursor string, trail []string) string {
		v := r.URL.Query()
		v.Del("cursor")
		v.Del("trail")
		v.Del("done")
		if cursor != "" {
			v.Set("cursor", cursor)
		}
		for _, t := range trail {
			v.Add("trail", t)
		}
		if len(v) == 0 {
			return r.URL.Path
		}
		return r.URL.Path + "?" + v.Encode()
	}
	const longest = 20
	cursor, trail := q.Get("cursor"), q["trail"]
	var p pager
	if next != "" {
		on := trail
		if cursor != "" {
			on = append(append([]string{}, trail...), cursor)
		}
		if len(on) > longest {
			on = on[len(on)-longest:]
		}
		p.Older = to(next, on)
	}
	if cursor != "" {
		p.Newest = to("", nil)
		if n := len(trail); n > 0 {
			p.Newer = to(trail[n-1], trail[:n-1])
		} else {
			p.Newer = p.Newest
		}
	}
	return p
}

func rowOf(a store.Attempt, ofAll bool) attemptRow {
	row := attemptRow{ID: a.AttemptID, SubscriptionID: a.SubscriptionID, SubscriptionName: a.SubscriptionName, At: a.StartedAt, EventType: shortType(a.EventType), Cause: causeWords(a.Cause),
		CallID: a.CallID, CallHref: callHref(a.CallID), Attempt: attemptText(a.Attempt, a.AttemptsAllowed), State: resultState(a.Result, a.Reason), HTTP: httpText(a.HTTPStatus), Latency: "–", NextRetry: a.NextAttemptAt, OfAll: ofAll}
	if row.SubscriptionName == "" {
		row.SubscriptionName = a.SubscriptionID // a link needs a text
	}
	if a.Result != "not_sent" {
		row.Latency = duration(time.Duration(a.DurationMS) * time.Millisecond)
	}
	if a.HTTPStatus == 0 && a.ErrorClass != "" {
		row.HTTP = words(a.ErrorClass)
	}
	return row
}

func callHref(id string) string {
	if id == "" {
		return ""
	}
	return "/calls?id=" + url.QueryEscape(id)
}

// resend serves both an attempt's and a delivery's button.
func (c *Console) resend(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	send := c.Webhooks.ResendDelivery
	if len(r.URL.Path) > 9 && r.URL.Path[:10] == "/attempts/" {
		send = c.Webhooks.ResendAttempt
	}
	o := webhooks.ResendOptions{AsNewEvent: r.PostForm.Get("as_new_event") != "", StopWaiting: r.PostForm.Get("stop_waiting") != ""}
	resent, err := send(r.Context(), id, "", o, actor(r))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/deliveries/"+url.PathEscape(resent.DeliveryID)+"?done=resent", http.StatusSeeOther)
	return nil
}
