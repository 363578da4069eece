package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/admin/internal/chart"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

const typeTest = topic.TypeTest

// drawer draws the charts of a webhook, whose marks lead to its attempts.
type drawer struct {
	path   string
	charts *store.Charts
	// over is the range in words.
	over string
}

func (d drawer) all() []chart.Chart {
	return []chart.Chart{d.outcomes(), d.latency(), d.codes(), d.errors(), d.health()}
}

// Looks of what charts speak of.
var (
	lookOK   = chart.Look{Class: "ok"}
	lookBad  = chart.Look{Class: "bad", Pattern: chart.Hatched}
	lookIdle = chart.Look{Class: "idle", Pattern: chart.Dotted}
)

// href is the list of attempts with filters: pairs of names and values.
func (d drawer) href(from, to time.Time, pairs ...string) string {
	q := url.Values{"cause": {store.CauseNotTest}, "from": {from.UTC().Format(minuteLayout)}, "to": {to.UTC().Format(minuteLayout)}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return d.path + "?" + q.Encode()
}

// texts of a bucket: below the chart, in its table, and for programs.
func (d drawer) texts(at time.Time) (label, full, raw string) {
	label = at.Format("15:04")
	if d.charts.Step > time.Hour {
		label = at.Format("Jan 2")
	}
	return label, stretch(at, d.charts.Step), at.Format(wire.Layout)
}

func stretch(at time.Time, long time.Duration) string {
	return at.Format("Jan 2 15:04") + " to " + at.Add(long).Format("15:04") + " UTC"
}

func (d drawer) outcomes() chart.Chart {
	t := d.charts.Total
	c := chart.Stack{ID: "outcomes", Title: "Outcomes", What: "time", Series: []chart.Series{{Name: "delivered", Look: lookOK}, {Name: "failed", Look: lookBad}, {Name: "not sent", Look: lookIdle}}}
	switch sent := t.Delivered + t.Failed; {
	case sent+t.NotSent == 0:
		c.Summary = "Nothing was sent in the last " + d.over + "."
	case t.Failed == 0:
		c.Summary = fmt.Sprintf("In the last %s %s, none of which failed.", d.over, many(sent, "attempt was made", "attempts were made"))
	default:
		c.Summary = fmt.Sprintf("In the last %s %d of %s, %d failed.", d.over, t.Delivered, many(sent, "attempt succeeded", "attempts succeeded"), t.Failed)
	}
	if t.NotSent > 0 {
		c.Summary = strings.TrimSuffix(c.Summary, ".") + "; " + many(t.NotSent, "delivery", "deliveries") + " ended without a request."
	}
	c.Summary += d.counted(d.charts.BucketsFrom)
	for _, b := range d.charts.Buckets {
		col := chart.Column{Values: []int64{b.Delivered, b.Failed, b.NotSent}, Missing: b.At.Add(d.charts.Step).Before(d.charts.BucketsFrom)}
		col.Label, col.Full, col.Raw = d.texts(b.At)
		for _, result := range []string{store.ResultDelivered, store.ResultFailed, store.ResultNotSent} {
			col.Hrefs = append(col.Hrefs, d.href(b.At, b.At.Add(d.charts.Step), "result", result))
		}
		c.Columns = append(c.Columns, col)
	}
	return c.Draw()
}

// counted says from when on was counted, where that is not all.
func (d drawer) counted(from time.Time) string {
	if !from.After(d.charts.From) {
		return ""
	}
	return " Only what came after " + from.UTC().Format("Jan 2 15:04:05") + " UTC is counted: before there is too much to read."
}

func (d drawer) latency() chart.Chart {
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	c := chart.Lines{ID: "latency", Title: "Latency", What: "time", Series: []chart.Series{{Name: "p50", Look: chart.Look{Class: "p50"}}, {Name: "p95", Look: chart.Look{Class: "p95"}}, {Name: "p99", Look: chart.Look{Class: "p99"}}},
		Text: func(v float64) string {
			if v >= 1000 {
				return strconv.FormatFloat(float64(int(v/100+.5))/10, 'f', -1, 64) + " s"
			}
			return strconv.FormatFloat(float64(int(v*10+.5))/10, 'f', -1, 64) + " ms"
		},
		Raw: func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }}
	t := d.charts.Total
	if t.Delivered+t.Failed == 0 {
		c.Summary = "Nothing was sent in the last " + d.over + ", so nothing took any time."
	} else {
		c.Summary = fmt.Sprintf("In the last %s half of the requests took up to %s, 95 %% up to %s, 99 %% up to %s.", d.over, duration(t.P50), duration(t.P95), duration(t.P99)) + d.counted(d.charts.BucketsFrom)
	}
	for _, b := range d.charts.Buckets {
		p := chart.Point{Gap: b.Delivered+b.Failed == 0, Href: d.href(b.At, b.At.Add(d.charts.Step))}
		p.Label, p.Full, p.Raw = d.texts(b.At)
		if !p.Gap {
			for _, q := range []time.Duration{b.P50, b.P95, b.P99} {
				p.Values = append(p.Values, float64(q)/float64(ms(1)))
			}
		}
		c.Points = append(c.Points, p)
	}
	return c.Draw()
}

func (d drawer) codes() chart.Chart {
	c := chart.Bars{ID: "codes", Title: "HTTP status", What: "HTTP status", Unit: "attempts"}
	var said []string
	for i, code := range d.charts.Codes {
		status := strconv.Itoa(int(code.Status))
		look := lookBad
		if code.Status/100 == 2 {
			look = lookOK
		}
		c.Bars = append(c.Bars, chart.Bar{Name: status, Says: http.StatusText(int(code.Status)), Value: code.N, Look: look, Href: d.href(d.charts.From, d.charts.To, "status", status)})
		if i < 3 {
			said = append(said, status+" came "+many(code.N, "time", "times"))
		}
	}
	c.Summary = "No answer came in the last " + d.over + "."
	if len(said) > 0 {
		c.Summary = "In the last " + d.over + " " + strings.Join(said, ", ") + more(len(d.charts.Codes)-3, "other status", "other statuses") + "." + d.counted(d.charts.CodesFrom)
	}
	return c.Draw()
}

// errorNames are the classes of errors as the filter of the attempts has them.
var errorNames = map[string][2]string{
	"status": {"status", "answered, but not with 2xx"}, "timeout": {"time-out", "no answer in time"}, "connect": {"connect", "nothing accepted the connection"},
	"dns": {"DNS", "the name was not found"}, "tls": {"TLS", "the certificate was not accepted"}, "reset": {"reset", "the connection ended before the answer"},
	"protocol": {"protocol", "what came back is not HTTP"}, "policy": {"policy", "the address is not allowed"},
}

func (d drawer) errors() chart.Chart {
	c := chart.Bars{ID: "errors", Title: "Errors", What: "class", Unit: "attempts"}
	var said []string
	for i, e := range d.charts.Errors {
		name := errorNames[e.Class]
		if name[0] == "" {
			name[0] = words(e.Class)
		}
		c.Bars = append(c.Bars, chart.Bar{Name: name[0], Says: name[1], Value: e.N, Look: lookBad, Href: d.href(d.charts.From, d.charts.To, "error", e.Class)})
		if i < 3 {
			said = append(said, name[0]+" "+many(e.N, "time", "times"))
		}
	}
	c.Summary = "No attempt failed in the last " + d.over + "."
	if len(said) > 0 {
		c.Summary = "In the last " + d.over + " attempts failed by " + strings.Join(said, ", ") + more(len(d.charts.Errors)-3, "other class", "other classes") + "." + d.counted(d.charts.CodesFrom)
	}
	return c.Draw()
}

// hourState is how an endpoint's hour was.
func hourState(h store.HourHealth) chart.State {
	switch {
	case h.LeftAlone:
		return chart.State{Word: "left alone", Class: "alone", Sign: chart.Pause}
	case h.Delivered+h.Failed == 0:
		return chart.State{Word: "nothing sent", Class: "none", Sign: chart.None}
	case h.Failed == 0:
		return chart.State{Word: "healthy", Class: "ok", Sign: chart.Tick}
	case h.Delivered == 0:
		return chart.State{Word: "failing", Class: "bad", Sign: chart.Cross}
	}
	return chart.State{Word: "some failed", Class: "wait", Sign: chart.Part}
}

func (d drawer) health() chart.Chart {
	c := chart.Heat{ID: "health", Title: "Endpoint health of 24 hours", What: "hour", Columns: []string{"delivered", "failed"}}
	hours := map[string]int64{}
	var order []string
	for _, h := range d.charts.Hours {
		s := hourState(h)
		if hours[s.Word]++; hours[s.Word] == 1 {
			order = append(order, s.Word)
		}
		c.Cells = append(c.Cells, chart.HeatCell{Label: h.At.Format("15:04"), Full: stretch(h.At, time.Hour), Raw: h.At.Format(wire.Layout), State: s,
			Figures: []string{count(h.Delivered), count(h.Failed)}, Href: d.href(h.At, h.At.Add(time.Hour))})
	}
	said := make([]string, len(order))
	for i, word := range order {
		said[i] = word + " in " + count(hours[word])
	}
	c.Summary = "Of the last 24 hours: " + strings.Join(said, ", ") + "."
	return c.Draw()
}

// many is a number with its noun.
func many(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + several
}

// more is ", and 2 others", or nothing.
func more(n int, one, several string) string {
	if n <= 0 {
		return ""
	}
	return ", and " + many(int64(n), one, several)
}
