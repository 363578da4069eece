package admin_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const plainWebhook = `{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`

// audited is how often the audit log has this action on this object, by the
// token of the tests.
func (b *bundle) audited(action, object string) int {
	b.t.Helper()
	entries, _, err := b.db.Audit(context.Background(), store.AuditQuery{Action: action, Object: object, Actor: "admin"})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(entries)
}

// stops are the ids of the deliveries whose retries were stopped.
func (b *bundle) stops() []string {
	b.t.Helper()
	var ids []string
	for _, r := range kafkatest.ReadAll(b.t, b.kafka, topic.Subscriptions) {
		if record.Kind(r) != record.KindStopRetry {
			continue
		}
		m, err := record.OpenAs[*aftercallv1.StopRetry](r)
		if err != nil {
			b.t.Fatal(err)
		}
		if string(r.Key) != record.StopKey(m.GetDeliveryId()) || m.GetRequestedBy() != "admin" || time.Until(m.GetUntil().AsTime()) < 72*time.Hour {
			b.t.Errorf("the stop is %v under %s", m, r.Key)
		}
		ids = append(ids, m.GetDeliveryId())
	}
	return ids
}

func TestAPauseEndsByItselfOrByResume(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		a := b.api("POST", "/subscriptions/"+id+"/pause", `{"for":"30m"}`).want(t, http.StatusOK)
		until := b.last(id).GetPausedUntil().AsTime()
		if left := time.Until(until); left < 29*time.Minute || left > 30*time.Minute || !strings.Contains(a.body, `"paused_until":"`) || b.last(id).GetVersion() != 2 {
			t.Errorf("paused until %s: %s", until, a.body)
		}
		// An edit leaves a pause as it is.
		b.api("PATCH", "/subscriptions/"+id, `{"name":"n"}`, "If-Match", "*").want(t, http.StatusOK)
		if !b.last(id).GetPausedUntil().AsTime().Equal(until) {
			t.Error("an edit ends the pause")
		}
		b.api("POST", "/subscriptions/"+id+"/resume", "").want(t, http.StatusOK)
		if b.last(id).GetPausedUntil() != nil {
			t.Error("it is paused after resuming")
		}
		end := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
		b.api("POST", "/subscriptions/"+id+"/pause", `{"until":"`+end.Format(time.RFC3339)+`"}`).want(t, http.StatusOK)
		if got := b.last(id).GetPausedUntil().AsTime(); !got.Equal(end) {
			t.Errorf("paused until %s, want %s", got, end)
		}
		for body, pointer := range map[string]string{`{}`: "/for", `{"for":"soon"}`: "/for", `{"for":"-1m"}`: "/for", `{"for":"100h"}`: "/for", `{"until":"2020-01-01T00:00:00Z"}`: "/until", `{"for":"1m","until":"2100-01-01T00:00:00Z"}`: "/for"} {
			b.api("POST", "/subscriptions/"+id+"/pause", body).wantProblem(t, http.StatusUnprocessableEntity, "invalid", pointer)
		}
		if b.audited("subscription.paused", id) != 2 || b.audited("subscription.resumed", id) != 1 {
			t.Error("who paused and resumed is not kept")
		}
		b.api("POST", "/subscriptions/none/pause", `{"for":"1m"}`).wantProblem(t, http.StatusNotFound, "not_found", "")
	})
}

func TestARotatedSecretGoesOnSigningForADay(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		var made struct {
			ID     string
			Secret string `json:"signing_secret"`
		}
		b.api("POST", "/subscriptions", plainWebhook).want(t, http.StatusCreated).into(t, &made)
		open := func(field string, sealed []byte) string {
			t.Helper()
			plain, err := b.deps.Keyset.Unseal(made.ID, field, sealed)
			if err != nil {
				t.Fatal(err)
			}
			return string(plain)
		}
		first := made.Secret
		// Without it a request that is repeated would end the receiver's secret.
		b.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", "").wantProblem(t, http.StatusPreconditionRequired, "if_match_required", "")
		a := b.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", "", "If-Match", "*").want(t, http.StatusOK)
		a.into(t, &made)
		m := b.last(made.ID)
		if _, err := webhook.ParseSecret(made.Secret); err != nil || made.Secret == first || open(secret.FieldSecret, m.GetSealedSecret()) != made.Secret || open(secret.FieldPreviousSecret, m.GetSealedPreviousSecret()) != first {
			t.Errorf("the rotation answers %s, %v", a.body, err)
		}
		if left := time.Until(m.GetPreviousSecretUntil().AsTime()); left < 23*time.Hour || left > 24*time.Hour || !strings.Contains(a.body, "previous_secret_until") {
			t.Errorf("the previous one signs for %s more", left)
		}
		if strings.Contains(b.api("GET", "/subscriptions/"+made.ID, "").body, made.Secret) {
			t.Error("the secret is shown twice")
		}
		const brought = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		etag := a.header.Get("ETag")
		a = b.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", `{"signing_secret":"`+brought+`"}`, "If-Match", etag).want(t, http.StatusOK)
		if m = b.last(made.ID); open(secret.FieldSecret, m.GetSealedSecret()) != brought || open(secret.FieldPreviousSecret, m.GetSealedPreviousSecret()) != made.Secret || strings.Contains(a.body, "whsec_") {
			t.Errorf("a brought secret answers %s", a.body)
		}
		b.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", "", "If-Match", etag).wantProblem(t, http.StatusPreconditionFailed, "version_stale", "")
		b.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", `{"signing_secret":"`+brought+`"}`, "If-Match", "*").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "/signing_secret")
		b.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", `{"signing_secret":"whsec_x"}`, "If-Match", "*").wantProblem(t, http.StatusUnprocessableEntity, "invalid_secret", "/signing_secret")
		if b.audited("subscription.secret_rotated", made.ID) != 2 {
			t.Error("who rotated is not kept")
		}
	})
}

func TestTheAbpFormatHasASecretOfItsOwn(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	var made struct {
		ID        string
		AbpSecret string `json:"abp_secret"`
	}
	a := b.api("POST", "/subscriptions", `{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"format":"abp"}`).want(t, http.StatusCreated)
	a.into(t, &made)
	if plain, err := b.deps.Keyset.Unseal(made.ID, secret.FieldAbpSecret, b.last(made.ID).GetSealedAbpSecret()); err != nil || string(plain) != made.AbpSecret || webhook.CheckAbpSecret(made.AbpSecret) != nil {
		t.Errorf("the creation answers %s, sealed %q, %v", a.body, plain, err)
	}
	// Changing something else keeps it, bringing one replaces it.
	a = b.api("PATCH", "/subscriptions/"+made.ID, `{"name":"n"}`, "If-Match", "*").want(t, http.StatusOK)
	const brought = "whs_0123456789abcdef0123456789abcdef"
	b.api("PATCH", "/subscriptions/"+made.ID, `{"abp_secret":"`+brought+`"}`, "If-Match", "*").want(t, http.StatusOK)
	if plain, err := b.deps.Keyset.Unseal(made.ID, secret.FieldAbpSecret, b.last(made.ID).GetSealedAbpSecret()); err != nil || string(plain) != brought || strings.Contains(a.body, "whs_") {
		t.Errorf("the brought secret is %q, %v", plain, err)
	}
	for _, format := range []string{"standard", "cloudevents", "cdr"} {
		b.api("PATCH", "/subscriptions/"+made.ID, `{"format":"`+format+`","rate_limit":2.5}`, "If-Match", "*").want(t, http.StatusOK)
		if m := b.last(made.ID); m.GetFormat() != format || m.GetRateLimit() != 2.5 {
			t.Errorf("the published one is %v", m)
		}
	}
	if strings.Contains(b.log.String(), brought) || strings.Contains(b.log.String(), made.AbpSecret) {
		t.Error("the log holds a secret")
	}
}

func TestAFilterIsCheckedAndAskedAboutTheLastEvents(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"filter":"cdr.QueueName == \"Sales\""}`)
		if b.last(id).GetFilter() != `cdr.QueueName == "Sales"` {
			t.Errorf("published is %q", b.last(id).GetFilter())
		}
		p := b.api("POST", "/subscriptions", `{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"filter":"cdr.QueueName ==\n  Sales"}`).wantProblem(t, http.StatusUnprocessableEntity, "invalid_filter", "/filter")
		if !strings.Contains(p.Detail, "line 2, column 3") || !strings.Contains(p.Detail, "quotes") {
			t.Errorf("the message is %q", p.Detail)
		}
		for i, payload := range []string{`{"CallId":"1","QueueName":"Sales","TalkTime":10}`, `{"CallId":"2","QueueName":"Sales","TalkTime":90}`, `{"CallId":"3","QueueName":"Support","TalkTime":90}`, `{"CallId":"4"}`} {
			b.happened(id, string(rune('1'+i)), payload)
		}
		var got struct {
			Events, Matching, Errors int
			Now                      *int
			Error                    string
			Sample                   []struct {
				CallID string `json:"call_id"`
			}
		}
		b.api("POST", "/subscriptions/preview", `{"id":"`+id+`","events":["App.QueueWebhook"],"filter":"cdr.TalkTime > 60"}`).want(t, http.StatusOK).into(t, &got)
		if got.Events != 4 || got.Matching != 2 || got.Now == nil || *got.Now != 2 || got.Errors != 1 || !strings.Contains(got.Error, "has()") || len(got.Sample) != 2 {
			t.Errorf("the preview is %+v", got)
		}
		got.Now = nil
		b.api("POST", "/subscriptions/preview", `{"events":["App.AgentWebhook"]}`).want(t, http.StatusOK).into(t, &got)
		if got.Events != 4 || got.Matching != 0 || got.Now != nil {
			t.Errorf("the preview is %+v", got)
		}
		b.api("POST", "/subscriptions/preview", `{"events":["App.QueueWebhook"],"filter":"1"}`).wantProblem(t, http.StatusUnprocessableEntity, "invalid_filter", "/filter")
		b.api("POST", "/subscriptions/preview", `{"events":[]}`).wantProblem(t, http.StatusUnprocessableEntity, "required", "/events")
	})
}

func TestAResendCanBeANewEventAndEndTheRetry(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		eventID, deliveryID, attemptID := b.happened(id, "c-1", `{"CallId":"c-1"}`)
		var got struct {
			DeliveryID string `json:"delivery_id"`
			Stopped    string `json:"stopped_delivery_id"`
		}
		b.api("POST", "/attempts/"+attemptID+"/resend", `{"as_new_event":true,"stop_waiting":true}`, "Idempotency-Key", "k").want(t, http.StatusAccepted).into(t, &got)
		records := kafkatest.ReadAll(t, b.kafka, topic.Deliveries)
		if len(records) != 1 {
			t.Fatalf("there are %d deliveries", len(records))
		}
		d, err := record.OpenAs[*aftercallv1.Delivery](records[0])
		if err != nil || d.GetEventId() != eventID || d.GetWebhookId() == eventID || !strings.HasPrefix(d.GetWebhookId(), "evt_") || d.GetDeliveryId() != got.DeliveryID {
			t.Errorf("the delivery is %v, %v", d, err)
		}
		if stops := b.stops(); len(stops) != 1 || stops[0] != deliveryID || got.Stopped != deliveryID || b.audited("delivery.stopped", deliveryID) != 1 || b.audited("delivery.resent", got.DeliveryID) != 1 {
			t.Errorf("stopped are %v", stops)
		}
		b.api("POST", "/deliveries/"+deliveryID+"/resend", `{}`, "Idempotency-Key", "l").want(t, http.StatusAccepted)
		for _, r := range kafkatest.ReadAll(t, b.kafka, topic.Deliveries) {
			if d, err = record.OpenAs[*aftercallv1.Delivery](r); err != nil || (d.GetWebhookId() == "") != (d.GetRequestId() == "l") || len(b.stops()) != 1 {
				t.Errorf("without options the delivery is %v, %v", d, err)
			}
		}
	})
}

func TestRetriesStopOneByOneOrAllAtOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		_, deliveryID, _ := b.happened(id, "c-1", `{"CallId":"c-1"}`)
		b.api("POST", "/deliveries/"+deliveryID+"/stop", "").want(t, http.StatusAccepted)
		if stops := b.stops(); len(stops) != 1 || stops[0] != deliveryID || b.audited("delivery.stopped", deliveryID) != 1 {
			t.Errorf("stopped are %v", stops)
		}
		b.api("POST", "/deliveries/none/stop", "").wantProblem(t, http.StatusNotFound, "not_found", "")
		before := time.Now().Add(-time.Millisecond)
		b.api("POST", "/subscriptions/"+id+"/stop-waiting", "").want(t, http.StatusOK)
		if got := b.last(id).GetDiscardBefore().AsTime(); got.Before(before) || got.After(time.Now()) || b.audited("subscription.waiting_stopped", id) != 1 {
			t.Errorf("discarded is what came before %s", got)
		}
		// The publisher reads stops as what they are.
		b.api("PATCH", "/subscriptions/"+id, `{"name":"after"}`, "If-Match", "*").want(t, http.StatusOK)
		if strings.Contains(b.log.String(), "subscription.unreadable") {
			t.Error("the publisher cannot read a stop")
		}
	})
}
