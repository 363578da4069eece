package verify

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	start  = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
)

// planted is a run without a fault, to be spoilt: ten CDRs, two subscriptions,
// the second of which fails once for each.
type planted struct {
	Run
	offsets map[string]int64
}

func (p *planted) produce(name, key string, m proto.Message, at time.Time) {
	r := record.New(name, key, m, at)
	r.Offset = p.offsets[name]
	p.offsets[name]++
	p.Records = append(p.Records, r)
}

func run(t *testing.T) *planted {
	t.Helper()
	p := &planted{offsets: map[string]int64{}}
	p.Secrets = map[string][][]byte{"ok": {secret}, "flaky": {secret}}
	p.Wants = func(CDR) []string { return []string{"ok", "flaky"} }
	p.Store = &Store{}
	for i := range 10 {
		value := fmt.Appendf(nil, `{"CallId": "%d"}`, i)
		source := &aftercallv1.Position{Topic: topic.CDRQueue, Offset: int64(i)}
		p.Records = append(p.Records, &kgo.Record{Topic: topic.CDRQueue, Offset: int64(i), Value: value})
		p.Acknowledged = append(p.Acknowledged, CDR{topic.CDRQueue, 0, int64(i), value})
		e := &aftercallv1.Event{EventId: fmt.Sprint("evt_", i), EventType: topic.TypeQueue, CallId: fmt.Sprint(i), Position: source, Payload: value}
		for _, sub := range []string{"ok", "flaky"} {
			e.Decisions = append(e.Decisions, &aftercallv1.Decision{
				SubscriptionId: sub, Outcome: aftercallv1.Decision_OUTCOME_MATCHED, DeliveryId: cdr.DeliveryID(e.GetEventId(), sub, "call_ended", ""),
			})
		}
		p.produce(topic.Events, e.GetEventId(), e, start)
		p.Store.Events = append(p.Store.Events, store.Event{EventID: e.GetEventId()})
		for _, d := range e.GetDecisions() {
			p.deliver(e, d)
		}
	}
	p.Records = append(p.Records, &kgo.Record{Topic: topic.CDRQueue, Offset: 10, Value: []byte("x")})
	p.Acknowledged = append(p.Acknowledged, CDR{topic.CDRQueue, 0, 10, []byte("x")})
	p.produce(topic.Rejected, "k", &aftercallv1.Rejection{Position: &aftercallv1.Position{Topic: topic.CDRQueue, Offset: 10}, Code: "not_json"}, start)
	p.Store.Rejections = append(p.Store.Rejections, store.Rejection{Position: store.Position{Topic: topic.CDRQueue, Offset: 10}})
	p.Wants = func(c CDR) []string {
		if c.Offset == 10 {
			return nil
		}
		return []string{"ok", "flaky"}
	}
	return p
}

func (p *planted) deliver(e *aftercallv1.Event, decision *aftercallv1.Decision) {
	d := &aftercallv1.Delivery{
		DeliveryId: decision.GetDeliveryId(), EventId: e.GetEventId(), SubscriptionId: decision.GetSubscriptionId(), Attempt: 1,
		Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Payload: e.GetPayload(), FirstQueuedAt: timestamppb.New(start), Position: e.GetPosition(),
	}
	p.produce(topic.Deliveries, d.GetDeliveryId(), d, start)
	at := start.Add(time.Second)
	if d.GetSubscriptionId() == "flaky" {
		p.attempt(e, d, 503, at)
		d = proto.CloneOf(d)
		d.Attempt++
		p.produce(topic.Tiers[0].Topic, d.GetDeliveryId(), d, at)
		at = at.Add(5 * time.Second)
	}
	p.attempt(e, d, 200, at)
}

// attempt is seen by the receiver, recorded and projected.
func (p *planted) attempt(e *aftercallv1.Event, d *aftercallv1.Delivery, status int, at time.Time) {
	p.request(e, d, status, at)
	a := &aftercallv1.Attempt{
		AttemptId: fmt.Sprint("att_", len(p.Records)), DeliveryId: d.GetDeliveryId(), EventId: d.GetEventId(), SubscriptionId: d.GetSubscriptionId(),
		CallId: e.GetCallId(), Attempt: d.GetAttempt(), HttpStatus: int32(status), StartedAt: timestamppb.New(at),
		Result: aftercallv1.Attempt_RESULT_DELIVERED, State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED,
	}
	if status != 200 {
		a.Result, a.State = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
		a.NextAttemptAt = timestamppb.New(at.Add(5 * time.Second))
	}
	p.produce(topic.History, d.GetDeliveryId(), a, at)
	row := store.Attempt{
		AttemptID: a.GetAttemptId(), DeliveryID: a.GetDeliveryId(), EventID: a.GetEventId(), SubscriptionID: a.GetSubscriptionId(), CallID: a.GetCallId(),
		Attempt: a.GetAttempt(), Result: store.ResultWord(a.GetResult()), State: store.StateWord(a.GetState()), HTTPStatus: a.GetHttpStatus(),
	}
	p.Store.Attempts = append(p.Store.Attempts, row)
	p.Store.Deliveries = slices.DeleteFunc(p.Store.Deliveries, func(d store.Delivery) bool { return d.DeliveryID == row.DeliveryID })
	p.Store.Deliveries = append(p.Store.Deliveries, store.Delivery{DeliveryID: row.DeliveryID, State: row.State, Attempt: row.Attempt})
}

func (p *planted) request(e *aftercallv1.Event, d *aftercallv1.Delivery, status int, at time.Time) {
	m := webhook.Message{
		ID: e.GetEventId(), EventType: e.GetEventType(), DeliveryID: d.GetDeliveryId(), Attempt: int(d.GetAttempt()), Cause: "call_ended",
		ContentType: "application/json", Time: at, Body: e.GetPayload(), Secrets: [][]byte{secret},
	}
	h := http.Header{}
	for _, header := range m.Headers(nil) {
		h.Set(header.Name, header.Value)
	}
	p.Requests = append(p.Requests, listen.Entry{
		Time: at, WebhookID: m.ID, EventType: m.EventType, DeliveryID: m.DeliveryID, Attempt: strconv.Itoa(m.Attempt), Cause: m.Cause,
		Status: status, Headers: h, Body: e.GetPayload(),
	})
}

// ends are the commits of groups that have finished everything.
func (p *planted) ends() Commits {
	all := map[string]map[int32]int64{}
	for _, r := range p.Records {
		if all[r.Topic] == nil {
			all[r.Topic] = map[int32]int64{}
		}
		all[r.Topic][r.Partition] = max(all[r.Topic][r.Partition], r.Offset+1)
	}
	return Commits{topic.GroupRouter: all, topic.GroupSender: all, topic.GroupMover: all, topic.GroupProjector: all}
}

// drop removes the n-th record of a topic.
func (p *planted) drop(name string, n int) {
	at := p.index(name, n)
	p.Records = slices.Delete(p.Records, at, at+1)
}

func (p *planted) index(name string, n int) int {
	for i, r := range p.Records {
		if r.Topic == name {
			if n == 0 {
				return i
			}
			n--
		}
	}
	panic("no such record in " + name)
}

// change spoils the n-th record of a topic.
func change[M proto.Message](p *planted, name string, n int, spoil func(M)) {
	at := p.index(name, n)
	m, err := record.OpenAs[M](p.Records[at])
	if err != nil {
		panic(err)
	}
	spoil(m)
	old := p.Records[at]
	p.Records[at] = record.New(name, string(old.Key), m, old.Timestamp)
	p.Records[at].Offset = old.Offset
}

func TestARunWithoutAFaultPasses(t *testing.T) {
	p := run(t)
	report := Check(&p.Run)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	if want := "11 CDRs → 10 events (0 duplicates), 1 rejections; 20 deliveries: 20 delivered, 0 given up, 0 stopped, 0 waiting, 0 queued; 30 attempts, 0 deferrals; 30 requests, 0 repeated, 0 unrecorded"; report.String() != want {
		t.Errorf("got  %s\nwant %s", report, want)
	}
}

func TestEachPlantedFaultIsCaught(t *testing.T) {
	for _, tc := range []struct {
		fault     string
		invariant string
		plant     func(p *planted)
	}{
		{"an acknowledged CDR that is neither an event nor rejected", "I1", func(p *planted) { p.drop(topic.Rejected, 0) }},
		{"an acknowledged CDR that the broker lost", "I1", func(p *planted) { p.drop(topic.CDRQueue, 3) }},
		{"an event made of another payload", "I1", func(p *planted) {
			change(p, topic.Events, 2, func(e *aftercallv1.Event) { e.Payload = []byte(`{"CallId":"2"}`) })
		}},
		{"a CDR that became two events", "I1", func(p *planted) {
			p.Records = append(p.Records, p.Records[p.index(topic.Events, 0)])
		}},
		{"an event of no CDR", "I1", func(p *planted) {
			change(p, topic.Events, 2, func(e *aftercallv1.Event) { e.Position.Offset = 99 })
		}},
		{"a CDR both routed and rejected", "I1", func(p *planted) {
			change(p, topic.Rejected, 0, func(r *aftercallv1.Rejection) { r.Position.Offset = 1 })
		}},
		{"a delivery dropped by the router", "I2", func(p *planted) { p.drop(topic.Deliveries, 4) }},
		{"a match that the router did not make", "I2", func(p *planted) {
			change(p, topic.Events, 2, func(e *aftercallv1.Event) { e.Decisions = e.Decisions[:1] })
		}},
		{"an invented delivery", "I2", func(p *planted) {
			d := &aftercallv1.Delivery{DeliveryId: "dlv_invented", EventId: "evt_1", SubscriptionId: "ok", Attempt: 1}
			p.produce(topic.Deliveries, "k", d, start)
		}},
		{"a request of an invented delivery", "I2", func(p *planted) {
			p.Requests[4].DeliveryID = "dlv_invented"
		}},
		{"two delivery ids for one pair", "I2", func(p *planted) {
			change(p, topic.Events, 2, func(e *aftercallv1.Event) { e.Decisions[1].SubscriptionId = "ok" })
		}},
		{"a delivery that was never tried", "I3", func(p *planted) {
			p.drop(topic.History, 0)
			p.Requests = p.Requests[1:]
		}},
		{"a delivery that waits nowhere", "I3", func(p *planted) {
			p.drop(topic.Tiers[0].Topic, 0)
			p.drop(topic.History, 2)
		}},
		{"given up, and not kept", "I3", func(p *planted) {
			change(p, topic.History, 0, func(a *aftercallv1.Attempt) {
				a.Result, a.State, a.HttpStatus = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP, 500
			})
		}},
		{"delivered without a 2xx at the receiver", "I5", func(p *planted) { p.Requests[0].Status = 500 }},
		{"delivered without any request", "I5", func(p *planted) { p.Requests = p.Requests[1:] }},
		{"a missing row of history", "I5", func(p *planted) { p.drop(topic.History, 0) }},
		{"a 2xx that history calls failed", "I5", func(p *planted) {
			change(p, topic.History, 0, func(a *aftercallv1.Attempt) {
				a.Result, a.State = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
			})
		}},
		{"an attempt on record twice", "I5", func(p *planted) {
			change(p, topic.History, 0, func(a *aftercallv1.Attempt) {
				a.AttemptId = "att_again"
				p.produce(topic.History, "k", a, start)
			})
		}},
		{"a repeated request", "I6", func(p *planted) { p.Requests = append(p.Requests, p.Requests[0]) }},
		{"an attempt after it was taken", "I6", func(p *planted) {
			again := p.Requests[0]
			again.Attempt, again.Time = "2", again.Time.Add(time.Second)
			p.Requests = append(p.Requests, again)
		}},
		{"a wrong signature", "I7", func(p *planted) { p.Requests[7].Headers.Set(webhook.HeaderSignature, "v1,AAAA") }},
		{"a stale timestamp", "I7", func(p *planted) { p.Requests[7].Time = p.Requests[7].Time.Add(time.Hour) }},
		{"another webhook-id on the retry", "I7", func(p *planted) { p.Requests[2].WebhookID = "evt_9" }},
		{"another body", "I7", func(p *planted) { p.Requests[2].Body = []byte(`{}`) }},
		{"a retry before it is due", "I8", func(p *planted) { p.Requests[2].Time = p.Requests[2].Time.Add(-2 * time.Second) }},
		{"an attempt before it was due, with no receiver's log", "I8", func(p *planted) {
			p.Requests, p.Seen, p.Unseen = nil, nil, map[string]bool{"ok": true, "flaky": true}
			change(p, topic.History, 1, func(a *aftercallv1.Attempt) { a.NextAttemptAt = timestamppb.New(start.Add(time.Minute)) })
		}},
		{"a commit of senders past a delivery that was never tried", "I9", func(p *planted) {
			p.drop(topic.History, 0)
			p.Commits = p.ends()
		}},
		{"a commit of movers past what still waits", "I9", func(p *planted) {
			p.drop(topic.History, 2)
			p.Commits = p.ends()
		}},
		{"an attempt missing in the store", "I11", func(p *planted) { p.Store.Attempts = p.Store.Attempts[1:] }},
		{"an attempt too many in the store", "I11", func(p *planted) {
			p.Store.Attempts = append(p.Store.Attempts, store.Attempt{AttemptID: "att_x"})
		}},
		{"another result in the store", "I11", func(p *planted) { p.Store.Attempts[3].Result = store.ResultFailed }},
		{"a delivery missing in the store", "I11", func(p *planted) { p.Store.Deliveries = p.Store.Deliveries[1:] }},
		{"another state in the store", "I11", func(p *planted) { p.Store.Deliveries[0].State = store.StateQueued }},
		{"an invented delivery in the store", "I11", func(p *planted) {
			p.Store.Deliveries = append(p.Store.Deliveries, store.Delivery{DeliveryID: "dlv_x"})
		}},
		{"an event missing in the store", "I11", func(p *planted) { p.Store.Events = p.Store.Events[1:] }},
		{"a rejection missing in the store", "I11", func(p *planted) { p.Store.Rejections = nil }},
	} {
		t.Run(strings.ReplaceAll(tc.fault, " ", "_"), func(t *testing.T) {
			p := run(t)
			tc.plant(p)
			if report := Check(&p.Run); !report.Violates(tc.invariant) {
				t.Errorf("%s is not caught as %s: %v", tc.fault, tc.invariant, report.Err())
			}
		})
	}
}

func TestWhatNobodyHasFinishedIsOnItsWayAndNotLost(t *testing.T) {
	p := run(t)
	p.drop(topic.History, 0)
	p.Requests, p.Store, p.Running, p.Unseen = nil, nil, true, map[string]bool{"ok": true, "flaky": true}
	p.Commits = p.ends()
	// The first delivery is the sender's yet to finish.
	p.Commits[topic.GroupSender] = map[string]map[int32]int64{topic.Deliveries: {0: 0}}
	report := Check(&p.Run)
	if err := report.Err(); err != nil || report.Queued != 1 {
		t.Errorf("%d queued, %v", report.Queued, err)
	}
	p = run(t)
	p.drop(topic.History, 2)
	p.Requests, p.Store, p.Running, p.Unseen = nil, nil, true, map[string]bool{"ok": true, "flaky": true}
	p.Commits = p.ends()
	p.Commits[topic.GroupMover] = map[string]map[int32]int64{topic.Tiers[0].Topic: {0: 0}}
	report = Check(&p.Run)
	if err := report.Err(); err != nil || report.Waiting != 1 || !report.NextDue.Equal(start.Add(6*time.Second)) {
		t.Errorf("%d waiting, due %s, %v", report.Waiting, report.NextDue, err)
	}
}

func TestWhatAKilledSenderMayDoIsWithinItsBounds(t *testing.T) {
	p := run(t)
	// Taken, then killed before it was written down, then sent again.
	p.Requests = append(p.Requests, p.Requests[0])
	p.Repeats = 1
	if err := Check(&p.Run).Err(); err != nil {
		t.Errorf("a repeat within the bound: %v", err)
	}
	p = run(t)
	p.drop(topic.History, 0)
	p.Unrecorded, p.Running, p.Store = 1, true, nil
	if err := Check(&p.Run).Err(); err != nil {
		t.Errorf("a request that is not recorded yet: %v", err)
	}
}

func TestWhatIsSentAtOnceMayComeBeforeItIsDueFromThenOn(t *testing.T) {
	p := run(t)
	early := p.Requests[2].Time.Add(-2 * time.Second)
	p.Requests[2].Time = early
	p.SentNow = map[string]time.Time{"flaky": early}
	if err := Check(&p.Run).Err(); err != nil {
		t.Error(err)
	}
	p.SentNow["flaky"] = early.Add(time.Millisecond)
	if !Check(&p.Run).Violates("I8") {
		t.Error("an early attempt from before it was asked for passes")
	}
}

func TestATornTransactionOfAKilledBrokerIsTheSameEventTwice(t *testing.T) {
	p := run(t)
	p.Records = append(p.Records, p.Records[p.index(topic.Events, 0)], p.Records[p.index(topic.Deliveries, 0)])
	p.BrokerKilled = true
	if err := Check(&p.Run).Err(); err != nil {
		t.Error(err)
	}
	// The router may know it again, and then matches it no more.
	change(p, topic.Events, 10, func(e *aftercallv1.Event) { e.DuplicateOf, e.Decisions = e.GetPosition(), nil })
	if err := Check(&p.Run).Err(); err != nil {
		t.Error(err)
	}
	change(p, topic.Events, 10, func(e *aftercallv1.Event) { e.EventId = "evt_other" })
	if !Check(&p.Run).Violates("I1") {
		t.Error("another event of the same CDR passes")
	}
}

func TestTheFirstOffendersAreNamedAndAllAreCounted(t *testing.T) {
	p := run(t)
	for i := range p.Requests {
		p.Requests[i].Headers.Set(webhook.HeaderSignature, "v1,AAAA")
	}
	report := Check(&p.Run)
	if len(report.Violations) != 1 || report.Violations[0].Count != 30 || len(report.Violations[0].First) != kept {
		t.Fatalf("%v", report.Err())
	}
	if text := report.Err().Error(); !strings.Contains(text, "I7: a signature that does not verify: 30 (") || !strings.Contains(text, "…") {
		t.Errorf("%s", text)
	}
}

func TestACDRThatItsBrokerAcknowledgedTheSecondTimeWasMatchedTheFirst(t *testing.T) {
	p := run(t)
	value := p.Acknowledged[0].Value
	first, again := &aftercallv1.Position{Topic: topic.CDRQueue}, &aftercallv1.Position{Topic: topic.CDRQueue, Offset: 11}
	p.Records = append(p.Records, &kgo.Record{Topic: topic.CDRQueue, Offset: 11, Value: value})
	p.Acknowledged[0] = CDR{topic.CDRQueue, 0, 11, value}
	p.produce(topic.Events, "evt_0", &aftercallv1.Event{EventId: "evt_0", EventType: topic.TypeQueue, CallId: "0", Position: again, Payload: value, DuplicateOf: first}, start)
	if err := Check(&p.Run).Err(); err != nil {
		t.Error(err)
	}
	// And when nobody was matched, it is missed all the same.
	p.Wants = func(CDR) []string { return []string{"ok", "flaky", "third"} }
	if err := Check(&p.Run).Err(); err == nil || !strings.Contains(err.Error(), topic.CDRQueue+"/0@11, third") {
		t.Errorf("a webhook that did not get it: %v", err)
	}
}
