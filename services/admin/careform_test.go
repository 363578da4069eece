package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// What people do with a webhook that runs, by forms.
func TestCareByForms(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	id, _ := b.subscribe(plainWebhook)
	_, deliveryID, attemptID := b.happened(id, "c-1", `{"CallId":"c-1","QueueName":"Sales"}`)
	page := br.get("/webhooks/"+id+"/attempts").want(t, http.StatusOK)
	for _, text := range []string{"Pause 30 min", "Send waiting now", "Stop all retries", "Rotate secret", "<strong>1</strong> wait"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page does not show %q", text)
		}
	}
	page = br.post("/webhooks/"+id+"/pause", url.Values{"for": {"2h"}}).want(t, http.StatusOK)
	if !strings.Contains(page.body, "Paused until") || b.last(id).GetPausedUntil() == nil {
		t.Errorf("pausing answers %s", page.body)
	}
	if page = br.post("/webhooks/"+id+"/resume", nil).want(t, http.StatusOK); strings.Contains(page.body, "Paused until") {
		t.Error("it is paused after resuming")
	}
	form := br.get("/webhooks/"+id+"/rotate").want(t, http.StatusOK)
	fields := url.Values{"version": {inputValue(t, form.body, "version")}, "signing_secret": {"nonsense"}}
	if wrong := br.post("/webhooks/"+id+"/rotate", fields).want(t, http.StatusUnprocessableEntity); strings.Contains(wrong.body, "nonsense") {
		t.Error("a refused secret is repeated")
	}
	fields.Set("signing_secret", "")
	if done := br.post("/webhooks/"+id+"/rotate", fields).want(t, http.StatusOK); !strings.Contains(done.body, "whsec_") {
		t.Errorf("rotating answers %s", done.body)
	}
	br.post("/webhooks/"+id+"/rotate", fields).want(t, http.StatusPreconditionFailed)

	b.waiting(id, tier2h, 3)
	br.post("/webhooks/"+id+"/send-waiting", nil).want(t, http.StatusOK)
	kafkatest.WaitFor(t, "all to be sent", func() bool {
		return strings.Contains(br.get("/webhooks/"+id+"/attempts").body, "done, 3 sent")
	})
	one := br.get("/attempts/"+attemptID).want(t, http.StatusOK)
	if !strings.Contains(one.body, "Stop retrying") || !strings.Contains(one.body, "and stop the scheduled retry") || !strings.Contains(one.body, "as a new event") {
		t.Error("the attempt does not offer the options of Resend")
	}
	br.post("/attempts/"+attemptID+"/resend", url.Values{"as_new_event": {"1"}, "stop_waiting": {"1"}}).want(t, http.StatusOK)
	br.post("/deliveries/"+deliveryID+"/stop", nil).want(t, http.StatusOK)
	if stops := b.stops(); len(stops) != 2 {
		t.Errorf("stopped are %v", stops)
	}
	edit := br.get("/webhooks/"+id+"/edit").want(t, http.StatusOK)
	if !strings.Contains(edit.body, "Of the last 1 events, 1 match (now 1)") {
		t.Error("the form does not say what matches")
	}
	change := url.Values{"version": {inputValue(t, edit.body, "version")}, "endpoint": {"https://receiver.example/"}, "active": {"1"}, "events": {"App.QueueWebhook"}, "schedule": {"72h"},
		"format": {"abp"}, "filter": {`cdr.QueueName = "Sales"`}, "rate_limit": {"5"}, "do": {"save"}}
	if wrong := br.post("/webhooks/"+id+"/edit", change).want(t, http.StatusUnprocessableEntity); !strings.Contains(wrong.body, "line 1, column") {
		t.Errorf("a wrong filter answers %s", wrong.body)
	}
	change.Set("filter", `cdr.QueueName == "Sales"`)
	if saved := br.post("/webhooks/"+id+"/edit", change).want(t, http.StatusOK); !strings.Contains(saved.body, "whs_") {
		t.Errorf("saving answers %s", saved.body)
	}
	if m := b.last(id); m.GetFormat() != "abp" || m.GetFilter() == "" || m.GetRateLimit() != 5 {
		t.Errorf("published is %v", m)
	}
	br.post("/webhooks/"+id+"/stop-waiting", nil).want(t, http.StatusOK)
	for _, path := range []string{"/webhooks/" + id + "/attempts", "/webhooks/" + id + "/rotate", "/webhooks/" + id + "/edit", "/attempts/" + attemptID, "/deliveries/" + deliveryID} {
		checkPage(t, path, br.get(path).want(t, http.StatusOK))
	}
}
