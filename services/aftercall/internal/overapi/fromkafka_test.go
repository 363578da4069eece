package overapi

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// told puts what router and sender would have written about a call into Kafka:
// CRM got it at the second try, BI waits, Old was given up, New is not tried yet;
// IVR did not want it.
func told(t *testing.T, c kafka.Config) {
	t.Helper()
	now := time.Now()
	event := func(id, callID, scenario, parent string, decisions ...*aftercallv1.Decision) *aftercallv1.Event {
		return &aftercallv1.Event{EventId: id, EventType: topic.TypeQueue, CallId: callID, ScenarioId: scenario, ParentId: parent, Payload: []byte(`{"CallerNumber":"canary"}`),
			OccurredAt: timestamppb.New(now.Add(-time.Minute)), RoutedAt: timestamppb.New(now), Position: &aftercallv1.Position{Topic: topic.CDRQueue, Partition: 3, Offset: 42},
			Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Decisions: decisions}
	}
	matched := func(sub, delivery string) *aftercallv1.Decision {
		return &aftercallv1.Decision{SubscriptionId: sub, Outcome: aftercallv1.Decision_OUTCOME_MATCHED, DeliveryId: delivery}
	}
	delivery := func(id, event, sub string, n int32) *aftercallv1.Delivery {
		return &aftercallv1.Delivery{DeliveryId: id, EventId: event, SubscriptionId: sub, Attempt: n, Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, WaitReason: "failed", Payload: []byte("canary")}
	}
	attempt := func(id, delivery string, n int32, result aftercallv1.Attempt_Result, status int32, state aftercallv1.DeliveryState) *aftercallv1.Attempt {
		return &aftercallv1.Attempt{AttemptId: id, DeliveryId: delivery, Attempt: n, AttemptsAllowed: 8, Result: result, HttpStatus: status, State: state, StartedAt: timestamppb.New(now.Add(time.Duration(n) * time.Second)),
			Timings: &aftercallv1.Timings{Total: durationpb.New(84 * time.Millisecond)}, ResponseBody: []byte("canary")}
	}
	for _, name := range []string{"crm", "bi", "old", "new", "ivr"} {
		events := []string{topic.TypeQueue}
		if name == "ivr" {
			events = []string{topic.TypeIvr}
		}
		kafkatest.Produce(t, c, record.New(topic.Subscriptions, "sub_"+name, &aftercallv1.Subscription{Id: "sub_" + name, Version: 1, Name: strings.ToUpper(name), Active: true, Events: events}, now))
	}
	for _, e := range []*aftercallv1.Event{
		event("evt_0", "c0", "s0", ""),
		// Known by its scenario alone, and read before what leads to it.
		event("evt_2", "c2", "s1", "c9"),
		event("evt_1", "c1", "s1", "", matched("sub_crm", "dlv_crm"), matched("sub_bi", "dlv_bi"), matched("sub_old", "dlv_old"), matched("sub_new", "dlv_new")),
	} {
		kafkatest.Produce(t, c, record.New(topic.Events, e.GetEventId(), e, now))
	}
	for _, sub := range []string{"crm", "bi", "old", "new"} {
		kafkatest.Produce(t, c, record.New(topic.Deliveries, "sub_"+sub+"/0", delivery("dlv_"+sub, "evt_1", "sub_"+sub, 1), now))
	}
	kafkatest.Produce(t, c, record.New(topic.Deliveries, "sub_crm/0", delivery("dlv_0", "evt_0", "sub_crm", 1), now))
	const failed, taken = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_RESULT_DELIVERED
	for _, a := range []*aftercallv1.Attempt{
		attempt("att_0", "dlv_0", 1, taken, 200, aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED),
		attempt("att_1", "dlv_crm", 1, failed, 503, aftercallv1.DeliveryState_DELIVERY_STATE_WAITING),
		attempt("att_2", "dlv_crm", 2, taken, 200, aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED),
		attempt("att_3", "dlv_old", 8, failed, 500, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP),
	} {
		kafkatest.Produce(t, c, record.New(topic.History, a.GetDeliveryId(), a, now))
	}
	// Put off once more since the history told of it: the delay topic knows until when.
	off := &aftercallv1.Deferral{DeliveryId: "dlv_bi", EventId: "evt_1", SubscriptionId: "sub_bi", Attempt: 1, Deferrals: 1, Reason: "breaker",
		At: timestamppb.New(now.Add(-2 * time.Minute)), Until: timestamppb.New(now.Add(-time.Minute))}
	kafkatest.Produce(t, c, record.New(topic.History, "dlv_bi", off, now))
	again := delivery("dlv_bi", "evt_1", "sub_bi", 2)
	again.Deferrals = 3
	kafkatest.Produce(t, c, record.New(topic.TierFor(12*time.Hour).Topic, "sub_bi/0", again, now))
	kafkatest.Produce(t, c, record.New(topic.GivenUp, "sub_old/0", delivery("dlv_old", "evt_1", "sub_old", 9), now))
}

func TestACallIsExplainedFromKafkaAloneWhenTheAPIIsAway(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		told(t, c)
		t.Setenv("AFTERCALL_API", "http://127.0.0.1:1")
		t.Setenv("AFTERCALL_TOKEN", "aft_canary")
		t.Setenv("AFTERCALL_BROKERS", "")
		if _, err := run(t, ExplainCommand(), "c1"); err == nil || !strings.Contains(err.Error(), "--api") {
			t.Errorf("without a broker: %v", err)
		}
		out, err := run(t, ExplainCommand(), "c1", "--brokers", strings.Join(c.Brokers, ","))
		if err != nil || strings.Contains(out, "canary") {
			t.Fatalf("%v %s", err, out)
		}
		said, text, _ := strings.Cut(out, "\n")
		if !strings.Contains(said, "Asking Kafka alone") {
			t.Errorf("it does not say where the answer is from: %s", said)
		}
		var all call
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var got []string
		for _, e := range all.Events {
			got = append(got, e.ID)
		}
		for _, d := range all.Deliveries {
			got = append(got, d.Name+" "+d.State)
		}
		for _, a := range all.Attempts {
			got = append(got, a.ID)
		}
		slices.Sort(got)
		if want := []string{"BI waiting", "CRM delivered", "NEW queued", "OLD given_up", "att_1", "att_2", "att_3", "evt_1", "evt_2"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		// The same by a key of its scenario, and for people.
		found, hooks, err := fromKafka(t.Context(), c, "s1", time.Now().Add(-time.Hour), func(string, int64, int64) {})
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if err := found.explain(&page, hooks); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"aftercall.cdr.queue/3@42", "CRM: delivered after 2 of 8", "BI: waiting with no attempt on record, next try", ", put off 3 times since ", "OLD: given_up", "IVR: not sent: it does not have the event"} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("%q is missing in\n%s", want, page.String())
			}
		}
		if _, err := run(t, ExplainCommand(), "c77", "--kafka", "--brokers", c.Brokers[0]); err == nil || !strings.Contains(err.Error(), "--since") {
			t.Errorf("an unknown call: %v", err)
		}
		if found, _, err := fromKafka(t.Context(), c, "c1", time.Now().Add(time.Hour), func(string, int64, int64) {}); err != nil || len(found.Events) != 0 {
			t.Errorf("what is older than --since is read: %v %v", found, err)
		}
	})
}

func TestARefusalOfTheAPIIsNoReasonToAskKafka(t *testing.T) {
	api(t, map[string]string{})
	t.Setenv("AFTERCALL_BROKERS", "127.0.0.1:1")
	if _, err := run(t, ExplainCommand(), "c1"); err == nil || !strings.Contains(err.Error(), "not_found") || strings.Contains(err.Error(), "did not answer") {
		t.Errorf("%v", err)
	}
}
