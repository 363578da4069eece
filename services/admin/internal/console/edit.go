package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// form is a webhook as its form shows it. Secret values are never in it, not
// even those that were just typed: a form that comes back asks for them again.
type form struct {
	ID, Version             string
	Name, Endpoint, OUScope string
	Active                  bool
	Events                  []string
	Headers                 []formHeader
	Timeout, MaxConcurrency string
	Schedule, Description   string
	Format, Filter          string
	RateLimit               string
	signingSecret           string
	abpSecret               string
	typed                   []string // values as typed, beside Headers
}

type formHeader struct {
	Name, Value           string
	Secret, Kept          bool
	NameError, ValueError string
}

type option struct {
	Value, Name, Text, What string
	Checked                 bool
}

type scheduleChoice struct {
	Name, Text, Detail string
	Checked            bool
	Times              []string
}

type checkStep struct {
	Name, Detail string
	State        state
}

type checkResult struct{ Steps []checkStep }

type editPage struct {
	base
	Heading, Action, Summary string
	Existing, OpenMore       bool
	F                        form
	Errors                   *problem.Problem
	Check                    *checkResult
	EventTypes               []option
	Schedules                []scheduleChoice
	Sample                   webhooks.Request
	Formats                  []option
	Matching                 string
	// Units were seen lately: the organization unit completes from them.
	Units []string
}

// Err is what is wrong with the field of this pointer, or "".
func (p editPage) Err(pointer string) string {
	if message := p.Errors.At(pointer); message != "" || pointer != "/events" || p.Errors == nil {
		return message
	}
	// Of a list, what is wrong with the first of its elements.
	for _, f := range p.Errors.Errors {
		if strings.HasPrefix(f.Pointer, "/events/") {
			return f.Message
		}
	}
	return ""
}

const maxHeaderRows = 40

func (c *Console) newForm(w http.ResponseWriter, r *http.Request) error {
	f := form{ID: webhooks.NewID(), Active: true, Schedule: subscription.DefaultSchedule, Headers: []formHeader{{Secret: true}}}
	for _, t := range webhooks.Types {
		if t != topic.TypeTest && !topic.IsSystem(t) {
			f.Events = append(f.Events, t)
		}
	}
	return c.showForm(w, r, http.StatusOK, f, false, nil, nil)
}

func (c *Console) editForm(w http.ResponseWriter, r *http.Request) error {
	s, err := c.subscription(r)
	if err != nil {
		return err
	}
	return c.showForm(w, r, http.StatusOK, formOf(s), true, nil, nil)
}

// subscription is the one that the path names.
func (c *Console) subscription(r *http.Request) (*subscription.Subscription, error) {
	s, err := c.Store.Subscription(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if s.Deleted {
		return nil, problem.NotFound("webhook")
	}
	return s, nil
}

func formOf(s *subscription.Subscription) form {
	f := form{ID: s.ID, Version: strconv.FormatInt(s.Version, 10), Name: s.Name, Endpoint: s.Endpoint, OUScope: s.OUScope, Active: s.Active, Events: s.Events,
		Timeout: s.Timeout.String(), MaxConcurrency: strconv.Itoa(s.MaxConcurrency), Schedule: s.Schedule, Description: s.Description, Format: s.Format, Filter: s.Filter}
	if s.RateLimit > 0 {
		f.RateLimit = strconv.FormatFloat(s.RateLimit, 'f', -1, 64)
	}
	for _, h := range s.Headers {
		f.Headers = append(f.Headers, formHeader{Name: h.Name, Value: h.Value, Secret: h.Secret, Kept: h.Secret})
	}
	f.Headers = append(f.Headers, formHeader{Secret: true})
	return f
}

// readForm takes what was typed. Rows without name and value are no headers.
func readForm(r *http.Request) form {
	v := r.PostForm
	f := form{ID: v.Get("id"), Version: v.Get("version"), Name: v.Get("name"), Endpoint: v.Get("endpoint"), OUScope: v.Get("ou_scope"), Active: v.Get("active") != "",
		Events: v["events"], Timeout: v.Get("timeout"), MaxConcurrency: v.Get("max_concurrency"), Schedule: v.Get("schedule"), Description: v.Get("description"), signingSecret: v.Get("signing_secret"),
		Format: v.Get("format"), Filter: strings.ReplaceAll(v.Get("filter"), "\r\n", "\n"), RateLimit: strings.TrimSpace(v.Get("rate_limit")), abpSecret: v.Get("abp_secret")}
	for i := range maxHeaderRows {
		prefix := "header." + strconv.Itoa(i) + "."
		name, value := strings.TrimSpace(v.Get(prefix+"name")), v.Get(prefix+"value")
		if name == "" && value == "" {
			continue
		}
		kept := v.Get(prefix + "kept")
		h := formHeader{Name: name, Secret: v.Get(prefix+"secret") != "", Kept: kept != "" && strings.EqualFold(kept, name)}
		if h.Kept && value == "" {
			value = webhooks.Unchanged
		}
		if !h.Secret && value != webhooks.Unchanged {
			h.Value = value
		}
		f.Headers = append(f.Headers, h)
		f.typed = append(f.typed, value)
	}
	return f
}

// input is the form as the shared layer takes it.
func (f form) input() webhooks.Input {
	in := webhooks.Input{Name: f.Name, Endpoint: f.Endpoint, Active: &f.Active, Events: f.Events, SigningSecret: f.signingSecret, OUScope: f.OUScope, Timeout: f.Timeout, Schedule: f.Schedule, Description: f.Description,
		Format: f.Format, Filter: f.Filter, AbpSecret: f.abpSecret}
	if f.RateLimit != "" {
		rate, err := strconv.ParseFloat(f.RateLimit, 64)
		if err != nil {
			rate = -1 // out of range, and refused as such
		}
		in.RateLimit = rate
	}
	if text := strings.TrimSpace(f.MaxConcurrency); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			n = -1 // out of range, and refused as such
		}
		in.MaxConcurrency = n
	}
	for i, h := range f.Headers {
		in.Headers = append(in.Headers, webhooks.InputHeader{Name: h.Name, Value: f.typed[i], Secret: &h.Secret})
	}
	return in
}

func (c *Console) create(w http.ResponseWriter, r *http.Request) error {
	f := readForm(r)
	if done, err := c.formStep(w, r, f, false); done {
		return err
	}
	saved, err := c.Webhooks.Create(r.Context(), f.ID, f.input(), actor(r))
	if err != nil {
		p := problem.From(err)
		switch {
		case p.Status == http.StatusUnprocessableEntity:
			return c.showForm(w, r, p.Status, f, false, p, nil)
		case p.Code == problem.CodeConflict:
			http.Redirect(w, r, "/webhooks?done=duplicate", http.StatusSeeOther)
			return nil
		}
		return err
	}
	s := saved.Subscription
	return c.render(w, r, http.StatusOK, "added", addedPage{base: c.base(r, "Webhook added", "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{Text: "Add"}),
		ID: s.ID, Name: s.Name, Endpoint: s.Endpoint, Secret: saved.Secret, AbpSecret: saved.AbpSecret, Published: saved.Published})
}

type addedPage struct {
	base
	ID, Name, Endpoint, Secret string
	AbpSecret                  string
	Changed, Published         bool
}

func (c *Console) change(w http.ResponseWriter, r *http.Request) error {
	f := readForm(r)
	f.ID = r.PathValue("id")
	if done, err := c.formStep(w, r, f, true); done {
		return err
	}
	version, err := strconv.ParseInt(f.Version, 10, 64)
	if err != nil || version < 1 {
		return store.ErrVersion
	}
	saved, err := c.Webhooks.Change(r.Context(), f.ID, version, f.input(), actor(r))
	if err != nil {
		if p := problem.From(err); p.Status == http.StatusUnprocessableEntity {
			return c.showForm(w, r, p.Status, f, true, p, nil)
		}
		return err
	}
	if saved.AbpSecret != "" {
		s := saved.Subscription
		return c.render(w, r, http.StatusOK, "added", addedPage{base: c.base(r, "Webhook saved", "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{Text: s.Name}),
			ID: s.ID, Name: s.Name, Endpoint: s.Endpoint, AbpSecret: saved.AbpSecret, Changed: true, Published: saved.Published})
	}
	to := "/webhooks?done=" + done(saved.Published)
	if saved.SwitchedOn {
		// The list offers what it missed.
		to += "&on=" + url.QueryEscape(f.ID)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func done(published bool) string {
	if published {
		return "saved"
	}
	return "unpub"
}

// formStep answers the buttons that do not save.
func (c *Console) formStep(w http.ResponseWriter, r *http.Request, f form, existing bool) (bool, error) {
	switch r.PostForm.Get("do") {
	case "check":
		checked := c.Webhooks.CheckEndpoint(r.Context(), f.Endpoint)
		result := &checkResult{}
		names := map[string]string{"url": "URL", "address": "Address", "answer": "Answer"}
		for _, s := range checked.Steps {
			step := checkStep{Name: names[s.Name], Detail: s.Detail, State: state{"fine", "ok", "tick"}}
			if !s.OK {
				step.State = state{"not so", "bad", "cross"}
			}
			result.Steps = append(result.Steps, step)
		}
		return true, c.showForm(w, r, http.StatusOK, f, existing, nil, result)
	case "preview":
		_, err := c.Webhooks.Preview(r.Context(), previewOf(f))
		if p := problem.From(err); err != nil {
			return true, c.showForm(w, r, p.Status, f, existing, p, nil)
		}
		return true, c.showForm(w, r, http.StatusOK, f, existing, nil, nil)
	case "show":
		// The script asks for the preview alone, as often as somebody types.
		if r.Header.Get("Aftercall-Fragment") == "request" {
			return true, c.render(w, r, http.StatusOK, "edit", editPage{F: f, Sample: sample(f)})
		}
		return true, c.showForm(w, r, http.StatusOK, f, existing, nil, nil)
	case "add-header":
		return true, c.showForm(w, r, http.StatusOK, f, existing, nil, nil)
	}
	return false, nil
}

func (c *Console) showForm(w http.ResponseWriter, r *http.Request, status int, f form, existing bool, wrong *problem.Problem, check *checkResult) error {
	page := editPage{F: f, Existing: existing, Errors: wrong, Check: check, Heading: "Add a webhook", Action: "/webhooks/new"}
	title := "Add a webhook"
	crumbs := []crumb{{"Webhooks", "/webhooks"}, {Text: "Add"}}
	if existing {
		page.Heading, page.Action = f.Name, "/webhooks/"+url.PathEscape(f.ID)+"/edit"
		title = "Edit " + f.Name
		crumbs = []crumb{{"Webhooks", "/webhooks"}, {f.Name, "/webhooks/" + url.PathEscape(f.ID)}, {Text: "Edit"}}
	}
	page.base = c.base(r, title, "/webhooks", crumbs...)
	if existing {
		page.Tabs = tabsOf(r, f.ID, "Settings")
	}
	if n := len(page.F.Headers); n == 0 || page.F.Headers[n-1].Name != "" {
		page.F.Headers = append(page.F.Headers, formHeader{Secret: true})
	}
	if wrong != nil {
		page.Summary = "One field has to be changed."
		if n := len(wrong.Errors); n > 1 {
			page.Summary = strconv.Itoa(n) + " fields have to be changed."
		}
		for i := range page.F.Headers {
			at := "/headers/" + strconv.Itoa(i)
			h := &page.F.Headers[i]
			h.NameError = strings.TrimSpace(wrong.At(at+"/name") + " " + wrong.At(at))
			h.ValueError = wrong.At(at + "/value")
		}
		for _, e := range wrong.Errors {
			switch field, _, _ := strings.Cut(strings.TrimPrefix(e.Pointer, "/"), "/"); field {
			case "endpoint", "events", "active", "headers":
			default:
				page.OpenMore = true
			}
		}
	}
	for _, t := range webhooks.Types {
		page.EventTypes = append(page.EventTypes, option{Name: t, What: typeWhat[t], Checked: contains(f.Events, t)})
	}
	for _, s := range webhook.Schedules() {
		choice := scheduleChoice{Name: s.Name, Checked: s.Name == f.Schedule, Text: scheduleText[s.Name], Detail: strconv.Itoa(s.Attempts()) + " attempts"}
		if s.Attempts() == 1 {
			choice.Detail = "1 attempt"
		}
		var at time.Duration
		for _, d := range s.Delays {
			at += d
			choice.Times = append(choice.Times, "after "+exact(at))
		}
		page.Schedules = append(page.Schedules, choice)
	}
	page.Sample = sample(page.F)
	if f.Format == "" {
		f.Format = subscription.FormatCDR
	}
	for _, o := range [][2]string{{subscription.FormatCDR, "the record, byte for byte"}, {subscription.FormatStandard, "Standard Webhooks: type, timestamp, data"}, {subscription.FormatCloudEvents, "CloudEvents 1.0, structured"}, {subscription.FormatAbp, "as ASP.NET Zero sends"}} {
		page.Formats = append(page.Formats, option{Value: o[0], Text: o[0] + ": " + o[1], Checked: f.Format == o[0]})
	}
	if r.PostForm.Get("do") == "preview" && wrong == nil {
		page.OpenMore = true
	}
	page.Units = c.units(r)
	if (existing || page.OpenMore) && wrong == nil {
		page.Matching = c.matching(r, f)
	}
	return c.render(w, r, status, "edit", page)
}

func previewOf(f form) webhooks.PreviewInput {
	in := webhooks.PreviewInput{Events: f.Events, OUScope: f.OUScope, Filter: f.Filter}
	if f.Version != "" {
		in.ID = f.ID
	}
	return in
}

// matching says how many of the last events the form as it is would match.
func (c *Console) matching(r *http.Request, f form) string {
	p, err := c.Webhooks.Preview(r.Context(), previewOf(f))
	if err != nil {
		return ""
	}
	text := "Of the last " + strconv.Itoa(p.Events) + " events, " + strconv.Itoa(p.Matching) + " match"
	if p.Now != nil {
		text += " (now " + strconv.Itoa(*p.Now) + ")"
	}
	text += "."
	if p.Errors > 0 {
		text += " For " + strconv.Itoa(p.Errors) + " the filter cannot be evaluated: " + p.Error
	}
	return text
}

var scheduleText = map[string]string{webhook.ScheduleOnce: "Once", webhook.Schedule1h: "Within an hour", webhook.Schedule72h: "Over three days"}

var typeWhat = map[string]string{
	topic.TypeQueue:     "after a queue call has ended",
	topic.TypeIvr:       "after an IVR call has ended",
	topic.TypeAgent:     "after an agent's call has ended",
	topic.TypeRecording: "after a recorded call has ended",
	topic.TypeTest:      "only by Send Test Webhook",

	topic.TypeEndpointFailing:   "when another webhook's endpoint begins to fail",
	topic.TypeEndpointRecovered: "when it takes webhooks again",
	topic.TypeEndpointDisabled:  "when Aftercall switches another webhook off",
	topic.TypeDeliveryGivenUp:   "when another webhook's delivery is given up",
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// exact is a sum of delays: 5 s, 2 min 35 s, 8 h 42 min.
func exact(d time.Duration) string {
	h, m, s := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60
	var parts []string
	if h > 0 {
		parts = append(parts, strconv.Itoa(h)+" h")
	}
	if m > 0 {
		parts = append(parts, strconv.Itoa(m)+" min")
	}
	if s > 0 && h == 0 {
		parts = append(parts, strconv.Itoa(s)+" s")
	}
	return strings.Join(parts, " ")
}

// sample is the request that would be sent.
func sample(f form) webhooks.Request {
	headers := make([]webhook.Header, len(f.Headers))
	for i, h := range f.Headers {
		headers[i] = webhook.Header{Name: h.Name, Value: h.Value, Secret: h.Secret}
	}
	return webhooks.SampleRequest(f.Endpoint, f.Format, f.Events, headers)
}

type deletePage struct {
	base
	ID, Name, Endpoint, Version string
	Waiting                     int64
}

func (c *Console) confirmDelete(w http.ResponseWriter, r *http.Request) error {
	s, err := c.subscription(r)
	if err != nil {
		return err
	}
	page := deletePage{base: c.base(r, "Delete "+s.Name, "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{s.Name, "/webhooks/" + s.ID + "/edit"}, crumb{Text: "Delete"}),
		ID: s.ID, Name: s.Name, Endpoint: s.Endpoint, Version: strconv.FormatInt(s.Version, 10)}
	if stats, err := c.Store.SubscriptionStats(r.Context(), c.Now().Add(-24*time.Hour), s.ID); err == nil {
		page.Waiting = stats[s.ID].Waiting
	}
	return c.render(w, r, http.StatusOK, "delete", page)
}

func (c *Console) delete(w http.ResponseWriter, r *http.Request) error {
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil || version < 1 {
		return store.ErrVersion
	}
	published, err := c.Webhooks.Delete(r.Context(), r.PathValue("id"), version, actor(r))
	if err != nil {
		return err
	}
	if !published {
		http.Redirect(w, r, "/webhooks?done=unpub", http.StatusSeeOther)
		return nil
	}
	http.Redirect(w, r, "/webhooks?done=deleted", http.StatusSeeOther)
	return nil
}
