package route_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

// known are subscriptions as of an offset.
type known struct {
	*subscription.Index
	byID   map[string]*subscription.Subscription
	offset int64
}

func (k known) Get(id string) (*subscription.Subscription, bool) { s, ok := k.byID[id]; return s, ok }
func (k known) Offset() int64                                    { return k.offset }

func routerWith(subscriptions ...*subscription.Subscription) *route.Router {
	k := known{Index: subscription.NewIndex(), byID: map[string]*subscription.Subscription{}, offset: int64(len(subscriptions))}
	for _, s := range subscriptions {
		s.Version = 1
		k.Put(s)
		k.byID[s.ID] = s
	}
	return &route.Router{Subscriptions: k, Sources: topic.Sources, MaxBytes: kafka.DefaultMaxRecordBytes}
}

func wanting(id string, active bool, types ...string) *subscription.Subscription {
	return &subscription.Subscription{ID: id, Active: active, Events: types}
}

func never(string) *route.First { return nil }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func in(topicName, value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topicName, Partition: 3, Offset: 42, Value: []byte(value), Timestamp: now.Add(-time.Minute)}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

func TestTheSameInputGivesTheSameOutcome(t *testing.T) {
	r := routerWith(wanting("a", true, topic.TypeQueue), wanting("b", false, topic.TypeQueue))
	records := func() (out []string) {
		for _, rec := range r.Route(in(topic.CDRQueue, `{"CallId":"1"}`), never, now).Records(now) {
			out = append(out, fmt.Sprintf("%s %s %x", rec.Topic, rec.Key, rec.Value))
		}
		return out
	}
	if a, b := records(), records(); len(a) != 2 || strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Errorf("first  %v\nsecond %v", a, b)
	}
}

func TestInternalRecordsCarryTheTimeOfRouting(t *testing.T) {
	r := routerWith(wanting("a", true, topic.TypeQueue))
	for _, rec := range r.Route(in(topic.CDRQueue, `{"CallId":"1"}`), never, now).Records(now) {
		if !rec.Timestamp.Equal(now) {
			t.Errorf("%s has timestamp %s", rec.Topic, rec.Timestamp)
		}
	}
}

func TestARepeatHasNoDeliveriesUnlessNobodyWantedItBefore(t *testing.T) {
	earlier := &aftercallv1.Position{Topic: topic.CDRQueue, Partition: 3, Offset: 7}
	for _, c := range []struct {
		name       string
		router     *route.Router
		delivered  bool
		repeat     bool
		deliveries int
	}{
		{"wanted before", routerWith(wanting("a", true, topic.TypeQueue)), true, true, 0},
		{"wanted only now", routerWith(wanting("a", true, topic.TypeQueue)), false, false, 1},
		{"wanted never", routerWith(), false, true, 0},
		{"wanted by one that is off", routerWith(wanting("a", false, topic.TypeQueue)), false, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.router.Route(in(topic.CDRQueue, `{"CallId":"1"}`), func(string) *route.First {
				return &route.First{Position: earlier, Delivered: c.delivered}
			}, now)
			if (o.Event.GetDuplicateOf() != nil) != c.repeat || len(o.Deliveries) != c.deliveries {
				t.Errorf("duplicate of %v, %d deliveries", o.Event.GetDuplicateOf(), len(o.Deliveries))
			}
		})
	}
}

func TestTheTestTopicTakesEveryType(t *testing.T) {
	r := routerWith(wanting("a", true, topic.TypeTest), wanting("b", true, topic.TypeQueue))
	for eventType, want := range map[string]string{topic.TypeTest: "a", topic.TypeQueue: "b"} {
		o := r.Route(in(topic.CDRTest, `{"CallId":"sample-1"}`, cdr.HeaderType, eventType), never, now)
		if len(o.Deliveries) != 1 || o.Deliveries[0].GetSubscriptionId() != want || o.Event.GetCause() != aftercallv1.Cause_CAUSE_TEST {
			t.Errorf("%s: %v", eventType, o)
		}
	}
}

func TestATestForAnUnknownSubscriptionGoesNowhere(t *testing.T) {
	o := routerWith(wanting("a", true, topic.TypeTest)).Route(in(topic.CDRTest, `{}`, cdr.HeaderType, topic.TypeTest, cdr.HeaderTarget, "gone"), never, now)
	if o.Event == nil || len(o.Deliveries) != 0 {
		t.Errorf("outcome is %v", o)
	}
}

func filtering(id, text string, types ...string) *subscription.Subscription {
	s := wanting(id, true, types...)
	s.Filter = text
	return s
}

// decisions are the outcomes by subscription.
func decisions(o route.Outcome) map[string]aftercallv1.Decision_Outcome {
	out := map[string]aftercallv1.Decision_Outcome{}
	for _, d := range o.Event.GetDecisions() {
		out[d.GetSubscriptionId()] = d.GetOutcome()
	}
	return out
}

func TestAFilterDecidesAndItsDecisionStandsInTheEvent(t *testing.T) {
	off := filtering("off", `cdr.QueueName == "Support"`, topic.TypeQueue)
	off.Active = false
	r := routerWith(
		wanting("all", true, topic.TypeQueue),
		filtering("yes", `cdr.QueueName == "Sales" && cdr.TalkTime > 60`, topic.TypeQueue),
		filtering("no", `cdr.QueueName == "Support"`, topic.TypeQueue),
		filtering("error", `cdr.AgentName.startsWith("A")`, topic.TypeQueue),
		filtering("future", `cdr.QueueName.fromANewerVersion()`, topic.TypeQueue),
		filtering("envelope", `event.type == "App.QueueWebhook" && event.call_id == "1" && event.ou_path == "Root/Sales" && event.source == "pbx" && event.tenant == "acme" && event.scenario_id == "s" && event.parent_id == "p"`, topic.TypeQueue),
		filtering("other", `cdr.QueueName == "Sales"`, topic.TypeAgent),
		off,
	)
	o := r.Route(in(topic.CDRQueue, `{"CallId":1,"ScenarioId":"s","ParentId":"p","QueueName":"Sales","TalkTime":"61","OUPath":"Root/Sales"}`,
		cdr.HeaderSource, "pbx", cdr.HeaderTenant, "acme"), never, now)
	want := map[string]aftercallv1.Decision_Outcome{
		"all": aftercallv1.Decision_OUTCOME_MATCHED, "yes": aftercallv1.Decision_OUTCOME_MATCHED, "envelope": aftercallv1.Decision_OUTCOME_MATCHED,
		"no": aftercallv1.Decision_OUTCOME_FILTER_FALSE, "error": aftercallv1.Decision_OUTCOME_FILTER_ERROR,
		"future": aftercallv1.Decision_OUTCOME_FILTER_ERROR, "off": aftercallv1.Decision_OUTCOME_INACTIVE,
	}
	got := decisions(o)
	if len(got) != len(want) {
		t.Errorf("decisions are %v", got)
	}
	for id, outcome := range want {
		if got[id] != outcome {
			t.Errorf("%s: %v, want %v", id, got[id], outcome)
		}
	}
	if len(o.Deliveries) != 3 || len(o.Records(now)) != 4 {
		t.Errorf("%d deliveries", len(o.Deliveries))
	}
	for _, d := range o.Event.GetDecisions() {
		failed := d.GetOutcome() == aftercallv1.Decision_OUTCOME_FILTER_ERROR
		if failed != (d.GetDetail() != "") || strings.Contains(d.GetDetail(), "Sales") {
			t.Errorf("%s: %v, detail %q", d.GetSubscriptionId(), d.GetOutcome(), d.GetDetail())
		}
		if (d.GetDeliveryId() != "") != (d.GetOutcome() == aftercallv1.Decision_OUTCOME_MATCHED) {
			t.Errorf("%s: delivery %q", d.GetSubscriptionId(), d.GetDeliveryId())
		}
	}
}

func TestATestWebhookPassesEveryFilter(t *testing.T) {
	r := routerWith(filtering("a", `cdr.QueueName == "Sales"`, topic.TypeTest, topic.TypeQueue))
	for name, headers := range map[string][]string{
		"to all": {cdr.HeaderType, topic.TypeTest},
		"to one": {cdr.HeaderType, topic.TypeQueue, cdr.HeaderTarget, "a"},
	} {
		if o := r.Route(in(topic.CDRTest, `{"CallId":"1"}`, headers...), never, now); len(o.Deliveries) != 1 {
			t.Errorf("%s: %v", name, decisions(o))
		}
	}
	// A sample that goes the way of a call is filtered as a call is.
	if o := r.Route(in(topic.CDRTest, `{"CallId":"1"}`, cdr.HeaderType, topic.TypeQueue), never, now); len(o.Deliveries) != 0 {
		t.Errorf("sample: %v", decisions(o))
	}
}

func TestTheLimitOnMatchesCountsThoseThatFiltersLetThrough(t *testing.T) {
	var subscriptions []*subscription.Subscription
	for i := range 2*route.MaxMatches + 2 {
		subscriptions = append(subscriptions, filtering(fmt.Sprintf("sub_%05d", i), fmt.Sprintf("cdr.Number == %d", i%2), topic.TypeQueue))
	}
	r := routerWith(subscriptions...)
	if o := r.Route(in(topic.CDRQueue, `{"CallId":"1","Number":1}`), never, now); o.Rejection.GetCode() != cdr.CodeTooManyMatches {
		t.Errorf("%d deliveries", len(o.Deliveries))
	}
	o := routerWith(subscriptions[2:]...).Route(in(topic.CDRQueue, `{"CallId":"1","Number":1}`), never, now)
	if len(o.Deliveries) != route.MaxMatches {
		t.Errorf("%d deliveries, %v", len(o.Deliveries), o.Rejection)
	}
}

// The largest outcomes must fit into what their topics allow.
func TestTheLargestEventFitsItsTopic(t *testing.T) {
	var subscriptions []*subscription.Subscription
	for i := range 4000 {
		s := wanting(fmt.Sprintf("sub_0123456789abcdef0123456789_%04d", i), i < route.MaxMatches || i%2 == 0, topic.TypeQueue)
		if i >= route.MaxMatches {
			s.Filter = "no such filter: " + strings.Repeat("x", 400)
		}
		subscriptions = append(subscriptions, s)
	}
	callID := strings.Repeat("é", cdr.MaxCallID)
	value := fmt.Sprintf(`{"CallId":%q,"ScenarioId":%q,"ParentId":%q,"X":%q}`, callID, callID, callID, strings.Repeat("x", kafka.DefaultMaxRecordBytes-2000))
	long := strings.Repeat("h", cdr.MaxHeader)
	o := routerWith(subscriptions...).Route(in(topic.CDRQueue, value, cdr.HeaderID, long, cdr.HeaderSource, long), never, now)
	if o.Event == nil || len(o.Deliveries) != route.MaxMatches {
		t.Fatalf("rejected: %v, %d deliveries", o.Rejection, len(o.Deliveries))
	}
	limit := kafka.Config{}.RecordCap() - 1024 // batch header and keys
	for _, m := range []proto.Message{o.Event, o.Deliveries[0]} {
		if n := proto.Size(m); n > limit {
			t.Errorf("%T has %d bytes, its topic allows %d", m, n, limit)
		}
	}
}

// FuzzRoute holds that any record on a CDR topic becomes exactly one of the two,
// and one that can be written.
func FuzzRoute(f *testing.F) {
	f.Add([]byte(`{"CallId":"1"}`), "ce_type", []byte("App.QueueWebhook"))
	f.Add([]byte(`{"CallId":"\ud800","OrganizationUnitPath":"\udfff"}`), "ce_source", []byte("\xff"))
	f.Add([]byte(`null`), record.Header, []byte("event/1"))
	r := routerWith(wanting("a", true, topic.TypeQueue))
	f.Fuzz(func(t *testing.T, value []byte, key string, header []byte) {
		rec := &kgo.Record{Topic: topic.CDRQueue, Value: value, Timestamp: now, Headers: []kgo.RecordHeader{{Key: key, Value: header}}}
		o := r.Route(rec, never, now)
		if (o.Event == nil) == (o.Rejection == nil) {
			t.Fatalf("outcome is %v", o)
		}
		for _, out := range o.Records(now) {
			if _, err := record.Open(out); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// sample is a CDR of ordinary size.
var sample = `{"CallId":"0d9b7a6e-5f2b-4c1e-9b59-2f6d9a7c1e44","ScenarioId":"7a1c2b3d-0000-4444-8888-123456789abc","ParentId":null,"QueueName":"Support",` +
	`"CallerNumber":"+4912345678","StartTime":"2026-01-01T10:00:00Z","EndTime":"2026-01-01T10:05:00Z","OrganizationUnitPath":"Root/Sales/North","Notes":"` + strings.Repeat("lorem ipsum ", 80) + `"}`

func BenchmarkRoute(b *testing.B) {
	for _, fanOut := range []int{1, 10} {
		b.Run(fmt.Sprintf("fan-out=%d", fanOut), func(b *testing.B) {
			var subscriptions []*subscription.Subscription
			for i := range fanOut {
				subscriptions = append(subscriptions, wanting(fmt.Sprintf("sub_%d", i), true, topic.TypeQueue))
			}
			benchmark(b, routerWith(subscriptions...))
		})
	}
	for _, filters := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("filters=%d, fan-out=1", filters), func(b *testing.B) {
			subscriptions := []*subscription.Subscription{filtering("all", `cdr.QueueName == "Support"`, topic.TypeQueue)}
			for i := range filters - 1 {
				subscriptions = append(subscriptions, filtering(fmt.Sprintf("sub_%d", i), `cdr.QueueName == "Sales" && cdr.TalkTime > 60`, topic.TypeQueue))
			}
			benchmark(b, routerWith(subscriptions...))
		})
	}
	b.Run("10k subscriptions, fan-out=1", func(b *testing.B) {
		subscriptions := []*subscription.Subscription{wanting("all", true, topic.TypeQueue)}
		for i := range 10_000 {
			s := wanting(fmt.Sprintf("sub_%d", i), true, topic.TypeQueue)
			s.OUScope = fmt.Sprintf("Root/Unit-%d", i)
			subscriptions = append(subscriptions, s)
		}
		benchmark(b, routerWith(subscriptions...))
	})
}

// benchmark measures all of the router's own work for one CDR: decode, match,
// and the records, marshalled.
func benchmark(b *testing.B, r *route.Router) {
	rec := in(topic.CDRQueue, sample)
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		if len(r.Route(rec, never, now).Records(now)) < 2 {
			b.Fatal("no delivery")
		}
	}
}
