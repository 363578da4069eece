package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"context"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin"
)

type replayAnswer struct {
	ID, State   string
	Total, Sent int64
	Plan        []struct {
		SubscriptionID string `json:"subscription_id"`
		Send           int64
	}
	CreatedBy string `json:"created_by"`
	Why       string
}

func TestAReplayIsPlannedRunAndCancelledByAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/hook","events":["App.QueueWebhook"]}`)
		eventID, _, _ := b.happened(id, "c-1", `{"CallId":"c-1"}`)
		from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)

		// What waits is not sent again.
		var r replayAnswer
		planned := b.api("POST", "/replays", `{"mode":"backfill","from":"`+from+`","why":"a gap"}`).want(t, http.StatusCreated)
		planned.into(t, &r)
		if r.State != "planned" || r.Total != 1 || len(r.Plan) != 1 || r.Plan[0].Send != 0 || r.CreatedBy != "admin" || r.Why != "a gap" || planned.header.Get("Location") != "/api/v1/replays/"+r.ID {
			t.Errorf("planned is %s", planned.body)
		}
		b.api("POST", "/replays/"+r.ID+"/cancel", "").want(t, http.StatusOK).into(t, &r)
		if r.State != "cancelled" {
			t.Errorf("cancelled, it is %+v", r)
		}

		batch := storedGivenUp(b, id, eventID)
		if _, err := b.db.Project(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
		b.api("POST", "/replays", `{"mode":"recover","from":"`+from+`","states":["given_up"],"subscriptions":["`+id+`"]}`).want(t, http.StatusCreated).into(t, &r)
		if r.Total != 1 || r.Plan[0].Send != 1 {
			t.Fatalf("planned is %+v", r)
		}
		b.api("POST", "/replays/"+r.ID+"/run", `{"rate":50}`).want(t, http.StatusAccepted)
		kafkatest.WaitFor(t, "its end", func() bool {
			b.api("GET", "/replays/"+r.ID, "").want(t, http.StatusOK).into(t, &r)
			return r.State == "done"
		})
		records := kafkatest.ReadAll(t, b.kafka, topic.Deliveries)
		if r.Sent != 1 || len(records) != 1 {
			t.Fatalf("sent %d, %d records", r.Sent, len(records))
		}
		d, err := record.OpenAs[*aftercallv1.Delivery](records[0])
		if err != nil || d.GetEventId() != eventID || d.GetCause() != aftercallv1.Cause_CAUSE_REPLAY || d.GetRequestId() != r.ID {
			t.Errorf("produced was %v, %v", d, err)
		}
		b.api("POST", "/replays/"+r.ID+"/run", `{"rate":50}`).wantProblem(t, http.StatusConflict, "conflict", "")
		b.api("POST", "/replays", `{"mode":"recover","from":"`+from+`","states":["waiting"]}`).wantProblem(t, http.StatusUnprocessableEntity, "invalid", "/states")
		b.api("GET", "/replays/none", "").wantProblem(t, http.StatusNotFound, "not_found", "")
		var list struct{ Items []replayAnswer }
		b.api("GET", "/replays", "").want(t, http.StatusOK).into(t, &list)
		if len(list.Items) != 2 || list.Items[0].ID != r.ID {
			t.Errorf("listed are %+v", list)
		}
		reader := admin.NewToken()
		if err := admin.EnsureToken(context.Background(), b.db, reader, "reader", []string{"read"}); err != nil {
			t.Fatal(err)
		}
		b.api("POST", "/replays", `{"mode":"recover","from":"`+from+`"}`, "Authorization", "Bearer "+reader).wantProblem(t, http.StatusForbidden, "forbidden", "")
	})
}

// storedGivenUp is the end of the delivery that happened made.
func storedGivenUp(b *bundle, subscriptionID, eventID string) *store.Batch {
	b.t.Helper()
	rows, _, err := b.db.Attempts(context.Background(), store.AttemptQuery{EventID: eventID})
	if err != nil || len(rows) != 1 {
		b.t.Fatalf("%d attempts, %v", len(rows), err)
	}
	return &store.Batch{Attempts: []*store.AttemptAt{{Attempt: &aftercallv1.Attempt{AttemptId: rows[0].AttemptID + "-2", DeliveryId: rows[0].DeliveryID, EventId: eventID, SubscriptionId: subscriptionID,
		EventType: rows[0].EventType, Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 13, Result: aftercallv1.Attempt_RESULT_FAILED, State: aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP}, StoredAt: time.Now()}}}
}

func TestAReplayByForms(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"name":"C<R>M","endpoint":"https://receiver.example/hook","events":["App.QueueWebhook"]}`)
		eventID, _, _ := b.happened(id, "c-1", `{"CallId":"c-1"}`)
		if _, err := b.db.Project(context.Background(), storedGivenUp(b, id, eventID)); err != nil {
			t.Fatal(err)
		}
		br := b.signIn()
		if page := br.get("/replays").want(t, http.StatusOK); !strings.Contains(page.body, "No replay yet") || !strings.Contains(page.body, "C&lt;R&gt;M") {
			t.Errorf("the empty page is %s", page.body)
		}
		back := br.post("/replays", url.Values{"mode": {"recover"}, "from": {"yesterday"}, "why": {"kept"}}).want(t, http.StatusUnprocessableEntity)
		if !strings.Contains(back.body, `value="kept"`) || !strings.Contains(back.body, "Say from when on.") {
			t.Errorf("the form comes back as %s", back.body)
		}
		page := br.post("/replays", url.Values{"mode": {"recover"}, "from": {time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04")}, "subscription": {id}, "why": {"<b>down</b>"}}).want(t, http.StatusOK)
		if !strings.Contains(page.body, "Nothing is sent yet") || !strings.Contains(page.body, "&lt;b&gt;down&lt;/b&gt;") || strings.Contains(page.body, "<b>down") {
			t.Errorf("the plan is %s", page.body)
		}
		list, _, err := b.db.Replays(context.Background(), store.ReplayQuery{})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d replays, %v", len(list), err)
		}
		br.post("/replays/"+list[0].ID+"/run", url.Values{"rate": {"100"}}).want(t, http.StatusOK)
		kafkatest.WaitFor(t, "its end", func() bool {
			list, _, err := b.db.Replays(context.Background(), store.ReplayQuery{})
			return err == nil && list[0].State == store.ReplayDone && strings.Contains(br.get("/replays/"+list[0].ID).body, "1 sent")
		})
		br.post("/replays/"+list[0].ID+"/cancel", nil).want(t, http.StatusConflict)
		if page := br.get("/replays").want(t, http.StatusOK); !strings.Contains(page.body, list[0].ID) {
			t.Errorf("the list is %s", page.body)
		}
	})
}
