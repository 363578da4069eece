package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/chart"
	"github.com/aftercall/aftercall/services/admin/internal/export"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// tab is one of the pages of a webhook.
type tab struct {
	Text, Href string
	Current    bool
}

// tabsOf are the pages of a webhook that the one who asks may open.
func tabsOf(r *http.Request, id, current string) []tab {
	at := "/webhooks/" + url.PathEscape(id)
	tabs := []tab{{Text: "Overview", Href: at}, {Text: "View Webhook Send Attempts", Href: at + "/attempts"}}
	if principal(r).May(access.Write) {
		tabs = append(tabs, tab{Text: "Settings", Href: at + "/edit"})
	}
	tabs = append(tabs, tab{Text: "Test", Href: at + "/test"})
	for i := range tabs {
		tabs[i].Current = tabs[i].Text == current
	}
	return tabs
}

func (c *Console) overviewRoutes(page func(pattern, scope string, h handler)) {
	page("GET /webhooks/{id}", access.Read, c.showOverview)
	page("GET /webhooks/{id}/charts/{name}", access.Read, c.exportChart)
	page("GET /webhooks/{id}/test", access.Read, c.showTests)
}

// usualRange is shown when none is asked for.
const usualRange = "24h"

// rangeWords are the ranges as sentences have them.
var rangeWords = map[string]string{"1h": "hour", "24h": "24 hours", "7d": "7 days"}

type chartCard struct {
	chart.Chart
	CSV  string
	Wide bool
}

type overviewPage struct {
	base
	ID, Name, Endpoint   string
	Active               state
	Range, RangeWords    string
	Ranges               []tab
	View                 liveness
	Now                  time.Time
	Success, P95         string
	Delivered, Failed    int64
	Waiting              store.Waiting
	Breaker              *store.Breaker
	LeftAlone, Answering state
	Charts               []chartCard
	Problem              string
}

// chartsOf reads the charts of a webhook over the range of the URL.
func (c *Console) chartsOf(r *http.Request, id string) (name string, charts *store.Charts, err error) {
	name = r.URL.Query().Get("range")
	if name == "" {
		name = usualRange
	}
	q, ok := store.ChartOf(id, name, c.Now())
	if !ok {
		return name, nil, problem.New(http.StatusBadRequest, problem.CodeInvalid, "A range is one of "+strings.Join(store.ChartRanges, ", ")+".")
	}
	charts, err = c.Store.Charts(r.Context(), q)
	return name, charts, err
}

func (c *Console) showOverview(w http.ResponseWriter, r *http.Request) error {
	s, err := c.subscription(r)
	if err != nil {
		return err
	}
	at := "/webhooks/" + url.PathEscape(s.ID)
	page := overviewPage{base: c.base(r, s.Name, "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{Text: s.Name}), ID: s.ID, Name: s.Name, Endpoint: s.Endpoint,
		Active: activeState(s.Active, s.DisabledReason), Now: c.Now(), View: c.live(r.Context()),
		LeftAlone: state{"left alone", "bad", "cross"}, Answering: state{"requests go out", "ok", "tick"}}
	page.Tabs = tabsOf(r, s.ID, "Overview")
	status := http.StatusOK
	name, charts, err := c.chartsOf(r, s.ID)
	page.Range, page.RangeWords = name, rangeWords[name]
	for _, n := range store.ChartRanges {
		page.Ranges = append(page.Ranges, tab{Text: n, Href: at + "?range=" + n, Current: n == name})
	}
	if err != nil {
		page.Problem, status = c.fault(r, err)
		return c.render(w, r, status, "overview", page)
	}
	total := charts.Total
	page.Waiting, page.Breaker = charts.Waiting, charts.Breaker
	page.Delivered, page.Failed, page.Success, page.P95 = total.Delivered, total.Failed, percent(total.Delivered, total.Delivered+total.Failed), "–"
	if total.Delivered+total.Failed > 0 {
		page.P95 = duration(total.P95)
	}
	d := drawer{path: at + "/attempts", charts: charts, over: rangeWords[name]}
	for _, drawn := range d.all() {
		page.Charts = append(page.Charts, chartCard{Chart: drawn, CSV: at + "/charts/" + drawn.ID + ".csv?range=" + name, Wide: drawn.ID == "health"})
	}
	return c.render(w, r, status, "overview", page)
}

// exportChart is the table behind a chart.
func (c *Console) exportChart(w http.ResponseWriter, r *http.Request) error {
	s, err := c.subscription(r)
	if err != nil {
		return err
	}
	name, charts, err := c.chartsOf(r, s.ID)
	if err != nil {
		return err
	}
	d := drawer{path: "/webhooks/" + url.PathEscape(s.ID) + "/attempts", charts: charts, over: rangeWords[name]}
	all := d.all()
	id, isCSV := strings.CutSuffix(r.PathValue("name"), ".csv")
	i := slices.IndexFunc(all, func(drawn chart.Chart) bool { return drawn.ID == id })
	if i < 0 || !isCSV {
		return problem.NotFound("chart")
	}
	var out []byte
	for _, line := range all[i].Table.Lines() {
		out = export.Line(out, line...)
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="aftercall-`+id+`-`+name+`.csv"`)
	_, _ = w.Write(out)
	return nil
}

type testsPage struct {
	base
	ID, Name, Endpoint string
	Active, HasTest    bool
	Live               liveness
	Rows               []attemptRow
	Problem            string
}

// testsShown are the last tests of a webhook on its page.
const testsShown = 10

func (c *Console) showTests(w http.ResponseWriter, r *http.Request) error {
	s, err := c.subscription(r)
	if err != nil {
		return err
	}
	page := testsPage{base: c.base(r, "Test "+s.Name, "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{s.Name, "/webhooks/" + url.PathEscape(s.ID)}, crumb{Text: "Test"}),
		ID: s.ID, Name: s.Name, Endpoint: s.Endpoint, Active: s.Active, HasTest: slices.Contains(s.Events, typeTest), Live: c.live(r.Context())}
	page.Tabs = tabsOf(r, s.ID, "Test")
	status := http.StatusOK
	rows, _, err := c.Store.Attempts(r.Context(), store.AttemptQuery{SubscriptionID: s.ID, Cause: store.CauseTest, Page: store.Page{Limit: testsShown}})
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	for _, a := range rows {
		page.Rows = append(page.Rows, rowOf(a, false))
	}
	return c.render(w, r, status, "tests", page)
}
