package verify

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Verdicts.
const (
	proven  = "proven"
	broken  = "broken"
	unknown = "unknown"
)

// verdict is what the command says.
type verdict struct {
	From, To time.Time
	// Whole is from when on every log is whole.
	Whole   time.Time
	Gaps    []Gap
	Rows    []row
	Report  *Report
	Verdict string
	// webhooks that deliveries are for, and whether a receiver's log tells of each;
	// stored counts the deliveries that the store has.
	webhooks map[string]bool
	stored   int
}

// row is what was found about one invariant.
type row struct {
	Kind      string `json:"kind"`
	Invariant string `json:"invariant"`
	Text      string `json:"text"`
	Checked   int    `json:"checked"`
	Of        string `json:"of"`
	Faults    int    `json:"faults"`
	// Unchecked says why it was not looked at, or which part of it.
	Unchecked string `json:"unchecked,omitempty"`
}

// take adds what was found of one part of the span.
func (v *verdict) take(c *checker, now time.Time) {
	if v.Report == nil {
		v.Report, v.webhooks = &Report{}, map[string]bool{}
	}
	for _, d := range c.order {
		if !d.ended() && !d.due.IsZero() && d.due.Add(time.Minute).Before(now) {
			c.report.Overdue++
		}
		if d.stored {
			v.stored++
		}
		_, told := c.run.Seen[d.subscription]
		v.webhooks[d.subscription] = v.webhooks[d.subscription] || told
	}
	c.report.Newer = c.newer
	v.Report.merge(c.report)
}

// conclude draws up the rows.
func (v *verdict) conclude(f *flags, noStore error) {
	r, told := v.Report, 0
	for _, logged := range v.webhooks {
		if logged {
			told++
		}
	}
	noLog, partly := "", ""
	if len(f.requests) == 0 {
		noLog = "no receiver's log (--requests)"
	} else if told < len(v.webhooks) {
		partly = fmt.Sprintf("the logs tell of %d of %d webhooks", told, len(v.webhooks))
	}
	signatures := noLog
	if signatures == "" && r.Unsigned > 0 {
		signatures = fmt.Sprintf("of %d requests no secret is known (--secret)", r.Unsigned)
	}
	answers := partly
	if noLog != "" {
		answers = "against the history alone: " + noLog
	}
	store := ""
	if noStore != nil {
		store = noStore.Error()
	}
	unacknowledged := ""
	if len(f.cdrs) == 0 {
		unacknowledged = "what producers were told is not known: no log of theirs (--cdrs)"
	}
	v.Rows = []row{
		{Invariant: "I1", Text: "every CDR is one event, byte for byte, or one rejection", Checked: r.CDRs - r.Unrouted, Of: "CDRs", Unchecked: unacknowledged},
		{Invariant: "I2", Text: "each matched webhook has one delivery, and none comes from nowhere", Checked: r.Deliveries, Of: "deliveries"},
		{Invariant: "I3", Text: "what was given up is kept", Checked: r.GivenUp, Of: "given up"},
		{Invariant: "I4", Text: "deliveries = ended + waiting + queued", Checked: r.Deliveries, Of: "deliveries"},
		{Invariant: "I5", Text: "delivered is what a receiver took, and nothing else", Checked: r.Attempts, Of: "attempts", Unchecked: answers},
		{Invariant: "I7", Text: "signatures verify; webhook-id and body are the event's", Checked: r.Requests, Of: "requests", Unchecked: signatures},
		{Invariant: "I8", Text: "no attempt before it was due", Checked: r.Attempts, Of: "attempts"},
		{Invariant: "I9", Text: "nothing was committed past what has not ended", Checked: r.Deliveries, Of: "deliveries"},
		{Invariant: "I11", Text: "the store says what the history says", Checked: v.stored, Of: "deliveries", Unchecked: store},
	}
	v.Verdict = proven
	if len(v.Gaps) > 0 || r.Newer > 0 {
		v.Verdict = unknown
	}
	for i := range v.Rows {
		v.Rows[i].Kind = "invariant"
		for _, w := range r.Violations {
			if w.Invariant == v.Rows[i].Invariant {
				v.Rows[i].Faults += w.Count
			}
		}
	}
	if len(r.Violations) > 0 {
		v.Verdict = broken
	}
}

// names are the invariants that do not hold.
func (v *verdict) names() string {
	var names []string
	for _, r := range v.Rows {
		if r.Faults > 0 {
			names = append(names, fmt.Sprintf("%s (%d)", r.Invariant, r.Faults))
		}
	}
	return strings.Join(names, ", ")
}

// summary is the last line in a pipe.
type summary struct {
	Kind    string    `json:"kind"`
	Verdict string    `json:"verdict"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	// Whole is from when on every log is whole: the span was judged from then on.
	Whole      time.Time `json:"judged_from"`
	CDRs       int       `json:"cdrs"`
	Unrouted   int       `json:"not_routed_yet"`
	Events     int       `json:"events"`
	Duplicates int       `json:"repeats_recognised"`
	Rejections int       `json:"rejections"`
	Deliveries int       `json:"deliveries"`
	Delivered  int       `json:"delivered"`
	GivenUp    int       `json:"given_up"`
	Stopped    int       `json:"stopped"`
	Waiting    int       `json:"waiting"`
	Overdue    int       `json:"overdue"`
	Queued     int       `json:"queued"`
	NextDue    time.Time `json:"next_due,omitzero"`
	LastDue    time.Time `json:"last_due,omitzero"`
	Attempts   int       `json:"attempts"`
	Deferrals  int       `json:"deferrals"`
	Requests   int       `json:"requests"`
	Repeats    int       `json:"requests_repeated"`
	Unrecorded int       `json:"requests_unrecorded"`
	Acked      int       `json:"acknowledgements"`
	Elsewhere  int       `json:"acknowledgements_elsewhere"`
	Newer      int       `json:"records_of_newer_versions"`
}

func (v *verdict) summary() summary {
	r := v.Report
	return summary{
		Kind: "verdict", Verdict: v.Verdict, From: v.From, To: v.To, Whole: v.Whole, CDRs: r.CDRs, Unrouted: r.Unrouted, Events: r.Events,
		Duplicates: r.Duplicates, Rejections: r.Rejections, Deliveries: r.Deliveries, Delivered: r.Delivered, GivenUp: r.GivenUp, Stopped: r.Stopped,
		Waiting: r.Waiting, Overdue: r.Overdue, Queued: r.Queued, NextDue: r.NextDue, LastDue: r.LastDue, Attempts: r.Attempts, Deferrals: r.Deferrals,
		Requests: r.Requests, Repeats: r.Repeats, Unrecorded: r.Unrecorded, Acked: r.Acknowledged, Elsewhere: r.Elsewhere,
		Newer: r.Newer,
	}
}

type gapLine struct {
	Kind string `json:"kind"`
	Gap
}

type faultLine struct {
	Kind      string   `json:"kind"`
	Invariant string   `json:"invariant"`
	What      string   `json:"what"`
	Count     int      `json:"count"`
	First     []string `json:"first"`
}

// write prints a table on a terminal, and JSON lines elsewhere.
func (v *verdict) write(out io.Writer) error {
	if client.Terminal(out) {
		return v.table(out)
	}
	var all []any
	for _, g := range v.Gaps {
		all = append(all, gapLine{"gap", g})
	}
	for _, r := range v.Rows {
		all = append(all, r)
	}
	for _, w := range v.Report.Violations {
		all = append(all, faultLine{"fault", w.Invariant, w.What, w.Count, w.First})
	}
	for _, line := range append(all, v.summary()) {
		if err := client.Line(out, line); err != nil {
			return err
		}
	}
	return nil
}

func (v *verdict) table(out io.Writer) error {
	r := v.Report
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	stamp := func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
	line("Span        %s to %s", stamp(v.From), stamp(v.To))
	for _, g := range v.Gaps {
		line("            %s/%d starts at %s: before it nothing can be said (%d offsets are gone)", g.Topic, g.Partition, stamp(g.Starts), g.Removed)
	}
	if v.Whole.After(v.From) {
		line("            judged from %s on", stamp(v.Whole))
	}
	line("CDRs        %d: %d events (%d recognised repeats), %d rejected, %d not routed yet", r.CDRs, r.Events, r.Duplicates, r.Rejections, r.Unrouted)
	line("Deliveries  %d: %d delivered, %d given up, %d stopped, %d waiting, %d queued", r.Deliveries, r.Delivered, r.GivenUp, r.Stopped, r.Waiting, r.Queued)
	if !r.NextDue.IsZero() {
		line("            what waits is due from %s to %s", stamp(r.NextDue), stamp(r.LastDue))
	}
	if r.Overdue > 0 {
		line("            %d of it should have been sent by now: are the senders running? See aftercall lag", r.Overdue)
	}
	if r.Requests > 0 {
		line("Requests    %d, %d of them repeated, %d without an attempt on record yet", r.Requests, r.Repeats, r.Unrecorded)
	}
	if r.Newer > 0 {
		line("            %d records are of a newer version: ask the aftercall that is deployed", r.Newer)
	}
	if r.Acknowledged+r.Elsewhere > 0 {
		line("Producers   %d acknowledgements of this span, %d of other spans or topics", r.Acknowledged, r.Elsewhere)
	}
	line("")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range v.Rows {
		result := "ok"
		switch {
		case row.Faults > 0:
			result = fmt.Sprintf("BROKEN: %d", row.Faults)
		case row.Unchecked != "" && row.Checked == 0:
			result = "not checked"
		case row.Unchecked != "":
			result = "ok in part"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d %s\n", row.Invariant, result, row.Text, row.Checked, row.Of)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	line("")
	for _, row := range v.Rows {
		if row.Unchecked != "" {
			line("%s: %s", row.Invariant, client.Plain(row.Unchecked))
		}
	}
	for _, w := range r.Violations {
		line("%s: %s: %d", w.Invariant, w.What, w.Count)
		for _, offender := range w.First {
			line("    %s", client.Plain(offender))
		}
		if w.Count > len(w.First) {
			line("    …")
		}
	}
	line("%s", map[string]string{proven: "Proven.", broken: "BROKEN.", unknown: "What could be looked at holds; the rest is not proven."}[v.Verdict])
	return nil
}
