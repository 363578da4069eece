package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// hiddenFields are those of a confirmation, as its button sends them.
func hiddenFields(body string) url.Values {
	out := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(body, -1) {
		out.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return out
}

// shows fails for every text that a page lacks.
func (a answer) shows(t testing.TB, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(a.body), text) {
			t.Errorf("the page does not show %q: %s", text, a.body)
		}
	}
	return a
}

func (b *bundle) entries(action string) int {
	b.t.Helper()
	var log struct{ Items []struct{ Action string } }
	b.api("GET", "/audit?action="+action, "").want(b.t, http.StatusOK).into(b.t, &log)
	return len(log.Items)
}

func TestSelectedAttemptsAreResentOnceAfterAConfirmationThatCounts(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		one, _ := b.subscribe(`{"name":"one","endpoint":"https://receiver.example/1","active":true,"events":["App.QueueWebhook"]}`)
		two, etag := b.subscribe(`{"name":"two","endpoint":"https://receiver.example/2","active":true,"events":["App.QueueWebhook"]}`)
		var attempts []string
		for i := range 3 {
			_, _, a := b.happened(one, fmt.Sprintf("c-%d", i), fmt.Sprintf(`{"CallId":"c-%d"}`, i))
			attempts = append(attempts, a)
		}
		_, secondDelivery, off := b.happened(two, "c-1", `{"CallId":"c-1"}`)
		b.api("PATCH", "/subscriptions/"+two, `{"active":false}`, "If-Match", etag, "Content-Type", "application/merge-patch+json").want(t, http.StatusOK)
		br := b.signIn()
		sent := func() int { return len(kafkatest.ReadAll(t, b.kafka, topic.Deliveries)) }

		br.post("/attempts/selected", nil).want(t, http.StatusUnprocessableEntity).shows(t, "Nothing is selected")
		asked := br.post("/attempts/selected", url.Values{"id": {attempts[0], attempts[1], off, attempts[1]}}).want(t, http.StatusOK).
			shows(t, "Resend 2 deliveries?", "3 attempts are selected", "2 deliveries are sent", "1 cannot be: the webhook is off", ">Resend 2<")
		if sent() != 0 {
			t.Fatal("the confirmation has sent something")
		}
		// A double click, both at once.
		form := hiddenFields(asked.body)
		var clicks sync.WaitGroup
		for range 2 {
			clicks.Go(func() {
				br.post("/attempts/selected/resend", form).want(t, http.StatusOK).shows(t, "2 deliveries are on the way again")
			})
		}
		clicks.Wait()
		br.post("/attempts/selected/resend", form).want(t, http.StatusOK).shows(t, "This was carried out before")
		if n := sent(); n != 2 {
			t.Errorf("%d deliveries were sent, not 2", n)
		}
		if n, single := b.entries("deliveries.resent"), b.entries("delivery.resent"); n != 1 || single != 0 {
			t.Errorf("it is in the audit log %d times, and %d times by the delivery", n, single)
		}

		// What fails is listed with its reason, and tried again by itself.
		form = hiddenFields(br.post("/attempts/selected", url.Values{"id": {attempts[2]}}).body)
		form.Add("delivery", secondDelivery)
		failed := br.post("/attempts/selected/resend", form).want(t, http.StatusOK).shows(t, "1 delivery is on the way again", "It could not be done for 1.", secondDelivery, "The webhook is not active", "Try the 1 again")
		b.api("PATCH", "/subscriptions/"+two, `{"active":true}`, "If-Match", "*", "Content-Type", "application/merge-patch+json").want(t, http.StatusOK)
		again := hiddenFields(failed.body)
		if got := again["delivery"]; len(got) != 1 || got[0] != secondDelivery {
			t.Errorf("what is tried again is %v", got)
		}
		br.post("/attempts/selected/resend", again).want(t, http.StatusOK).shows(t, "1 delivery is on the way again")
		if n := sent(); n != 4 {
			t.Errorf("%d deliveries were sent, not 4", n)
		}
		again.Set("operation", "chosen by somebody")
		br.post("/attempts/selected/resend", again).want(t, http.StatusBadRequest)
	})
}

func TestAllAttemptsThatMatchAreResentUpToALimitThatLeadsToAReplay(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"one","endpoint":"https://receiver.example/1","active":true,"events":["App.QueueWebhook"]}`)
	other, _ := b.subscribe(`{"name":"other","endpoint":"https://receiver.example/2","active":true,"events":["App.QueueWebhook"]}`)
	for i := range 200 {
		b.happened(id, fmt.Sprintf("c-%d", i), fmt.Sprintf(`{"CallId":"c-%d"}`, i))
	}
	b.happened(other, "c-0", `{"CallId":"c-0"}`)
	br := b.signIn()
	list := br.get("/webhooks/"+id+"/attempts?result=failed").want(t, http.StatusOK).shows(t, "Resend all that match")
	form := hiddenFields(list.body)
	form.Set("all", "1")
	all := br.post("/attempts/selected", form).want(t, http.StatusOK).shows(t, "Resend 200 deliveries?", "200 attempts are selected")
	if n := len(hiddenFields(all.body)["delivery"]); n != 200 {
		t.Errorf("the confirmation is about %d", n)
	}
	form.Del("subscription")
	form.Set("from", "2026-03-14T09:26")
	br.post("/attempts/selected", form).want(t, http.StatusOK).shows(t, "More than 200 deliveries", `href="/replays?from=2026-03-14T09%3A26&subscription=&to="`)
	br.get("/replays?from=2026-03-14T09%3A26&subscription="+other).want(t, http.StatusOK).shows(t, `value="2026-03-14T09:26"`, `value="`+other+`" selected`)
	many := hiddenFields(all.body)
	many.Add("delivery", "dlv_one-more")
	br.post("/attempts/selected/resend", many).want(t, http.StatusUnprocessableEntity)
	form.Set("status", "none")
	br.post("/attempts/selected", form).want(t, http.StatusBadRequest)
	if n := len(kafkatest.ReadAll(t, b.kafka, topic.Deliveries)); n != 0 {
		t.Errorf("%d deliveries were sent without a confirmation", n)
	}
}

func TestSelectedWebhooksAreSwitchedOnceAndRecoveredByAPlan(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		one, _ := b.subscribe(`{"name":"one","endpoint":"https://receiver.example/1","active":true,"events":["App.QueueWebhook"]}`)
		two, _ := b.subscribe(`{"name":"two","endpoint":"https://receiver.example/2","active":false,"events":["App.QueueWebhook"]}`)
		gone, etag := b.subscribe(`{"name":"gone","endpoint":"https://receiver.example/3","active":true,"events":["App.QueueWebhook"]}`)
		br := b.signIn()
		br.get("/webhooks").want(t, http.StatusOK).shows(t, "Updates pause while rows are selected", `name="id" value="`+one+`"`)
		br.post("/webhooks/selected/enable", nil).want(t, http.StatusUnprocessableEntity).shows(t, "Nothing is selected")
		asked := br.post("/webhooks/selected/disable", url.Values{"id": {one, two, gone}}).want(t, http.StatusOK).
			shows(t, "Disable 2 webhooks?", "1 of them is off already", "https://receiver.example/1", ">Disable 2<")
		if !b.last(one).GetActive() {
			t.Fatal("the confirmation has switched something off")
		}
		b.api("DELETE", "/subscriptions/"+gone, "", "If-Match", etag).want(t, http.StatusNoContent)
		form := hiddenFields(asked.body)
		br.post("/webhooks/selected", form).want(t, http.StatusOK).shows(t, "1 webhook was switched off", "It could not be done for 1.", "For 1 there was nothing to do.", ">gone<", "The webhook was deleted.")
		if b.last(one).GetActive() || b.last(two).GetVersion() != 1 {
			t.Error("it was not switched off, or what was off was changed")
		}
		// Switched on by somebody since, it stays on when the page is sent again.
		b.api("PATCH", "/subscriptions/"+one, `{"active":true}`, "If-Match", "*", "Content-Type", "application/merge-patch+json").want(t, http.StatusOK)
		br.post("/webhooks/selected", form).want(t, http.StatusOK).shows(t, "This was carried out before", "1 webhook was switched off")
		if !b.last(one).GetActive() {
			t.Error("sending the page again has switched it off again")
		}
		if n := b.entries("subscriptions.disabled"); n != 1 {
			t.Errorf("it is in the audit log %d times", n)
		}
		asked = br.post("/webhooks/selected/enable", url.Values{"id": {one, two}}).want(t, http.StatusOK).shows(t, "Enable 1 webhook?", "1 of them is on already")
		br.post("/webhooks/selected", hiddenFields(asked.body)).want(t, http.StatusOK).shows(t, "1 webhook was switched on")
		if !b.last(two).GetActive() {
			t.Error("it was not switched on")
		}
		br.post("/webhooks/selected/enable", url.Values{"id": {one, two}}).want(t, http.StatusOK).shows(t, "Nothing to do")

		// Recover failed: counted on the replay's page, which runs it.
		form = hiddenFields(br.post("/webhooks/selected/recover", url.Values{"id": {one, two}}).want(t, http.StatusOK).shows(t, "Recover what failed of 2 webhooks").body)
		form.Set("from", "yesterday")
		br.post("/webhooks/selected/plan", form).want(t, http.StatusUnprocessableEntity).shows(t, "Say from when on.")
		form.Set("from", "2026-03-14T09:26")
		// Pressed twice, also at once, it is one plan.
		var presses sync.WaitGroup
		for range 3 {
			presses.Go(func() { br.post("/webhooks/selected/plan", form).shows(t, "Nothing is sent yet") })
		}
		presses.Wait()
		var replays struct {
			Items []struct{ Subscriptions []string }
		}
		b.api("GET", "/replays", "").want(t, http.StatusOK).into(t, &replays)
		if len(replays.Items) != 1 || len(replays.Items[0].Subscriptions) != 2 {
			t.Errorf("the replays are %+v", replays)
		}
		// Another request on the page that the browser went back to is another plan.
		form.Set("from", "2026-03-15T09:26")
		br.post("/webhooks/selected/plan", form).want(t, http.StatusOK).shows(t, "Nothing is sent yet")
		b.api("GET", "/replays", "").want(t, http.StatusOK).into(t, &replays)
		if len(replays.Items) != 2 {
			t.Errorf("the replays are %+v", replays)
		}
	})
}

// Two processes that are asked for the same at the same moment: what the other one
// has carried out meanwhile is not carried out again.
func TestAnActionOnManyThatAnotherProcessCarriesOutIsWaitedFor(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"name":"one","endpoint":"https://receiver.example/1","active":true,"events":["App.QueueWebhook"]}`)
		br := b.signIn()
		form := hiddenFields(br.post("/webhooks/selected/disable", url.Values{"id": {id}}).want(t, http.StatusOK).body)
		release, ok, err := b.db.Lock(t.Context(), "operations on many")
		if err != nil || !ok {
			t.Fatalf("the other process has no turn: %v", err)
		}
		answered := make(chan answer, 1)
		go func() { answered <- br.post("/webhooks/selected", form) }()
		select {
		case a := <-answered:
			t.Errorf("it was not waited for: %d", a.status)
		case <-time.After(200 * time.Millisecond): // a change that is not made cannot be waited for
		}
		err = b.db.AddAudit(t.Context(), store.AuditEntry{Action: "subscriptions.disabled", Object: form.Get("operation") + "/" + form.Get("try"), Detail: map[string]string{"done": "1"}})
		release()
		if err != nil {
			t.Fatal(err)
		}
		a := <-answered
		a.want(t, http.StatusOK).shows(t, "This was carried out before")
		if !b.last(id).GetActive() {
			t.Error("it was carried out twice")
		}
	})
}
