package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin"
)

// last is the last record of a subscription on its topic.
func (b *bundle) last(id string) *aftercallv1.Subscription {
	b.t.Helper()
	var last *aftercallv1.Subscription
	for _, r := range kafkatest.ReadAll(b.t, b.kafka, topic.Subscriptions) {
		if record.Kind(r) == record.KindStopRetry {
			continue
		}
		m, err := record.OpenAs[*aftercallv1.Subscription](r)
		if err != nil {
			b.t.Fatal(err)
		}
		if string(r.Key) != m.GetId() {
			b.t.Errorf("the key is %q, not the id", r.Key)
		}
		if m.GetId() == id {
			last = m
		}
	}
	return last
}

// The reference's page, whole, by API.
func TestTheReferencesPageByAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		created := b.api("POST", "/subscriptions", `{"name":"CRM","endpoint":"https://receiver.example/hook","active":true,
			"events":["App.QueueWebhook","App.TestWebhook"],"headers":[{"name":"X-Api-Key","value":"k-123"},{"name":"X-Plain","value":"seen","secret":false}]}`).want(t, http.StatusCreated)
		var s struct {
			ID, Name, Endpoint, Format, Schedule, Timeout string
			Version                                       int64
			Active, Published                             bool
			Events                                        []string
			Headers                                       []struct {
				Name, Value string
				Secret      bool
			}
			SigningSecret string `json:"signing_secret"`
			MaxConc       int    `json:"max_concurrency"`
			CreatedAt     string `json:"created_at"`
		}
		created.into(t, &s)
		if s.Name != "CRM" || !s.Active || !s.Published || s.Format != "cdr" || s.Schedule != "72h" || s.Timeout != "15s" || s.MaxConc != 8 || len(s.Events) != 2 {
			t.Errorf("the answer is %s", created.body)
		}
		if len(s.Headers) != 2 || s.Headers[0].Value != "[unchanged]" || !s.Headers[0].Secret || s.Headers[1].Value != "seen" || s.Headers[1].Secret {
			t.Errorf("the headers are %+v", s.Headers)
		}
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(s.CreatedAt) {
			t.Errorf("the time is %s", s.CreatedAt)
		}
		if _, err := webhook.ParseSecret(s.SigningSecret); err != nil {
			t.Errorf("the signing secret cannot be used: %v", err)
		}
		if created.header.Get("ETag") != `"1"` {
			t.Errorf("the ETag is %s", created.header.Get("ETag"))
		}

		// What router and sender read is there before the answer is.
		m := b.last(s.ID)
		if m == nil || m.GetVersion() != 1 || !m.GetActive() || m.GetEndpoint() != "https://receiver.example/hook" {
			t.Fatalf("the published record is %v", m)
		}
		if plain, err := b.deps.Keyset.Unseal(s.ID, secret.FieldSecret, m.GetSealedSecret()); err != nil || string(plain) != s.SigningSecret {
			t.Errorf("the sealed signing secret opens to %q, %v", plain, err)
		}
		if plain, err := b.deps.Keyset.Unseal(s.ID, secret.HeaderField("X-Api-Key"), m.GetHeaders()[0].GetSealed()); err != nil || string(plain) != "k-123" {
			t.Errorf("the sealed header opens to %q, %v", plain, err)
		}

		// Send Test Webhook.
		var test struct {
			TestID          string   `json:"test_id"`
			EventID         string   `json:"event_id"`
			SubscriptionIDs []string `json:"subscription_ids"`
		}
		b.api("POST", "/test-webhook", "").want(t, http.StatusAccepted).into(t, &test)
		if len(test.SubscriptionIDs) != 1 || test.SubscriptionIDs[0] != s.ID {
			t.Errorf("the test is expected at %v", test.SubscriptionIDs)
		}
		tests := kafkatest.ReadAll(t, b.kafka, topic.CDRTest)
		if len(tests) != 1 || header(tests[0], "ce_type") != "App.TestWebhook" {
			t.Fatalf("the test topic has %d records", len(tests))
		}
		var payload map[string]string
		if err := json.Unmarshal(tests[0].Value, &payload); err != nil || payload["TestId"] != test.TestID || payload["Message"] == "" || payload["SentBy"] != "admin" || payload["SentAtUtc"] == "" || len(payload) != 4 {
			t.Errorf("the test's payload is %s, %v", tests[0].Value, err)
		}
		b.api("POST", "/subscriptions/"+s.ID+"/test", "").want(t, http.StatusAccepted)
		if tests = kafkatest.ReadAll(t, b.kafka, topic.CDRTest); header(tests[1], "aftercall-target") != s.ID {
			t.Error("the test for one subscription does not name it")
		}
		// One that is named gets it without having the event, if it is active.
		for active, expected := range map[string]int{"true": 1, "false": 0} {
			var other struct{ ID string }
			b.api("POST", "/subscriptions", `{"name":"Menu","endpoint":"https://receiver.example/ivr","active":`+active+`,"events":["App.IvrWebhook"]}`).want(t, http.StatusCreated).into(t, &other)
			test.SubscriptionIDs = nil
			b.api("POST", "/subscriptions/"+other.ID+"/test", "").want(t, http.StatusAccepted).into(t, &test)
			if len(test.SubscriptionIDs) != expected || expected == 1 && test.SubscriptionIDs[0] != other.ID {
				t.Errorf("the test of one that is active (%s) is expected at %v", active, test.SubscriptionIDs)
			}
			b.api("DELETE", "/subscriptions/"+other.ID, "", "If-Match", "*").want(t, http.StatusNoContent)
		}

		// See the attempt, resend it.
		const cdr = `{"CallId":"c-1","CallerName":"Megan Bowen","CallerNumber":"+14255550100"}`
		eventID, deliveryID, attemptID := b.happened(s.ID, "c-1", cdr)
		for path, member := range map[string]string{
			"/attempts?subscription=" + s.ID + "&event_type=App.QueueWebhook&call=c-1&result=failed&state=waiting&status=5xx&error=status&cause=call_ended&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z": attemptID,
			"/attempts?status=503": attemptID, "/attempts?delivery=" + deliveryID: attemptID, "/deliveries?state=waiting": deliveryID,
			"/events?call=c-1": eventID, "/calls/c-1": attemptID, "/attempts/" + attemptID: "receiver.example", "/deliveries/" + deliveryID: eventID, "/stats": s.ID,
		} {
			if a := b.api("GET", path, "").want(t, http.StatusOK); !strings.Contains(a.body, member) {
				t.Errorf("%s answers %s", path, a.body)
			}
		}
		for _, path := range []string{"/attempts?status=404", "/attempts?result=delivered", "/attempts?call=other", "/attempts?to=2020-01-01T00:00:00Z"} {
			if a := b.api("GET", path, "").want(t, http.StatusOK); a.body != `{"items":[],"next_cursor":""}`+"\n" {
				t.Errorf("%s answers %s", path, a.body)
			}
		}
		event := b.api("GET", "/events/"+eventID, "").want(t, http.StatusOK)
		if strings.Contains(event.body, "Megan") || !strings.Contains(event.body, `"CallId":"c-1"`) {
			t.Errorf("personal data is not masked: %s", event.body)
		}
		if a := b.api("GET", "/events/"+eventID+"?reveal=true", "").want(t, http.StatusOK); !strings.Contains(a.body, "Megan") {
			t.Errorf("revealing answers %s", a.body)
		}
		if entries, _, err := b.db.Audit(context.Background(), store.AuditQuery{Action: "payload.revealed", Object: eventID}); err != nil || len(entries) != 1 || entries[0].Actor != "admin" || entries[0].Kind != "token" {
			t.Errorf("the audit log says %v, %v", entries, err)
		}

		var first, second struct {
			DeliveryID string `json:"delivery_id"`
			RequestID  string `json:"request_id"`
		}
		a := b.api("POST", "/attempts/"+attemptID+"/resend", "", "Idempotency-Key", "once").want(t, http.StatusAccepted)
		a.into(t, &first)
		b.api("POST", "/deliveries/"+deliveryID+"/resend", "", "Idempotency-Key", "once").want(t, http.StatusAccepted).into(t, &second)
		if first != second || first.RequestID != "once" || a.header.Get("Location") != "/api/v1/deliveries/"+first.DeliveryID {
			t.Errorf("the same key resends twice: %v, %v", first, second)
		}
		sent := kafkatest.ReadAll(t, b.kafka, topic.Deliveries)
		if len(sent) != 1 {
			t.Fatalf("there are %d deliveries, want 1", len(sent))
		}
		d, err := record.OpenAs[*aftercallv1.Delivery](sent[0])
		if err != nil {
			t.Fatal(err)
		}
		if d.GetDeliveryId() != first.DeliveryID || d.GetCause() != aftercallv1.Cause_CAUSE_RESEND || !d.GetSingleTry() || d.GetAttempt() != 1 || string(d.GetPayload()) != cdr ||
			d.GetEventId() != eventID || d.GetRequestId() != "once" || d.GetPosition().GetOffset() != 7 || d.GetSubscriptionsOffset() < 1 || string(sent[0].Key) != record.ShardKey(d, 8) {
			t.Errorf("the delivery is %v, key %s", d, sent[0].Key)
		}
		if a := b.api("GET", "/deliveries/"+first.DeliveryID, "").want(t, http.StatusOK); !strings.Contains(a.body, `"state":"queued"`) || !strings.Contains(a.body, `"requested_by":"admin"`) {
			t.Errorf("the resent delivery is %s", a.body)
		}

		// Switch it off: nothing can be resent, nothing is expected at it.
		changed := b.api("PATCH", "/subscriptions/"+s.ID, `{"active":false}`, "If-Match", `"1"`).want(t, http.StatusOK)
		if b.last(s.ID).GetActive() || b.last(s.ID).GetVersion() != 2 || changed.header.Get("ETag") != `"2"` {
			t.Errorf("the change is %s", changed.body)
		}
		b.api("POST", "/attempts/"+attemptID+"/resend", "").wantProblem(t, http.StatusConflict, "subscription_inactive", "")
		b.api("DELETE", "/subscriptions/"+s.ID, "", "If-Match", `"2"`).want(t, http.StatusNoContent)
		if m := b.last(s.ID); !m.GetDeleted() || m.GetVersion() != 3 {
			t.Errorf("the deletion is %v", m)
		}
		b.api("GET", "/subscriptions/"+s.ID, "").wantProblem(t, http.StatusNotFound, "not_found", "")
		b.api("POST", "/attempts/"+attemptID+"/resend", "").wantProblem(t, http.StatusConflict, "subscription_deleted", "")
	})
}

// Ten clients press at once, or one of them ten times: one delivery.
func TestTheSameKeyAtTheSameMomentResendsOnce(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	_, deliveryID, _ := b.happened(id, "c-1", `{"CallId":"c-1"}`)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if a := b.api("POST", "/deliveries/"+deliveryID+"/resend", "", "Idempotency-Key", "k"); a.status != http.StatusAccepted {
				t.Errorf("the answer is %s", a.body)
			}
		})
	}
	all.Wait()
	if n := len(kafkatest.ReadAll(t, b.kafka, topic.Deliveries)); n != 1 {
		t.Errorf("there are %d records, want 1", n)
	}
	b.api("POST", "/deliveries/"+deliveryID+"/resend", "", "Idempotency-Key", "with space").wantProblem(t, http.StatusBadRequest, "invalid", "Idempotency-Key")
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestAChangeNeedsTheVersionItIsBasedOn(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, etag := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
		whole := `{"endpoint":"https://receiver.example/new","events":["App.IvrWebhook"]}`
		b.api("PATCH", "/subscriptions/"+id, `{"active":false}`).wantProblem(t, http.StatusPreconditionRequired, "if_match_required", "")
		b.api("PUT", "/subscriptions/"+id, whole).wantProblem(t, http.StatusPreconditionRequired, "if_match_required", "")
		b.api("DELETE", "/subscriptions/"+id, "").wantProblem(t, http.StatusPreconditionRequired, "if_match_required", "")
		for _, stale := range []string{`"7"`, `"x"`, `0`} {
			b.api("PATCH", "/subscriptions/"+id, `{"active":false}`, "If-Match", stale).wantProblem(t, http.StatusPreconditionFailed, "version_stale", "")
			b.api("PUT", "/subscriptions/"+id, whole, "If-Match", stale).wantProblem(t, http.StatusPreconditionFailed, "version_stale", "")
			b.api("DELETE", "/subscriptions/"+id, "", "If-Match", stale).wantProblem(t, http.StatusPreconditionFailed, "version_stale", "")
		}
		b.api("PUT", "/subscriptions/"+id, whole, "If-Match", etag).want(t, http.StatusOK)
		b.api("PUT", "/subscriptions/"+id, whole, "If-Match", etag).wantProblem(t, http.StatusPreconditionFailed, "version_stale", "")
		b.api("PATCH", "/subscriptions/"+id, `{"active":false}`, "If-Match", "*").want(t, http.StatusOK)
		b.api("DELETE", "/subscriptions/"+id, "", "If-Match", "*").want(t, http.StatusNoContent)
		b.api("DELETE", "/subscriptions/"+id, "", "If-Match", "*").wantProblem(t, http.StatusNotFound, "not_found", "")
	})
}

func TestAPatchMerges(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"description":"old","timeout":"5s","headers":[{"name":"X-Key","value":"v1"},{"name":"X-Open","value":"o","secret":false}]}`)
	sealed := b.last(id).GetHeaders()[0].GetSealed()
	a := b.api("PATCH", "/subscriptions/"+id, `{"description":null,"timeout":null,"name":"n","headers":[{"name":"x-key","value":"[unchanged]"}]}`, "If-Match", "*", "Content-Type", "application/merge-patch+json").want(t, http.StatusOK)
	m := b.last(id)
	if m.GetDescription() != "" || m.GetTimeout().AsDuration() != 15*time.Second || m.GetName() != "n" || len(m.GetEvents()) != 1 || len(m.GetHeaders()) != 1 {
		t.Errorf("the patched subscription is %s", a.body)
	}
	if plain, err := b.deps.Keyset.Unseal(id, secret.HeaderField("X-Key"), m.GetHeaders()[0].GetSealed()); err != nil || string(plain) != "v1" || string(sealed) != string(m.GetHeaders()[0].GetSealed()) {
		t.Errorf("[unchanged] kept %q, %v", plain, err)
	}
	for _, c := range []struct{ patch, code, pointer string }{
		{`{"nme":"x"}`, "unknown_field", "/nme"},
		{`{"headers":[{"nme":"x"}]}`, "unknown_field", ""},
		{`{"active":"yes"}`, "invalid", "/active"},
		{`{"events":[]}`, "required", "/events"},
		{`{"signing_secret":"whsec_x"}`, "invalid", "/signing_secret"},
		{`{"paused_until":"2026-01-01T00:00:00Z"}`, "invalid", "/paused_until"},
		{`{"abp_secret":"whs_0123456789abcdef"}`, "invalid", "/abp_secret"},
		{`{"headers":[{"name":"X-Key","value":"[unchanged]","secret":false}]}`, "invalid", "/headers/0/value"},
		{`{"headers":[{"name":"X-New","value":"[unchanged]"}]}`, "invalid", "/headers/0/value"},
	} {
		b.api("PATCH", "/subscriptions/"+id, c.patch, "If-Match", "*").wantProblem(t, http.StatusUnprocessableEntity, c.code, c.pointer)
	}
	for _, body := range []string{`[]`, `null`, `{`, `"x"`} {
		if a := b.api("PATCH", "/subscriptions/"+id, body, "If-Match", "*"); a.status != http.StatusBadRequest && a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s answers %s", body, a.body)
		}
	}
}

func TestACreationNamesWhatIsWrongWithWhichField(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	const ok = `"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]`
	for _, c := range []struct{ body, code, pointer string }{
		{`{"endpoint":"ftp://x","events":["App.QueueWebhook"]}`, "scheme_not_allowed", "/endpoint"},
		{`{"endpoint":"http://receiver.example/","events":["App.QueueWebhook"]}`, "scheme_not_allowed", "/endpoint"},
		{`{"endpoint":"https://private.example/","events":["App.QueueWebhook"]}`, "address_denied", "/endpoint"},
		{`{"endpoint":"https://metadata.example/","events":["App.QueueWebhook"]}`, "address_denied", "/endpoint"},
		{`{"endpoint":"https://[::ffff:10.0.0.1]/","events":["App.QueueWebhook"]}`, "address_denied", "/endpoint"},
		{`{"endpoint":"https://169.254.169.254/","events":["App.QueueWebhook"]}`, "address_denied", "/endpoint"},
		{`{"endpoint":"https://nowhere.example/","events":["App.QueueWebhook"]}`, "host_unknown", "/endpoint"},
		{`{"endpoint":"https://receiver.example/"}`, "invalid", ""},
		{`{"endpoint":"https://receiver.example/","events":[]}`, "required", "/events"},
		{`{"endpoint":"https://receiver.example/","events":["App.Other"]}`, "unknown_event_type", "/events/0"},
		{`{` + ok + `,"bogus":1}`, "unknown_field", "/bogus"},
		{`{` + ok + `,"paused_until":"x"}`, "invalid", "/paused_until"},
		{`{` + ok + `,"format":"xml"}`, "unknown_format", "/format"},
		{`{` + ok + `,"format":"abp","abp_secret":"short"}`, "invalid_secret", "/abp_secret"},
		{`{` + ok + `,"abp_secret":"whs_0123456789abcdef0123456789abcdef"}`, "invalid", "/abp_secret"},
		{`{` + ok + `,"filter":"cdr.QueueName = \"Sales\""}`, "invalid_filter", "/filter"},
		{`{` + ok + `,"filter":"cdr.TalkTime"}`, "invalid_filter", "/filter"},
		{`{` + ok + `,"rate_limit":-1}`, "out_of_range", "/rate_limit"},
		{`{` + ok + `,"schedule":"2h"}`, "unknown_schedule", "/schedule"},
		{`{` + ok + `,"timeout":"1m"}`, "out_of_range", "/timeout"},
		{`{` + ok + `,"timeout":"soon"}`, "invalid", "/timeout"},
		{`{` + ok + `,"max_concurrency":9999}`, "out_of_range", "/max_concurrency"},
		{`{` + ok + `,"signing_secret":"abc"}`, "invalid_secret", "/signing_secret"},
		{`{` + ok + `,"headers":[{"name":"Host","value":"x"}]}`, "reserved_header", "/headers/0/name"},
		{`{` + ok + `,"headers":[{"name":"webhook-id","value":"x"}]}`, "reserved_header", "/headers/0/name"},
		{`{` + ok + `,"headers":[{"name":"A","value":"x\r\ny"}]}`, "invalid_header_value", "/headers/0/value"},
		{`{` + ok + `,"headers":[{"name":"A","value":"x"},{"name":"a","value":"y"}]}`, "duplicate_header", "/headers/1/name"},
		{`{` + ok + `,"active":"yes"}`, "invalid", "/active"},
	} {
		a := b.api("POST", "/subscriptions", c.body)
		a.wantProblem(t, http.StatusUnprocessableEntity, c.code, c.pointer)
	}
	a := b.api("POST", "/subscriptions", `{"endpoint":"https://private.example/","events":["App.QueueWebhook"]}`)
	if !strings.Contains(a.body, "AFTERCALL_ALLOW_ADDRESSES=") {
		t.Errorf("the refusal does not say how to allow it: %s", a.body)
	}
	// A name server that is away is no reason to refuse.
	b.subscribe(`{"endpoint":"https://slow.example/","events":["App.QueueWebhook"]}`)
}

func TestAnEndpointThatStaysMayBeUnreachable(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	delete(b.names, "receiver.example")
	b.api("PATCH", "/subscriptions/"+id, `{"active":false}`, "If-Match", "*").want(t, http.StatusOK)
}

func TestCheckAsksWithHeadAndNeverPosts(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	methods := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods <- r.Method
		w.WriteHeader(http.StatusMethodNotAllowed)
	}))
	defer receiver.Close()
	id, _ := b.subscribe(`{"endpoint":"` + receiver.URL + `/hook","events":["App.QueueWebhook"]}`)
	a := b.api("POST", "/subscriptions/"+id+"/check", "").want(t, http.StatusOK)
	if !strings.Contains(a.body, `"ok":true`) || !strings.Contains(a.body, `"status":405`) {
		t.Errorf("the check answers %s", a.body)
	}
	if m := <-methods; m != http.MethodHead || len(methods) != 0 {
		t.Errorf("the check asked with %s and %d more", m, len(methods))
	}
}

func TestForgedCursorsAndLimitsAreRefused(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	for i := range 3 {
		b.happened(id, fmt.Sprint("c-", i), fmt.Sprintf(`{"CallId":"c-%d"}`, i))
	}
	for _, list := range []string{"/attempts", "/deliveries", "/events", "/rejected"} {
		for _, cursor := range []string{"x", "AAAA", "eyJ0IjoxfQ", "%27%20or%201=1"} {
			b.api("GET", list+"?cursor="+cursor, "").wantProblem(t, http.StatusBadRequest, "cursor_invalid", "cursor")
		}
		for _, limit := range []string{"0", "-1", "1001", "x"} {
			b.api("GET", list+"?limit="+limit, "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "limit")
		}
		b.api("GET", list+"?bogus=1", "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "bogus")
	}
	b.api("GET", "/attempts?status=abc", "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "status")
	b.api("GET", "/attempts?from=yesterday", "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "from")

	seen := map[string]bool{}
	cursor := ""
	for range 4 {
		var page struct {
			Items []struct {
				ID string `json:"attempt_id"`
			}
			Next string `json:"next_cursor"`
		}
		b.api("GET", "/attempts?limit=1&cursor="+cursor, "").want(t, http.StatusOK).into(t, &page)
		for _, item := range page.Items {
			if seen[item.ID] {
				t.Errorf("%s comes twice", item.ID)
			}
			seen[item.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 3 || cursor != "" {
		t.Errorf("the pages hold %d attempts, next %q", len(seen), cursor)
	}
}

func TestALargeBodyIsRefused(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	b.api("POST", "/subscriptions", `{"description":"`+strings.Repeat("x", 300<<10)+`"}`).wantProblem(t, http.StatusRequestEntityTooLarge, "too_large", "")
	br := b.signIn()
	a := br.post("/webhooks/new", map[string][]string{"description": {strings.Repeat("x", 300<<10)}})
	if a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("the form answers %d", a.status)
	}
}

// A secret goes in and never comes out: not in an answer, not in a page, not in
// a problem, not in the log.
func TestSecretsAreNeverEchoed(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		const canary = "canary-7f3a9"
		var answers []answer
		note := func(a answer) answer { answers = append(answers, a); return a }
		br := b.signIn()
		id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook","App.TestWebhook"],"signing_secret":"whsec_` + "Y2FuYXJ5LTdmM2E5LWNhbmFyeS03ZjNhOS1jYW5hcnk=" + `","headers":[{"name":"X-Key","value":"` + canary + `"}]}`)
		_, deliveryID, attemptID := b.happened(id, "c-1", `{"CallId":"c-1"}`)
		for _, body := range []string{
			`{"endpoint":"nonsense","events":[],"headers":[{"name":"bad name","value":"` + canary + `"}],"signing_secret":"` + canary + `"}`,
			`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"headers":[{"name":"X","value":"` + canary + `\n"}]}`,
			`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"headers":"` + canary + `"}`,
			`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"signing_secret":["` + canary + `"]}`,
			`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"headers":[{"name":"X","value":{"a":"` + canary + `"}}]}`,
			`{"headers":[{"name":"X","value":"` + canary, // cut off
			`{"endpoint":"https://u:` + canary + `@receiver.example/","events":["App.QueueWebhook"]}`,
		} {
			note(b.api("POST", "/subscriptions", body))
			note(b.api("PUT", "/subscriptions/"+id, body, "If-Match", "*"))
			note(b.api("PATCH", "/subscriptions/"+id, body, "If-Match", "*"))
		}
		note(b.api("PATCH", "/subscriptions/"+id, `{"headers":[{"name":"X-Key","value":"`+canary+`"},{"name":"Authorization","value":"Bearer `+canary+`"}]}`, "If-Match", "*")).want(t, http.StatusOK)
		for _, path := range []string{"/subscriptions", "/subscriptions/" + id, "/attempts", "/attempts/" + attemptID, "/deliveries/" + deliveryID, "/calls/c-1", "/tokens", "/stats"} {
			note(b.api("GET", path, "")).want(t, http.StatusOK)
		}
		note(b.api("POST", "/test-webhook", ""))
		form := func(extra ...string) map[string][]string {
			f := map[string][]string{"do": {"save"}, "endpoint": {"bad"}, "events": {"App.QueueWebhook"}, "version": {"2"}, "header.0.name": {"X-Key"}, "header.0.value": {canary}, "header.0.secret": {"1"}, "signing_secret": {canary}}
			for i := 0; i+1 < len(extra); i += 2 {
				f[extra[i]] = []string{extra[i+1]}
			}
			return f
		}
		note(br.post("/webhooks/new", form()))
		note(br.post("/webhooks/new", form("do", "add-header")))
		note(br.post("/webhooks/new", form("do", "check")))
		note(br.post("/webhooks/"+id+"/edit", form()))
		for _, path := range pagesOf(id, deliveryID, attemptID) {
			note(br.get(path))
		}
		for _, a := range answers {
			if strings.Contains(a.body, canary) || strings.Contains(a.body, "Y2FuYXJ5") {
				t.Errorf("an answer (%d) repeats a secret: %s", a.status, a.body)
			}
		}
		for _, r := range kafkatest.ReadAll(t, b.kafka, topic.Subscriptions, topic.CDRTest, topic.Deliveries) {
			if strings.Contains(string(r.Value), canary) {
				t.Errorf("a record of %s holds a secret in plain", r.Topic)
			}
		}
		if log := b.log.String(); strings.Contains(log, canary) || strings.Contains(log, b.token) || strings.Contains(log, "Y2FuYXJ5") {
			t.Errorf("the log holds a secret: %s", log)
		}
	})
}

func TestABroughtSigningSecretIsNotAnswered(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	a := b.api("POST", "/subscriptions", `{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"signing_secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}`).want(t, http.StatusCreated)
	if strings.Contains(a.body, "signing_secret") {
		t.Errorf("the answer is %s", a.body)
	}
}

// Kafka away: an edit is saved and says so, a test or resend is refused.
func TestWithoutKafkaEditsAreSavedAndTestsAreRefused(t *testing.T) {
	b := setup(t, storetest.SQLite(t), func(_ *admin.Config, d *admin.Deps) { d.Patience = 3 * time.Second })
	// Saved, and not published yet, when the machine is busy.
	var s struct{ ID string }
	b.api("POST", "/subscriptions", `{"endpoint":"https://receiver.example/","events":["App.QueueWebhook","App.TestWebhook"]}`).into(t, &s)
	id := s.ID
	b.broker.Close()
	a := b.api("PATCH", "/subscriptions/"+id, `{"name":"later"}`, "If-Match", "*").want(t, http.StatusAccepted)
	if !strings.Contains(a.body, `"published":false`) || !strings.Contains(a.body, `"version":2`) {
		t.Errorf("the answer is %s", a.body)
	}
	b.api("POST", "/test-webhook", "").wantProblem(t, http.StatusServiceUnavailable, "kafka_unavailable", "")
	row, err := b.db.Subscription(context.Background(), id)
	if err != nil || row.Name != "later" {
		t.Errorf("the row is %v, %v", row, err)
	}
}

// A body that arrives slower than its time is cut off, not waited for.
func TestASlowBodyIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the five seconds that a body may take")
	}
	b := setup(t, storetest.SQLite(t))
	r, w := io.Pipe()
	defer w.Close()
	req, err := http.NewRequest(http.MethodPost, b.server.URL+"/api/v1/subscriptions", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/json")
	go func() { _, _ = w.Write([]byte(`{"endpoint":`)) }()
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("the answer is %d", resp.StatusCode)
		}
	}
}
