package admin_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// unsent projects a call that ended now and went to nobody.
func (b *bundle) unsent(callID string) {
	b.t.Helper()
	payload := []byte(`{"CallId":"` + callID + `"}`)
	now := timestamppb.New(time.Now().UTC().Truncate(time.Millisecond))
	if _, err := b.db.Project(context.Background(), &store.Batch{Events: []*aftercallv1.Event{{
		EventId: cdr.EventID("default", "", topic.TypeQueue, "", callID, payload), Tenant: "default", EventType: topic.TypeQueue, CallId: callID, OccurredAt: now, RoutedAt: now,
		Position: &aftercallv1.Position{Topic: topic.CDRQueue, Offset: 9}, Payload: payload, Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
	}}}); err != nil {
		b.t.Fatal(err)
	}
}

var hidden = regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)"`)

func TestWhatAWebhookMissedWhileItWasOffIsCountedAndSentOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		type missed struct {
			Events int64
			From   time.Time
			To     *time.Time
			Replay map[string]any
		}
		ask := func() (m missed) {
			b.api("GET", "/subscriptions/"+id+"/missed", "").want(t, http.StatusOK).into(t, &m)
			return m
		}
		if m := ask(); m.Events != 0 || !m.From.IsZero() || m.Replay != nil {
			t.Errorf("never off, it missed %+v", m)
		}
		b.api("PATCH", "/subscriptions/"+id, `{"active":false}`, "If-Match", "*").want(t, http.StatusOK)
		b.unsent("c-1")
		b.unsent("c-2")
		// An edit while it is off does not begin another time.
		b.api("PATCH", "/subscriptions/"+id, `{"name":"renamed"}`, "If-Match", "*").want(t, http.StatusOK)
		if m := ask(); m.Events != 2 || m.To != nil {
			t.Errorf("off, it missed %+v", m)
		}

		// Switching it on leads to a list that offers them, and its button to a plan.
		br := b.signIn()
		page := br.post("/webhooks/"+id+"/edit", url.Values{"version": {"3"}, "name": {"C<R>M"}, "endpoint": {"https://receiver.example/hook"}, "events": {topic.TypeQueue}, "active": {"on"}}).want(t, http.StatusOK)
		if !strings.Contains(page.body, "C&lt;R&gt;M is on again. Send the 2 missed while it was off?") {
			t.Errorf("the list does not offer it: %s", page.body)
		}
		if page := br.get("/webhooks?on=none").want(t, http.StatusOK); strings.Contains(page.body, "missed while") {
			t.Error("the list offers what nobody missed")
		}
		m := ask()
		if m.Events != 2 || m.To == nil || !m.From.Before(*m.To) || m.Replay["mode"] != "backfill" {
			t.Fatalf("on again, it missed %+v", m)
		}
		b.unsent("c-3") // later than that
		asked := url.Values{}
		for _, field := range hidden.FindAllStringSubmatch(page.body, -1) {
			asked.Set(field[1], html.UnescapeString(field[2]))
		}
		br.post("/replays", asked).want(t, http.StatusOK)
		list, _, err := b.db.Replays(context.Background(), store.ReplayQuery{})
		if err != nil || len(list) != 1 || len(list[0].Plan) != 1 || list[0].Plan[0].Send != 2 {
			t.Fatalf("planned are %+v, %v", list, err)
		}
		var r replayAnswer
		location := "/replays/" + list[0].ID
		b.api("POST", location+"/run", `{"rate":50}`).want(t, http.StatusAccepted)
		kafkatest.WaitFor(t, "its end", func() bool {
			b.api("GET", location, "").want(t, http.StatusOK).into(t, &r)
			return r.State == "done"
		})
		if m := ask(); r.Sent != 2 || m.Events != 0 || m.Replay != nil {
			t.Errorf("sent %d; it still misses %+v", r.Sent, m)
		}
	})
}
