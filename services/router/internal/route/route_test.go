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

// The largest outcomes must fit into what their topics allow.
func TestTheLargestEventFitsItsTopic(t *testing.T) {
	var subscriptions []*subscription.Subscription
	for i := range 4000 {
		subscriptions = append(subscriptions, wanting(fmt.Sprintf("sub_0123456789abcdef0123456789_%04d", i), i < route.MaxMatches, topic.TypeQueue))
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
