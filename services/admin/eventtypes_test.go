package admin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

func TestAnEventTypeSaysWhoHasItAndHowMuchCame(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"endpoint":"https://receiver.example/q","name":"Queue <b>one","events":["App.QueueWebhook"]}`)
		ivr, _ := b.subscribe(`{"endpoint":"https://receiver.example/i","name":"Ivr one","events":["App.IvrWebhook"],"active":false}`)
		b.happened(id, "c-1", `{"CallId":"c-1"}`)
		b.happened(id, "c-2", `{"CallId":"c-2"}`)
		br := b.signIn()
		queue := br.get("/event-types/App.QueueWebhook").want(t, http.StatusOK)
		checkPage(t, "event type", queue)
		for _, text := range []string{`href="/webhooks/` + id + `">Queue &lt;b&gt;one</a>`, "aftercall.cdr.queue</span>: 2.", "Send sample to…", `<option value="` + id + `">`} {
			if !strings.Contains(queue.body, text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		if strings.Contains(queue.body, ivr) {
			t.Error("the page shows a webhook of another type that is off")
		}
		of := br.get("/event-types/App.IvrWebhook").want(t, http.StatusOK)
		for _, text := range []string{`href="/webhooks/` + ivr + `">Ivr one</a>`, "Off</span>", "aftercall.cdr.ivr</span>: 0."} {
			if !strings.Contains(of.body, text) {
				t.Errorf("the page of IVR does not say %q", text)
			}
		}
		none := br.get("/event-types/App.RecordingWebhook").want(t, http.StatusOK)
		if !strings.Contains(none.body, "None: nothing of it is sent") {
			t.Error("a type without webhooks does not say so")
		}
		list := br.get("/event-types").want(t, http.StatusOK)
		checkPage(t, "event types", list)
		if !regexp.MustCompile(`href="/event-types/App.QueueWebhook"[^\n]*class="num">2</td>`).MatchString(list.body) || !strings.Contains(list.body, "0 of all system types") {
			t.Error("the list does not say how much came")
		}
	})
}

func TestASampleIsSentToOneWebhookAsATest(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/q","name":"Ivr alone","events":["App.IvrWebhook"]}`)
	off, _ := b.subscribe(`{"endpoint":"https://receiver.example/o","name":"Switched off","events":["App.QueueWebhook"],"active":false}`)
	br := b.signIn()
	page := br.post("/event-types/App.QueueWebhook/send", url.Values{"to": {id}}).want(t, http.StatusOK)
	checkPage(t, "sample", page)
	for _, text := range []string{"One App.QueueWebhook, the sample, goes", "Ivr alone", "not routed yet", `action="/event-types/App.QueueWebhook/send"`, `name="to" value="` + id + `"`} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	records := kafkatest.ReadAll(t, b.kafka, topic.CDRTest)
	if len(records) != 1 {
		t.Fatalf("there are %d tests", len(records))
	}
	r := records[0]
	sample, _ := cdrschema.Sample("App.QueueWebhook")
	if header(r, "ce_type") != "App.QueueWebhook" || header(r, "aftercall-target") != id || string(r.Value) != string(sample) {
		t.Errorf("sent is %s to %s: %s", header(r, "ce_type"), header(r, "aftercall-target"), r.Value)
	}
	// What the page follows is the event that it becomes.
	in := cdr.Input{Topic: topic.CDRTest, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	for _, h := range r.Headers {
		in.Headers = append(in.Headers, cdr.Header{Key: h.Key, Value: h.Value})
	}
	c, err := cdr.Decode(in)
	if err != nil || c.Cause != cdr.CauseTest || c.TargetSubscription != id {
		t.Fatalf("the router reads %+v, %v", c, err)
	}
	if !strings.Contains(page.body, "/stream?event="+c.EventID) {
		t.Errorf("the page does not follow %s", c.EventID)
	}

	if asleep := br.post("/event-types/App.QueueWebhook/send", url.Values{"to": {off}}).want(t, http.StatusOK); !strings.Contains(asleep.body, "This webhook is not active") {
		t.Error("a sample for a webhook that is off does not say so")
	}
	br.post("/event-types/App.NoWebhook/send", url.Values{"to": {id}}).want(t, http.StatusNotFound)
	br.post("/event-types/App.QueueWebhook/send", url.Values{"to": {"sub_none"}}).want(t, http.StatusNotFound)
	br.post("/event-types/App.QueueWebhook/send", nil).want(t, http.StatusNotFound)
	br.get("/tests/0199a000-0000-7000-8000-000000000000?type=App.NoWebhook").want(t, http.StatusNotFound)
}
