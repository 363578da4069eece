package system_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/system"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

var at = time.Date(2026, 3, 2, 10, 12, 0, 0, time.UTC)

func crm() *subscription.Subscription {
	return &subscription.Subscription{
		ID: "sub_crm", Version: 4, Tenant: "default", Name: "CRM", Endpoint: "https://crm.contoso.example/hook/s3cret?token=s3cret",
		Headers: []subscription.Header{{Name: "X-Key", Value: "s3cret"}}, DisabledReason: system.ReasonFailing,
	}
}

func all() []*kgo.Record {
	s := crm()
	return []*kgo.Record{
		system.Failing(s, "status 503", at.Add(30*time.Second), at),
		system.Recovered(s, at),
		system.Disabled(s, at),
		system.GivenUp{Subscription: s, SubscriptionID: s.ID, Tenant: s.Tenant, Reason: "exhausted", DeliveryID: "dlv_1", EventID: "evt_1",
			EventType: topic.TypeQueue, CallID: "c1", Cause: "call_ended", Attempts: 13, Status: 503, At: at}.Record(),
	}
}

func decode(t *testing.T, r *kgo.Record) *cdr.CDR {
	t.Helper()
	in := cdr.Input{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	for _, h := range r.Headers {
		in.Headers = append(in.Headers, cdr.Header{Key: h.Key, Value: h.Value})
	}
	c, err := cdr.Decode(in)
	if err != nil {
		t.Fatalf("%s: %v", r.Value, err)
	}
	return c
}

func TestEachIsACDRWithThePropertiesOfItsSchemaAndNoSecret(t *testing.T) {
	for _, r := range all() {
		c := decode(t, r)
		if !topic.IsSystem(c.Type) || len(c.Warnings) != 0 || !c.OccurredAt.Equal(at) || c.Source != system.Source {
			t.Errorf("%s decodes to %+v", r.Value, c)
		}
		if system.Subject(r.Value) != "sub_crm" || string(r.Key) != "sub_crm" || r.Topic != topic.CDRSystem {
			t.Errorf("%s is about %q, keyed %q in %s", c.Type, system.Subject(r.Value), r.Key, r.Topic)
		}
		if strings.Contains(string(r.Value), "s3cret") || strings.Contains(string(r.Value), "/hook") {
			t.Errorf("%s holds more than the host: %s", c.Type, r.Value)
		}
		d := json.NewDecoder(strings.NewReader(string(r.Value)))
		d.Token()
		var got []string
		for d.More() {
			name, _ := d.Token()
			got = append(got, name.(string))
			var v any
			if err := d.Decode(&v); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for _, p := range cdrschema.Properties(c.Type) {
			want = append(want, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nits schema\n%s", c.Type, got, want)
		}
	}
}

func TestTheSameNewsIsOneEvent(t *testing.T) {
	id := func(r *kgo.Record) string { return decode(t, r).EventID }
	first, s := all(), crm()
	for i, r := range all() {
		if id(r) != id(first[i]) {
			t.Errorf("record %d told twice is two events", i)
		}
	}
	// Another sender sees it two minutes later, in other words.
	if id(system.Failing(s, "timeout", at.Add(time.Hour), at.Add(2*time.Minute))) != id(first[0]) {
		t.Error("a second sender's news is another event")
	}
	if id(system.Failing(s, "status 503", at, at.Add(system.Window))) == id(first[0]) {
		t.Error("the next outage is the same event")
	}
	s.Version++
	if id(system.Disabled(s, at)) == id(first[2]) || id(system.Failing(s, "status 503", at, at)) == id(first[0]) {
		t.Error("a later version's news is the same event")
	}
}

func TestADeliveryOfAWebhookThatIsNoMoreIsToldToo(t *testing.T) {
	r := system.GivenUp{SubscriptionID: "sub_old", DeliveryID: "dlv_1", EventID: "evt_1", EventType: topic.TypeQueue, At: at}.Record()
	if c := decode(t, r); len(c.Warnings) != 0 || c.CallID != "" || system.Subject(r.Value) != "sub_old" {
		t.Errorf("%s decodes to %+v", r.Value, c)
	}
}

func TestWhatIsNoSystemEventIsAboutNobody(t *testing.T) {
	for _, v := range []string{``, `[]`, `{}`, `{"SubscriptionId":7}`} {
		if got := system.Subject([]byte(v)); got != "" {
			t.Errorf("%s is about %q", v, got)
		}
	}
}
