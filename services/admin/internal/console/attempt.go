package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/export"
	"github.com/aftercall/aftercall/services/admin/internal/mask"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

func attemptText(n, allowed int32) string {
	if allowed > 0 {
		return strconv.Itoa(int(n)) + " / " + strconv.Itoa(int(allowed))
	}
	return strconv.Itoa(int(n))
}

type place struct{ Name, Text string }

type timelineRow struct {
	ID, Attempt, What string
	State             state
	At                time.Time
	Current           bool
}

type attemptPage struct {
	base
	ID, DeliveryID, SubscriptionID, SubscriptionName string
	Heading, Words, Error, Advice                    string
	State, DeliveryState                             state
	NextRetry, At                                    time.Time
	EventType, Cause, CallID, CallHref               string
	Latency, Remote                                  string
	Waterfall                                        template.HTML
	Phases                                           []phase
	Timeline                                         []timelineRow
	Request, Response, Curl                          string
	Truncated, Open                                  bool
	Stream, Since                                    string
	Payload                                          payloadView
	// Way is the path in short: where it stood, who had it, for how long.
	Way       []string
	Path      []place
	Signature *signatureView
	Compare   *compareView
	// Raw is what the API answers.
	Raw string
}

func (c *Console) showAttempt(w http.ResponseWriter, r *http.Request) error {
	since := c.place(r.Context())
	a, err := c.Store.Attempt(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	page := attemptPage{
		base: c.base(r, "Attempt "+attemptText(a.Attempt.Attempt, a.AttemptsAllowed), "/attempts", crumb{"Webhooks", "/webhooks"},
			crumb{a.SubscriptionName, "/webhooks/" + url.PathEscape(a.SubscriptionID) + "/attempts"}, crumb{"View Webhook Send Attempts", "/webhooks/" + url.PathEscape(a.SubscriptionID) + "/attempts"}, crumb{Text: "Attempt"}),
		ID: a.AttemptID, DeliveryID: a.DeliveryID, SubscriptionID: a.SubscriptionID, SubscriptionName: a.SubscriptionName,
		Heading: fmt.Sprintf("Attempt %s of %s", attemptText(a.Attempt.Attempt, a.AttemptsAllowed), a.EventType), Words: story(a), Error: a.Error, State: resultState(a.Result, a.Reason),
		DeliveryState: deliveryState(a.State, a.Reason), At: a.StartedAt, EventType: a.EventType, Cause: causeLong(a.Cause), CallID: a.CallID, CallHref: callHref(a.CallID),
		Remote: a.RemoteAddress, Truncated: a.ResponseTruncated, Stream: streamHref("delivery", a.DeliveryID), Since: since,
	}
	if a.Result == "failed" || a.ErrorClass == "policy" {
		page.Advice = advice(a)
	}
	if a.CallEndToDeliveredMS != nil {
		page.Latency = duration(time.Duration(*a.CallEndToDeliveredMS) * time.Millisecond)
	}
	page.Waterfall, page.Phases = waterfall(a.Timings)
	// The delivery may have moved on since this attempt.
	if d, err := c.Store.Delivery(r.Context(), a.DeliveryID); err == nil {
		page.DeliveryState, page.NextRetry = deliveryState(d.State, d.Reason), d.NextAttemptAt
		page.Open = d.State == store.StateQueued || d.State == store.StateWaiting
	}
	if page.Timeline, err = c.timeline(r, a.DeliveryID, a.AttemptID); err != nil {
		return err
	}
	page.Request = request(a)
	page.Response = response(a)
	page.Payload = c.payloadOf(r, a.EventID, false)
	page.Curl = curl(a, page.Payload)
	page.Way, page.Path = c.path(r, a)
	// The live region shows none of what follows.
	if r.Header.Get("Aftercall-Fragment") == "" {
		if page.Signature, err = c.signature(r.Context(), a); err != nil {
			return err
		}
		if page.Raw, err = raw(a); err != nil {
			return err
		}
		if page.Compare, err = c.compare(r, a, page.Timeline); err != nil {
			return err
		}
	}
	return c.render(w, r, http.StatusOK, "attempt", page)
}

// story says what happened, in one or two sentences.
func story(a *store.AttemptDetail) string {
	took := duration(time.Duration(a.DurationMS) * time.Millisecond)
	host := ""
	if u, err := url.Parse(a.RequestURL); err == nil {
		host = u.Host
	}
	var what string
	switch {
	case a.Result == "delivered":
		what = fmt.Sprintf("%s took it: %d after %s.", host, a.HTTPStatus, took)
	case a.Result == "not_sent":
		what = "No request was made: " + words(a.Reason) + "."
	case a.HTTPStatus != 0:
		what = fmt.Sprintf("%s answered %d %s after %s.", host, a.HTTPStatus, http.StatusText(int(a.HTTPStatus)), took)
	case a.ErrorClass == "timeout":
		what = fmt.Sprintf("%s did not answer within %s.", host, took)
	default:
		what = fmt.Sprintf("%s could not be reached (%s).", host, words(a.ErrorClass))
	}
	switch a.State {
	case "waiting":
		what += fmt.Sprintf(" Attempt %d follows %s.", a.Attempt.Attempt+1, "at "+a.NextAttemptAt.UTC().Format("15:04:05 UTC"))
	case "given_up":
		what += " It was the last one that the schedule allows."
	}
	return what
}

func (c *Console) timeline(r *http.Request, deliveryID, current string) ([]timelineRow, error) {
	rows, _, err := c.Store.Attempts(r.Context(), store.AttemptQuery{DeliveryID: deliveryID, Page: store.Page{Limit: 100}})
	if err != nil {
		return nil, err
	}
	out := make([]timelineRow, 0, len(rows))
	for i := len(rows) - 1; i >= 0; i-- {
		a := rows[i]
		out = append(out, timelineRow{ID: a.AttemptID, Attempt: attemptText(a.Attempt, a.AttemptsAllowed), What: answerText(a), State: resultState(a.Result, a.Reason), At: a.StartedAt, Current: a.AttemptID == current})
	}
	return out, nil
}

func answerText(a store.Attempt) string {
	took := duration(time.Duration(a.DurationMS) * time.Millisecond)
	switch {
	case a.Result == "not_sent":
		return words(a.Reason)
	case a.HTTPStatus != 0:
		return fmt.Sprintf("%d %s in %s", a.HTTPStatus, http.StatusText(int(a.HTTPStatus)), took)
	case a.ErrorClass != "":
		return words(a.ErrorClass) + " after " + took
	}
	return took
}

func request(a *store.AttemptDetail) string {
	if a.Result == "not_sent" || a.RequestURL == "" {
		return ""
	}
	path, host := a.RequestURL, ""
	if u, err := url.Parse(a.RequestURL); err == nil {
		path, host = u.RequestURI(), u.Host
	}
	var b strings.Builder
	b.WriteString("POST " + path + " HTTP/1.1\nhost: " + host + "\n")
	for _, h := range a.RequestHeaders {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	fmt.Fprintf(&b, "\n(%s: see below)", bytesText(int64(a.RequestBytes)))
	return b.String()
}

func response(a *store.AttemptDetail) string {
	if a.HTTPStatus == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", a.HTTPStatus, http.StatusText(int(a.HTTPStatus)))
	for _, h := range a.ResponseHeaders {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	b.WriteString("\n" + shown(a.ResponseBody))
	return b.String()
}

// raw is an attempt as the API answers it, indented.
func raw(a *store.AttemptDetail) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the template escapes
	e.SetIndent("", "  ")
	err := e.Encode(export.Detail(a))
	return b.String(), err
}

// shown is what an endpoint sent, as text: never trusted, and readable.
func shown(b []byte) string {
	if utf8.Valid(b) {
		return strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f {
				return '·'
			}
			return r
		}, strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	return fmt.Sprintf("(%s that are not text)", bytesText(int64(len(b))))
}

// path is the way it took, by coordinates: in short, and in full.
func (c *Console) path(r *http.Request, a *store.AttemptDetail) (way []string, out []place) {
	step := func(text, who string, took time.Duration, known bool) {
		if who != "" && known {
			who += " " + duration(took)
		}
		for _, s := range []string{text, who} {
			if s != "" {
				way = append(way, s)
			}
		}
	}
	add := func(name, text string) {
		if text != "" {
			out = append(out, place{name, text})
		}
	}
	if e, err := c.Store.Event(r.Context(), a.EventID); err == nil {
		step(position(e.Position), "router", e.RoutedAt.Sub(e.ProducedAt), !e.RoutedAt.IsZero() && !e.ProducedAt.IsZero())
		add("CDR read at", position(e.Position))
		if !e.RoutedAt.IsZero() {
			add("Routed at", e.RoutedAt.UTC().Format("15:04:05.000 UTC"))
		}
	}
	took := time.Duration(a.DurationMS) * time.Millisecond
	step(position(a.Position), strings.TrimSpace("sender "+a.Sender), took, a.RequestURL != "")
	step(position(a.Record), "recorded", a.RecordedAt.Sub(a.StartedAt.Add(took)), !a.RecordedAt.IsZero())
	add("Delivery read at", position(a.Position))
	add("Sender", a.Sender)
	add("Record of this attempt", position(a.Record))
	if !a.RecordedAt.IsZero() {
		add("Recorded at", a.RecordedAt.UTC().Format("15:04:05.000 UTC"))
	}
	add("Delivery", a.DeliveryID)
	add("Event, webhook-id", a.EventID)
	return way, out
}

type payloadView struct {
	EventID, Text, Why, Back string
	Masked, Revealed         bool
}

// payloadOf is a CDR as text, its personal data masked unless it was revealed.
func (c *Console) payloadOf(r *http.Request, eventID string, reveal bool) payloadView {
	v := payloadView{EventID: eventID, Back: r.URL.Path}
	var payload []byte
	var err error
	if reveal {
		payload, err = c.Webhooks.Reveal(r.Context(), eventID, actor(r))
	} else {
		payload, err = c.Store.Payload(r.Context(), eventID)
	}
	if err != nil {
		v.Why = problem.From(err).Detail
		return v
	}
	var text []byte
	if reveal {
		text, err = mask.Indent(payload)
		v.Revealed = true
	} else {
		text, v.Masked, err = mask.Payload(payload)
	}
	if err != nil {
		v.Why = "The record cannot be shown: it is " + err.Error() + "."
	}
	v.Text = string(text)
	return v
}

type eventPage struct {
	base
	EventType, CallID, CallHref string
	At                          time.Time
	Payload                     payloadView
}

func (c *Console) showEvent(w http.ResponseWriter, r *http.Request) error {
	return c.event(w, r, false)
}

// reveal answers the record with its personal data at once: nothing of it stays
// in a URL or a cookie.
func (c *Console) reveal(w http.ResponseWriter, r *http.Request) error { return c.event(w, r, true) }

func (c *Console) event(w http.ResponseWriter, r *http.Request, reveal bool) error {
	e, err := c.Store.Event(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	crumbs := []crumb{{"Calls", "/calls"}}
	if e.CallID != "" {
		crumbs = append(crumbs, crumb{e.CallID, callHref(e.CallID)})
	}
	page := eventPage{base: c.base(r, e.EventType, "/calls", append(crumbs, crumb{Text: e.EventType})...), EventType: e.EventType, CallID: e.CallID, CallHref: callHref(e.CallID), At: e.OccurredAt, Payload: c.payloadOf(r, e.EventID, reveal)}
	return c.render(w, r, http.StatusOK, "event", page)
}

type deliveryPage struct {
	base
	ID, SubscriptionID, SubscriptionName string
	EventType, CallID, CallHref          string
	Live                                 liveness
	Stream, Since                        string
	Open                                 bool
	State                                state
	Reason, Cause                        string
	NextRetry, OccurredAt                time.Time
	Timeline                             []timelineRow
	Path                                 []place
	Payload                              payloadView
}

func (c *Console) showDelivery(w http.ResponseWriter, r *http.Request) error {
	since := c.place(r.Context())
	d, err := c.Store.Delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	page := deliveryPage{
		base: c.base(r, "Delivery", "/attempts", crumb{"Webhooks", "/webhooks"}, crumb{d.SubscriptionName, "/webhooks/" + url.PathEscape(d.SubscriptionID) + "/attempts"}, crumb{Text: "Delivery"}),
		ID:   d.DeliveryID, SubscriptionID: d.SubscriptionID, SubscriptionName: d.SubscriptionName, EventType: d.EventType, CallID: d.CallID, CallHref: callHref(d.CallID),
		Live: c.live(r.Context()), Stream: streamHref("delivery", d.DeliveryID), Since: since, State: deliveryState(d.State, d.Reason), Cause: causeLong(d.Cause), NextRetry: d.NextAttemptAt, OccurredAt: d.OccurredAt,
		Path: []place{{"Delivery", d.DeliveryID}, {"Event, webhook-id", d.EventID}},
	}
	page.Open = d.State == store.StateQueued || d.State == store.StateWaiting
	if d.State == "given_up" || d.State == "waiting" {
		page.Reason = words(d.Reason)
	}
	if d.RequestedBy != "" {
		page.Cause += " By " + d.RequestedBy + "."
	}
	if page.Timeline, err = c.timeline(r, d.DeliveryID, ""); err != nil {
		return err
	}
	if r.Header.Get("Aftercall-Fragment") == "" {
		page.Payload = c.payloadOf(r, d.EventID, false)
	}
	return c.render(w, r, http.StatusOK, "delivery", page)
}
