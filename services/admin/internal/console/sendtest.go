package console

import (
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// sendTest is Send Test Webhook, for all or for one. It is sent even when nobody
// would get it: then the page says so, and offers what to do.
func (c *Console) sendTest(w http.ResponseWriter, r *http.Request) error {
	target := r.PathValue("id")
	test, err := c.Webhooks.SendTest(r.Context(), target, actor(r))
	if err != nil {
		return err
	}
	to := "/tests/" + url.PathEscape(test.TestID)
	if target != "" {
		to += "?to=" + url.QueryEscape(target)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// sendSample sends an event type's sample as a test to one webhook.
func (c *Console) sendSample(w http.ResponseWriter, r *http.Request) error {
	eventType, target := r.PathValue("name"), r.PostForm.Get("to")
	test, err := c.Webhooks.SendSample(r.Context(), target, eventType, actor(r))
	if err != nil {
		return err
	}
	http.Redirect(w, r, withQuery("/tests/"+url.PathEscape(test.TestID), url.Values{"to": {target}, "type": {eventType}}), http.StatusSeeOther)
	return nil
}

func (c *Console) addTest(w http.ResponseWriter, r *http.Request) error {
	if err := c.Webhooks.AddTest(r.Context(), r.PathValue("id"), actor(r)); err != nil {
		return err
	}
	return c.sendTest(w, r)
}

// testRow is one webhook's line: queued, sending, then its answer, which leads to
// the attempt.
type testRow struct {
	ID, Name, Endpoint, What, AttemptID string
	State                               state
	NextRetry                           time.Time
}

type offer struct{ ID, Name string }

type testPage struct {
	base
	TestID, Again, NoneTitle, Hint string
	// Type is what was sent; To is who gets it, when it is a sample.
	Type, To string
	// Page is where the region is, whatever page it stands beside; Soon says that a
	// line waits to be routed, which no stream tells.
	Page          string
	Soon          bool
	Live          liveness
	Stream, Since string
	Rows          []testRow
	Offer         []offer
}

var testIDPattern = regexp.MustCompile(`^[0-9a-f-]{36}$`)

// patience is when a test that is still queued needs an explanation.
const patience = 15 * time.Second

func (c *Console) showTest(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if !testIDPattern.MatchString(id) {
		return problem.NotFound("test")
	}
	target, eventType := r.URL.Query().Get("to"), r.URL.Query().Get("type")
	if eventType == "" {
		eventType = topic.TypeTest
	}
	if !contains(webhooks.Types, eventType) {
		return problem.NotFound("test")
	}
	sample := eventType != topic.TypeTest && target != ""
	eventID := webhooks.TestEventID(id, eventType)
	page := testPage{base: c.base(r, "Send Test Webhook", "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{Text: "Send Test Webhook"}), TestID: id, Type: eventType, Page: r.URL.RequestURI(), Again: "/webhooks/test", NoneTitle: "No active webhook has App.TestWebhook", Live: c.live(r.Context()),
		Stream: streamHref("event", eventID), Since: c.place(r.Context())}
	all, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	if err != nil {
		return err
	}
	if target != "" {
		page.Again = "/webhooks/" + url.PathEscape(target) + "/test"
		page.NoneTitle = "This webhook is not active"
	}
	var expected []*subscription.Subscription
	if sample {
		page.Again, page.To, page.NoneTitle = "/event-types/"+url.PathEscape(eventType)+"/send", target, "This webhook is not active"
		for _, s := range all {
			if s.ID == target && s.Active && !s.Deleted {
				expected = append(expected, s)
			}
		}
	} else if expected, err = c.Webhooks.Testable(r.Context(), target); err != nil {
		return err
	}
	deliveries, _, err := c.Store.Deliveries(r.Context(), store.DeliveryQuery{EventID: eventID, Page: store.Page{Limit: 1000}})
	if err != nil {
		return err
	}
	names := map[string]*subscription.Subscription{}
	for _, s := range all {
		names[s.ID] = s
	}
	open := false
	row := func(s *subscription.Subscription) testRow {
		return testRow{ID: s.ID, Name: s.Name, Endpoint: s.Endpoint}
	}
	seen := map[string]bool{}
	for _, d := range deliveries {
		if d.Cause != "test" {
			continue
		}
		seen[d.SubscriptionID] = true
		line := testRow{ID: d.SubscriptionID, Name: d.SubscriptionName}
		if s := names[d.SubscriptionID]; s != nil {
			line = row(s)
		}
		line.State, line.AttemptID, line.NextRetry = deliveryState(d.State, d.Reason), d.LastAttemptID, d.NextAttemptAt
		switch {
		case d.LastAttemptID != "":
			line.What = "Attempt"
			if a, err := c.Store.Attempt(r.Context(), d.LastAttemptID); err == nil {
				line.What = answerText(a.Attempt)
			}
		case d.State == store.StateQueued:
			line.State = sending
		case d.State == store.StateWaiting:
			line.What = words(d.Reason)
		}
		open = open || d.State == store.StateQueued || d.State == store.StateWaiting
		page.Rows = append(page.Rows, line)
	}
	for _, s := range expected {
		if seen[s.ID] {
			continue
		}
		line := row(s)
		line.State, line.What = deliveryState(store.StateQueued, ""), "not routed yet"
		page.Rows = append(page.Rows, line)
		open, page.Soon = true, true
	}
	if len(page.Rows) == 0 && !sample {
		for _, s := range all {
			if s.Active && (target == "" || s.ID == target) && !contains(s.Events, "App.TestWebhook") && len(page.Offer) < 5 {
				page.Offer = append(page.Offer, offer{s.ID, s.Name})
			}
		}
	}
	if open && c.Now().Sub(timeOf(id)) > patience && len(deliveries) == 0 {
		page.Hint = "It has not been routed for a while. Is a router running, and does Kafka answer? Nothing is lost: it is sent as soon as they do."
	}
	return c.render(w, r, http.StatusOK, "test", page)
}

// timeOf is when an id (UUIDv7) was made.
func timeOf(id string) time.Time {
	var ms int64
	for _, ch := range id[:8] + id[9:13] {
		switch {
		case ch >= '0' && ch <= '9':
			ms = ms<<4 | int64(ch-'0')
		case ch >= 'a' && ch <= 'f':
			ms = ms<<4 | int64(ch-'a'+10)
		}
	}
	return time.UnixMilli(ms)
}
