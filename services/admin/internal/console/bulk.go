package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// bulkRoutes are actions on what is selected in a list. The first page of each says
// what would be done and to how many; only its button does it, once.
func (c *Console) bulkRoutes(page func(pattern, scope string, h handler)) {
	page("POST /webhooks/selected/enable", access.Write, c.confirmActive(true))
	page("POST /webhooks/selected/disable", access.Write, c.confirmActive(false))
	page("POST /webhooks/selected", access.Write, c.setActive)
	page("POST /webhooks/selected/recover", access.Replay, c.confirmRecover)
	page("POST /webhooks/selected/plan", access.Replay, c.planRecover)
	page("POST /attempts/selected", access.Resend, c.confirmResend)
	page("POST /attempts/selected/resend", access.Resend, c.resendSelected)
}

type hidden struct{ Name, Value string }

type bulkRow struct{ Name, Href, Sub, What string }

// bulkPage says what would be done, or what was.
type bulkPage struct {
	base
	Heading string
	// Kind of notice is ok, wait, bad or "".
	Kind, Text string
	More       []string
	// Column is what the rows' last cell says.
	Column string
	Rows   []bulkRow
	// Action is where the button leads, "" for none.
	Action, Button string
	Danger         bool
	Fields         []hidden
	// Span asks for a span of time and a reason.
	Span *replayForm
	// Offer leads to what can be done in place of it.
	Offer, OfferText string
	Back, BackText   string
}

func (p *bulkPage) field(name string, values ...string) {
	for _, v := range values {
		p.Fields = append(p.Fields, hidden{name, v})
	}
}

func (p *bulkPage) operation(o webhooks.Operation) {
	p.field("operation", o.ID)
	p.field("try", strconv.Itoa(o.Try))
}

func operationOf(r *http.Request) webhooks.Operation {
	try, _ := strconv.Atoi(r.PostForm.Get("try")) // 0 is refused
	return webhooks.Operation{ID: r.PostForm.Get("operation"), Try: try}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func (c *Console) webhooksBulk(r *http.Request, heading string) *bulkPage {
	return &bulkPage{base: c.base(r, heading, "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{Text: heading}), Heading: heading, Back: "/webhooks", BackText: "Back to the webhooks"}
}

// nothing is what a button says without a selection.
func (c *Console) nothing(w http.ResponseWriter, r *http.Request, page *bulkPage) error {
	page.Heading, page.Text = "Nothing is selected", "Tick the boxes at the beginning of the rows first."
	return c.render(w, r, http.StatusUnprocessableEntity, "bulk", page)
}

// chosen are the selected webhooks that are there.
func (c *Console) chosen(r *http.Request) (rows []bulkRow, ids []string, active int, err error) {
	subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	if err != nil {
		return nil, nil, 0, err
	}
	selected := r.PostForm["id"]
	for _, s := range subs {
		if !slices.Contains(selected, s.ID) {
			continue
		}
		ids = append(ids, s.ID)
		row := bulkRow{Name: s.Name, Href: "/webhooks/" + url.PathEscape(s.ID), Sub: s.Endpoint, What: "is off"}
		if s.Active {
			row.What = "is on"
			active++
		}
		rows = append(rows, row)
	}
	return rows, ids, active, nil
}

func (c *Console) confirmActive(on bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		rows, ids, active, err := c.chosen(r)
		if err != nil {
			return err
		}
		page := c.webhooksBulk(r, "Disable webhooks")
		if on {
			page = c.webhooksBulk(r, "Enable webhooks")
		}
		if len(ids) == 0 {
			return c.nothing(w, r, page)
		}
		page.Column, page.Rows = "Now", rows
		change, same := active, len(ids)-active
		if on {
			change, same = same, change
			page.Heading, page.Button = "Enable "+plural(change, "webhook", "webhooks")+"?", "Enable "+strconv.Itoa(change)
			page.Text = "Is Active is switched on. From then on each gets what matches it. What it missed while it was off is not sent by this: plan a replay for that."
		} else {
			page.Heading, page.Button, page.Danger = "Disable "+plural(change, "webhook", "webhooks")+"?", "Disable "+strconv.Itoa(change), true
			page.Text = "Is Active is switched off. Nothing more is sent to them, and what waits for a retry stops when its time comes."
		}
		if same > 0 {
			state := "off"
			if on {
				state = "on"
			}
			page.More = append(page.More, plural(same, "of them is", "of them are")+" "+state+" already: nothing changes there.")
		}
		if change == 0 {
			page.Heading, page.Text, page.Button = "Nothing to do", "", ""
			return c.render(w, r, http.StatusOK, "bulk", page)
		}
		page.Action = "/webhooks/selected"
		page.operation(webhooks.NewOperation())
		page.field("active", map[bool]string{true: "1", false: "0"}[on])
		page.field("id", ids...)
		return c.render(w, r, http.StatusOK, "bulk", page)
	}
}

func (c *Console) setActive(w http.ResponseWriter, r *http.Request) error {
	on, o := r.PostForm.Get("active") == "1", operationOf(r)
	m, err := c.Webhooks.SetActive(r.Context(), o, r.PostForm["id"], on, actor(r))
	if err != nil {
		return err
	}
	what := "switched off"
	if on {
		what = "switched on"
	}
	page := c.webhooksBulk(r, plural(m.Done, "webhook was", "webhooks were")+" "+what)
	page.outcome(m)
	if m.Unpublished {
		page.Kind = "wait"
		page.More = append(page.More, "Kafka does not answer right now. It counts as soon as Kafka does; nothing more to do here.")
	}
	names := map[string]string{}
	if len(m.Failed) > 0 && !m.Again {
		subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{IncludeDeleted: true})
		if err != nil {
			return err
		}
		for _, s := range subs {
			names[s.ID] = s.Name
		}
	}
	page.failures(m, o, "id", "/webhooks/selected", func(id string) bulkRow {
		return bulkRow{Name: cmp.Or(names[id], id), Href: "/webhooks/" + url.PathEscape(id)}
	})
	page.field("active", r.PostForm.Get("active"))
	return c.render(w, r, http.StatusOK, "bulk", page)
}

// outcome says what was done.
func (p *bulkPage) outcome(m *webhooks.Many) {
	p.Kind = "ok"
	if len(m.Failed) > 0 {
		p.Kind = "bad"
		p.More = append(p.More, "It could not be done for "+strconv.Itoa(len(m.Failed))+".")
	}
	if m.Same > 0 {
		p.More = append(p.More, "For "+strconv.Itoa(m.Same)+" there was nothing to do.")
	}
	if m.Again {
		p.Text = "This was carried out before, and is not done twice."
	}
}

// failures lists what could not be done, and offers to try that again.
func (p *bulkPage) failures(m *webhooks.Many, o webhooks.Operation, field, action string, row func(id string) bulkRow) {
	if m.Again || len(m.Failed) == 0 {
		return
	}
	p.Column = "Why not"
	for _, f := range m.Failed {
		x := row(f.ID)
		x.What = f.Why
		p.Rows = append(p.Rows, x)
		p.field(field, f.ID)
	}
	p.operation(o.Next())
	p.Action, p.Button = action, "Try the "+strconv.Itoa(len(m.Failed))+" again"
}

func (c *Console) confirmRecover(w http.ResponseWriter, r *http.Request) error {
	return c.recoverPage(w, r, http.StatusOK, replayForm{Mode: store.ReplayRecover, From: c.Now().UTC().Add(-24 * time.Hour).Format(minuteLayout)})
}

func (c *Console) recoverPage(w http.ResponseWriter, r *http.Request, status int, form replayForm) error {
	rows, ids, _, err := c.chosen(r)
	if err != nil {
		return err
	}
	page := c.webhooksBulk(r, "Recover failed")
	if len(ids) == 0 {
		return c.nothing(w, r, page)
	}
	page.Heading = "Recover what failed of " + plural(len(ids), "webhook", "webhooks")
	page.Text = "Deliveries that ended without success (given up, stopped) are counted first. The next page says how many there are; nothing is sent before you run it there, at a rate that you choose."
	page.Column, page.Rows, page.Span = "Now", rows, &form
	page.Action, page.Button = "/webhooks/selected/plan", "Count"
	page.field("operation", webhooks.NewOperation().ID)
	page.field("id", ids...)
	return c.render(w, r, status, "bulk", page)
}

// planRecover plans a replay, whose page has the counts and the button that runs it.
func (c *Console) planRecover(w http.ResponseWriter, r *http.Request) error {
	form := replayForm{Mode: store.ReplayRecover, From: r.PostForm.Get("from"), To: r.PostForm.Get("to"), Why: r.PostForm.Get("why")}
	q := replay.Request{Mode: form.Mode, From: formTimeOf(form.From), To: formTimeOf(form.To), Why: form.Why, Subscriptions: r.PostForm["id"]}
	refuse := func(p *problem.Problem) error {
		form.Errors = p
		return c.recoverPage(w, r, http.StatusUnprocessableEntity, form)
	}
	if form.To != "" && q.To.IsZero() {
		return refuse(problem.Invalid(problem.Field{Pointer: "/from", Code: problem.CodeInvalid, Message: "The end of the span cannot be read."}))
	}
	if len(q.Subscriptions) == 0 {
		return c.nothing(w, r, c.webhooksBulk(r, "Recover failed"))
	}
	planned, err := c.Webhooks.Replays.PlanOnce(r.Context(), r.PostForm.Get("operation"), q, actor(r))
	if p := problem.From(err); err != nil && p.Status == http.StatusUnprocessableEntity {
		return refuse(p)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/replays/"+url.PathEscape(planned.ID), http.StatusSeeOther)
	return nil
}

func (c *Console) attemptsBulk(r *http.Request, heading string) *bulkPage {
	page := &bulkPage{base: c.base(r, heading, "/attempts", crumb{"Webhooks", "/webhooks"}, crumb{"View Webhook Send Attempts", "/attempts"}, crumb{Text: heading}), Heading: heading, Back: "/attempts", BackText: "Back to the attempts"}
	if id := r.PostForm.Get("subscription"); id != "" {
		page.Back = "/webhooks/" + url.PathEscape(id) + "/attempts"
	}
	return page
}

// confirmResend is about the selected attempts, or about all that match.
func (c *Console) confirmResend(w http.ResponseWriter, r *http.Request) error {
	page := c.attemptsBulk(r, "Resend")
	var plan *webhooks.ResendPlan
	var err error
	filter := attemptFilterOf(r.PostForm)
	switch {
	case r.PostForm.Get("all") != "":
		query, wrong := filter.query()
		if wrong != nil {
			return wrong
		}
		query.SubscriptionID = r.PostForm.Get("subscription")
		plan, err = c.Webhooks.PlanMatching(r.Context(), query)
	case len(r.PostForm["id"]) == 0:
		return c.nothing(w, r, page)
	default:
		plan, err = c.Webhooks.PlanSelected(r.Context(), r.PostForm["id"])
	}
	if err != nil {
		return err
	}
	if plan.TooMany {
		page.Heading = fmt.Sprintf("More than %d deliveries", webhooks.MaxResends)
		page.Text = fmt.Sprintf("At most %d are sent again at once. A replay sends any number, at a rate that you choose; it counts first, and can be cancelled. It sends what ended without success.", webhooks.MaxResends)
		v := url.Values{"subscription": {r.PostForm.Get("subscription")}, "from": {filter.From}, "to": {filter.To}}
		page.Offer, page.OfferText = "/replays?"+v.Encode(), "Plan a replay"
		return c.render(w, r, http.StatusOK, "bulk", page)
	}
	n := len(plan.Deliveries)
	page.Heading = "Resend " + plural(n, "delivery", "deliveries") + "?"
	page.Text = plural(plan.Attempts, "attempt is", "attempts are") + " selected. Each event is sent to its webhook once more: one try, with the URL, headers and secret of now. It keeps its webhook-id."
	if plan.Delivered > 0 {
		page.More = append(page.More, plural(plan.Delivered, "of them was delivered before, and is", "of them were delivered before, and are")+" delivered a second time.")
	}
	page.Column = "What happens"
	for _, x := range plan.Webhooks {
		row := bulkRow{Name: x.Name, Href: "/webhooks/" + url.PathEscape(x.ID) + "/attempts", What: plural(x.Send, "delivery is sent", "deliveries are sent")}
		for _, why := range slices.Sorted(maps.Keys(x.Cannot)) {
			row.What += ", " + strconv.Itoa(x.Cannot[why]) + " cannot be: " + why
		}
		page.Rows = append(page.Rows, row)
	}
	if n == 0 {
		page.Heading = "Nothing can be sent again"
		return c.render(w, r, http.StatusOK, "bulk", page)
	}
	page.Action, page.Button = "/attempts/selected/resend", "Resend "+strconv.Itoa(n)
	page.operation(webhooks.NewOperation())
	page.field("delivery", plan.Deliveries...)
	page.field("subscription", r.PostForm.Get("subscription"))
	return c.render(w, r, http.StatusOK, "bulk", page)
}

func (c *Console) resendSelected(w http.ResponseWriter, r *http.Request) error {
	o := operationOf(r)
	m, err := c.Webhooks.ResendMany(r.Context(), o, r.PostForm["delivery"], actor(r))
	if err != nil {
		return err
	}
	page := c.attemptsBulk(r, plural(m.Done, "delivery is", "deliveries are")+" on the way again")
	page.outcome(m)
	page.failures(m, o, "delivery", "/attempts/selected/resend", func(id string) bulkRow {
		return bulkRow{Name: id, Href: "/deliveries/" + url.PathEscape(id)}
	})
	page.field("subscription", r.PostForm.Get("subscription"))
	page.Offer, page.OfferText = page.Back+"?cause="+store.CauseResend, "See what became of them"
	return c.render(w, r, http.StatusOK, "bulk", page)
}
