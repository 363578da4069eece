package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/admin"
)

type erasureAnswer struct {
	ID, Kind, State, Fault string
	Counts                 struct{ Events, Payloads, Attempts, Waiting int64 }
	Copies                 []struct {
		Topic     string
		Upstream  bool
		Retention float64   `json:"retention_s"`
		GoneBy    time.Time `json:"gone_by"`
	}
	RequestedBy string    `json:"requested_by"`
	CreatedAt   time.Time `json:"created_at"`
	KeptUntil   time.Time `json:"kept_until"`
}

const forgotten = "+1 (202) 555-0142"

func TestACallerIsErasedByAPIAndTheReportSaysWhenKafkasCopiesAreGone(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/hook","events":["App.QueueWebhook"]}`)
		eventID, deliveryID, attemptID := b.happened(id, "c-1", `{"CallId":"c-1","CallerNumber":"tel:+1-202-555-0142"}`)
		otherID, _, _ := b.happened(id, "c-2", `{"CallId":"c-2","CallerNumber":"+12025550199"}`)
		await := func(e *erasureAnswer, state string) {
			t.Helper()
			kafkatest.WaitFor(t, state, func() bool {
				b.api("GET", "/erasures/"+e.ID, "").want(t, http.StatusOK).into(t, e)
				return e.State == state
			})
		}
		var e erasureAnswer
		planned := b.api("POST", "/erasures", `{"caller_number":"`+forgotten+`","plan":true}`).want(t, http.StatusAccepted)
		planned.into(t, &e)
		if planned.header.Get("Location") != "/api/v1/erasures/"+e.ID || e.RequestedBy != "admin" || e.Kind != "caller_number" {
			t.Errorf("planned is %s", planned.body)
		}
		await(&e, "planned")
		if e.Counts.Events != 1 || e.Counts.Payloads != 1 || e.Counts.Attempts != 1 || e.Counts.Waiting != 1 {
			t.Errorf("counted %+v", e.Counts)
		}
		isErased(t, b.api("GET", "/events/"+eventID, ""), false)
		b.api("POST", "/erasures/"+e.ID+"/run", "").want(t, http.StatusAccepted)
		await(&e, "done")
		if e.Fault != "" || e.Counts.Payloads != 1 {
			t.Errorf("done is %+v", e)
		}
		isErased(t, b.api("GET", "/events/"+eventID, ""), true)
		isErased(t, b.api("GET", "/events/"+otherID, ""), false)
		if got := b.api("GET", "/attempts/"+attemptID, "").want(t, http.StatusOK); strings.Contains(got.body, "busy") || !strings.Contains(got.body, `"http_status":503`) {
			t.Errorf("the attempt is %s", got.body)
		}
		b.api("GET", "/deliveries/"+deliveryID, "").want(t, http.StatusOK)
		b.api("POST", "/deliveries/"+deliveryID+"/resend", "", "Idempotency-Key", "again").want(t, http.StatusGone)

		gone := map[string]time.Time{}
		for _, c := range e.Copies {
			gone[c.Topic] = c.GoneBy
			if c.Upstream != strings.HasPrefix(c.Topic, "aftercall.cdr.") || c.GoneBy.Before(e.CreatedAt.Add(time.Duration(c.Retention)*time.Second)) {
				t.Errorf("the copy is %+v", c)
			}
		}
		for _, name := range []string{topic.CDRQueue, topic.Events, topic.Deliveries, topic.Rejected, topic.GivenUp, topic.History, "aftercall.deliveries.delay.12h"} {
			if gone[name].IsZero() || gone[name].After(e.KeptUntil) {
				t.Errorf("%s is gone by %v, the digest is kept until %v", name, gone[name], e.KeptUntil)
			}
		}
		if _, there := gone[topic.Subscriptions]; there {
			t.Error("the subscriptions are said to hold calls")
		}

		b.api("POST", "/erasures/"+e.ID+"/run", "").wantProblem(t, http.StatusConflict, "conflict", "")
		b.api("POST", "/erasures/"+e.ID+"/cancel", "").wantProblem(t, http.StatusConflict, "conflict", "")
		b.api("POST", "/erasures/none/run", "").wantProblem(t, http.StatusNotFound, "not_found", "")
		for body, pointer := range map[string]string{`{}`: "/caller_number", `{"caller_number":"1","call_id":"2"}`: "/caller_number", `{"caller_number":"anonymous"}`: "/caller_number", `{"call_id":"Null"}`: "/call_id"} {
			b.api("POST", "/erasures", body).wantProblem(t, http.StatusUnprocessableEntity, "invalid", pointer)
		}
		// At once, by the call.
		b.api("POST", "/erasures", `{"call_id":"c-2"}`).want(t, http.StatusAccepted).into(t, &e)
		await(&e, "done")
		isErased(t, b.api("GET", "/events/"+otherID, ""), true)
		var list struct{ Items []erasureAnswer }
		b.api("GET", "/erasures", "").want(t, http.StatusOK).into(t, &list)
		if len(list.Items) != 2 || list.Items[0].ID != e.ID {
			t.Errorf("listed are %+v", list)
		}
		// Nobody but an administrator, and nowhere the number.
		writer := admin.NewToken()
		if err := admin.EnsureToken(context.Background(), b.db, writer, "writer", []string{"read", "write", "resend", "replay"}); err != nil {
			t.Fatal(err)
		}
		b.api("POST", "/erasures", `{"call_id":"c-2"}`, "Authorization", "Bearer "+writer).wantProblem(t, http.StatusForbidden, "forbidden", "")
		if audit := b.api("GET", "/audit?action=erasure.done", "").want(t, http.StatusOK); !strings.Contains(audit.body, e.ID) || !strings.Contains(audit.body, `"payloads":"1"`) {
			t.Errorf("the audit log says %s", audit.body)
		}
		if found := storetest.Traces(t, b.db, "2025550142", "555-0142"); len(found) > 0 || strings.Contains(b.log.String(), "555-0142") || strings.Contains(b.log.String(), "2025550142") {
			t.Errorf("the number is left in %v, or in the log", found)
		}
	})
}

func TestAnErasureIsCountedConfirmedAndReportedOnItsPage(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/hook","events":["App.QueueWebhook"]}`)
	b.happened(id, "c-1", `{"CallId":"c-1","CallerNumber":"+12025550142"}`)
	br := b.signIn()
	if page := br.get("/erasures").want(t, http.StatusOK); !strings.Contains(page.body, "Nothing was erased yet") {
		t.Errorf("the empty list is %s", page.body)
	}
	refused := br.post("/erasures", url.Values{"number": {"anonymous"}}).want(t, http.StatusUnprocessableEntity)
	if !strings.Contains(refused.body, "number-error") || !strings.Contains(refused.body, `value="anonymous"`) {
		t.Errorf("refused is %s", refused.body)
	}
	page := br.post("/erasures", url.Values{"number": {forgotten}}).want(t, http.StatusOK)
	_, rest, _ := strings.Cut(page.body, `action="/erasures/`)
	erasure, _, _ := strings.Cut(rest, "/")
	kafkatest.WaitFor(t, "the counts", func() bool {
		page = br.get("/erasures/"+erasure).want(t, http.StatusOK)
		return strings.Contains(page.body, "Erase for good")
	})
	if !strings.Contains(page.body, "1 deliveries of these calls") || !strings.Contains(page.body, "upstream") || strings.Contains(page.body, "555-0142") {
		t.Errorf("the page that asks is %s", page.body)
	}
	br.post("/erasures/"+erasure+"/run", nil).want(t, http.StatusOK)
	kafkatest.WaitFor(t, "the report", func() bool {
		page = br.get("/erasures/"+erasure).want(t, http.StatusOK)
		return strings.Contains(page.body, "What was erased")
	})
	if !strings.Contains(page.body, "aftercall.history") || !strings.Contains(page.body, "Last copy gone by") || strings.Contains(page.body, "Erase for good") {
		t.Errorf("the report is %s", page.body)
	}
}

// A store that was lost and built again from the topics, or restored from a backup of
// before, learns from Kafka what was erased.
func TestARestoredStoreLearnsWhatWasErased(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	// Before the request: what happens later is not concerned.
	again := &bundle{t: t, db: storetest.SQLite(t)}
	eventID, _, _ := again.happened("sub_1", "c-1", `{"CallId":"c-1","CallerNumber":"tel:+1-202-555-0142"}`)
	e := erasureAnswer{}
	b.api("POST", "/erasures", `{"caller_number":"`+forgotten+`"}`).want(t, http.StatusAccepted).into(t, &e)
	kafkatest.WaitFor(t, "the record of the erasure", func() bool {
		for _, r := range kafkatest.ReadAll(t, b.kafka, topic.Subscriptions) {
			if string(r.Key) == record.ErasureKey(e.ID) {
				return !strings.Contains(string(r.Value), "2025550142")
			}
		}
		return false
	})
	deps := b.deps
	deps.Store, deps.Registry = again.db, prometheus.NewRegistry()
	other, err := admin.New(t.Context(), admin.Config{Kafka: b.kafka}, deps)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- other.Run(ctx) }()
	kafkatest.WaitFor(t, "the erasure", func() bool {
		got, err := again.db.Erasure(t.Context(), e.ID)
		return err == nil && got.State == store.ErasureDone && got.Counts.Payloads == 1 && len(got.Copies) > 0
	})
	if _, err := again.db.Payload(t.Context(), eventID); !errors.Is(err, store.ErrPayloadErased) {
		t.Errorf("its payload: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func isErased(t *testing.T, a answer, want bool) {
	t.Helper()
	var e struct {
		Payload  any
		Expired  bool      `json:"payload_expired"`
		ErasedAt time.Time `json:"erased_at"`
	}
	a.want(t, http.StatusOK).into(t, &e)
	if e.Expired != want || want == e.ErasedAt.IsZero() || want != (e.Payload == nil) {
		t.Errorf("an event that is erased (%v) is %s", want, a.body)
	}
}
