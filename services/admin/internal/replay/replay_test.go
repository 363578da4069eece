// What is real here: the store (SQLite), the Kafka protocol (the embedded
// broker), the runner. What is not: router, sender and projector; their records
// are projected by the tests. A kill is a runner whose store and clients stop
// answering at once, so that nothing after that moment is saved.
package replay_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
)

var (
	background = context.Background()
	ada        = store.Actor{Name: "ada", Kind: "session"}
)

type offset int64

func (o offset) Offset() int64 { return int64(o) }

type bench struct {
	t      *testing.T
	db     *store.DB
	broker *kafkatest.Broker
	client *kgo.Client
	start  time.Time
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, db: storetest.SQLite(t), broker: kafkatest.Start(t), start: time.Now().UTC().Add(-time.Hour).Truncate(time.Second)}
	b.client = kafkatest.Client(t, b.broker.Config(), b.broker.Config().Producer()...)
	return b
}

func (b *bench) service(rows replay.Rows) *replay.Service {
	return replay.New(rows, b.client, offset(17), "/", zap.NewNop())
}

// run runs a runner until the end of the test, or until stop.
func (b *bench) run(s *replay.Service) (stop func()) {
	ctx, cancel := context.WithCancel(background)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	stop = func() { cancel(); <-ended }
	b.t.Cleanup(stop)
	return stop
}

func (b *bench) subscribe(id string, change func(*subscription.Subscription)) {
	b.t.Helper()
	s := &subscription.Subscription{ID: id, Version: 1, Tenant: "default", Name: id, Endpoint: "https://example.com/hook", Active: true, Events: []string{topic.TypeQueue},
		Format: subscription.FormatCDR, Timeout: 15 * time.Second, MaxConcurrency: 8, Schedule: "72h", CreatedAt: b.start, UpdatedAt: b.start}
	if change != nil {
		change(s)
	}
	if err := b.db.CreateSubscription(background, s, ada); err != nil {
		b.t.Fatal(err)
	}
}

type what struct {
	state  aftercallv1.DeliveryState
	cause  aftercallv1.Cause
	ouPath string
}

const (
	queued    = aftercallv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED
	waiting   = aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
	delivered = aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED
	givenUp   = aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP
	stopped   = aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED
)

// happened projects one event, and what became of it for a webhook.
func (b *bench) happened(batch *store.Batch, n int, subscriptionID string, w what) string {
	at := b.start.Add(time.Duration(n) * time.Millisecond)
	payload := fmt.Sprintf(`{"CallId":"c-%d","TalkTime":%d}`, n, n)
	eventID := cdr.EventID("default", "", topic.TypeQueue, "", fmt.Sprintf("c-%d", n), []byte(payload))
	cause := w.cause
	if cause == 0 {
		cause = aftercallv1.Cause_CAUSE_CALL_ENDED
	}
	e := &aftercallv1.Event{EventId: eventID, Tenant: "default", EventType: topic.TypeQueue, CallId: fmt.Sprintf("c-%d", n), OuPath: w.ouPath, OccurredAt: timestamppb.New(at), RoutedAt: timestamppb.New(at),
		Position: &aftercallv1.Position{Topic: topic.CDRQueue, Offset: int64(n)}, Payload: []byte(payload), Cause: cause}
	batch.Events = append(batch.Events, e)
	if subscriptionID == "" {
		return eventID
	}
	id := cdr.DeliveryID(eventID, subscriptionID, store.CauseWord(cause), "")
	e.Decisions = []*aftercallv1.Decision{{SubscriptionId: subscriptionID, SubscriptionVersion: 1, Outcome: aftercallv1.Decision_OUTCOME_MATCHED, DeliveryId: id}}
	if w.state == queued {
		return eventID
	}
	batch.Attempts = append(batch.Attempts, &store.AttemptAt{Attempt: &aftercallv1.Attempt{AttemptId: "att_" + id, DeliveryId: id, EventId: eventID, SubscriptionId: subscriptionID, EventType: topic.TypeQueue,
		Cause: cause, Attempt: 1, StartedAt: timestamppb.New(at), Result: aftercallv1.Attempt_RESULT_FAILED, State: w.state, FirstQueuedAt: timestamppb.New(at)},
		Record: &aftercallv1.Position{Topic: topic.History, Offset: int64(n)}, StoredAt: at})
	return eventID
}

func (b *bench) project(batch *store.Batch) {
	b.t.Helper()
	if _, err := b.db.Project(background, batch); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) plan(s *replay.Service, q replay.Request) *store.Replay {
	b.t.Helper()
	if q.From.IsZero() {
		q.From = b.start.Add(-time.Minute)
	}
	r, err := s.Plan(background, q, ada)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) read(id string) *store.Replay {
	b.t.Helper()
	r, err := b.db.Replay(background, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// deliveries are the records on the topic, by delivery id.
func (b *bench) deliveries() (byID map[string]*aftercallv1.Delivery, records int) {
	b.t.Helper()
	byID = map[string]*aftercallv1.Delivery{}
	for _, r := range kafkatest.ReadAll(b.t, b.broker.Config(), topic.Deliveries) {
		d, err := record.OpenAs[*aftercallv1.Delivery](r)
		if err != nil {
			b.t.Fatal(err)
		}
		if want := record.ShardKey(d, 8); string(r.Key) != want {
			b.t.Errorf("%s has the key %s, want %s", d.GetDeliveryId(), r.Key, want)
		}
		byID[d.GetDeliveryId()] = d
		records++
	}
	return byID, records
}

func TestAPlanCountsAndSendsNothing(t *testing.T) {
	b := setup(t)
	b.subscribe("sub_a", nil)
	b.subscribe("sub_off", func(s *subscription.Subscription) { s.Active = false })
	batch := &store.Batch{}
	for n, state := range []aftercallv1.DeliveryState{givenUp, stopped, waiting, delivered, queued, givenUp} {
		b.happened(batch, n, "sub_a", what{state: state})
	}
	b.happened(batch, 10, "sub_off", what{state: stopped})
	b.happened(batch, 11, "sub_gone", what{state: stopped})
	b.happened(batch, 12, "sub_a", what{state: givenUp, cause: aftercallv1.Cause_CAUSE_TEST})
	again := b.happened(batch, 13, "sub_a", what{state: givenUp})
	back := b.happened(batch, 14, "sub_a", what{state: givenUp})
	for event, state := range map[string]aftercallv1.DeliveryState{again: givenUp, back: delivered} {
		id := cdr.DeliveryID(event, "sub_a", "resend", "r")
		batch.Attempts = append(batch.Attempts, &store.AttemptAt{Attempt: &aftercallv1.Attempt{AttemptId: "att_" + id, DeliveryId: id, EventId: event, SubscriptionId: "sub_a",
			Cause: aftercallv1.Cause_CAUSE_RESEND, Attempt: 1, StartedAt: timestamppb.New(b.start.Add(time.Minute)), FirstQueuedAt: timestamppb.New(b.start.Add(time.Minute)), Result: aftercallv1.Attempt_RESULT_FAILED, State: state}, StoredAt: b.start})
	}
	b.project(batch)

	s := b.service(b.db)
	for name, c := range map[string]struct {
		ask  replay.Request
		want string
	}{
		"all":           {replay.Request{Mode: "recover"}, "[{sub_a 4 map[delivered:1]} {sub_gone 0 map[deleted:1]} {sub_off 0 map[inactive:1]}]"},
		"one state":     {replay.Request{Mode: "recover", States: []string{"stopped"}, Subscriptions: []string{"sub_a"}}, "[{sub_a 1 map[]}]"},
		"another span":  {replay.Request{Mode: "recover", From: b.start.Add(5 * time.Millisecond), To: b.start.Add(6 * time.Millisecond)}, "[{sub_a 1 map[]}]"},
		"matched again": {replay.Request{Mode: "backfill", Subscriptions: []string{"sub_a"}, To: b.start.Add(6 * time.Millisecond)}, "[{sub_a 3 map[delivered:1 waiting:2]}]"},
	} {
		r := b.plan(s, c.ask)
		if got := fmt.Sprint(r.Plan); got != c.want || r.State != store.ReplayPlanned {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if _, n := b.deliveries(); n != 0 {
		t.Errorf("%d records", n)
	}
	for name, q := range map[string]replay.Request{
		"mode": {Mode: "all", From: b.start}, "from": {Mode: "recover"}, "span": {Mode: "recover", From: time.Now().Add(time.Hour)},
		"state": {Mode: "recover", From: b.start, States: []string{"waiting"}}, "webhook": {Mode: "recover", From: b.start, Subscriptions: []string{"none"}},
	} {
		var p *problem.Problem
		if _, err := s.Plan(background, q, ada); !errors.As(err, &p) || p.Status != 422 {
			t.Errorf("%s answered %v", name, err)
		}
	}
}

func TestABackfillMatchesAgainWithTheWebhookAsItIsNow(t *testing.T) {
	b := setup(t)
	b.subscribe("sub_new", func(s *subscription.Subscription) { s.OUScope, s.Filter = "Root/Sales", "cdr.TalkTime > 2" })
	batch := &store.Batch{}
	var want string
	for n := range 6 {
		path := "Root/Sales/North"
		if n == 5 {
			path = "Root/Support"
		}
		id := b.happened(batch, n, "", what{ouPath: path})
		if n == 3 {
			want = id
		}
	}
	b.project(batch)
	s := b.service(b.db)
	b.run(s)
	r := b.plan(s, replay.Request{Mode: "backfill", To: b.start.Add(4 * time.Millisecond)})
	if r.Total != 1 {
		t.Fatalf("planned are %+v", r.Plan)
	}
	b.finish(s, r.ID)
	got, _ := b.deliveries()
	d := got[cdr.DeliveryID(want, "sub_new", "replay", r.ID)]
	if len(got) != 1 || d.GetCause() != aftercallv1.Cause_CAUSE_REPLAY || d.GetRequestId() != r.ID || d.GetAttempt() != 1 || d.GetDeferrals() != 0 || d.GetSingleTry() || d.GetSubscriptionsOffset() != 17 ||
		string(d.GetPayload()) != `{"CallId":"c-3","TalkTime":3}` || time.Since(d.GetFirstQueuedAt().AsTime()) > time.Minute {
		t.Errorf("produced were %v", got)
	}
	row, err := b.db.Delivery(background, d.GetDeliveryId())
	if err != nil || row.State != store.StateQueued || row.RequestedBy != "ada" || row.RequestID != r.ID {
		t.Errorf("its row is %+v, %v", row, err)
	}
}

func (b *bench) finish(s *replay.Service, id string) *store.Replay {
	b.t.Helper()
	if _, err := s.Start(background, id, replay.MaxRate, ada); err != nil {
		b.t.Fatal(err)
	}
	kafkatest.WaitWithin(b.t, 5*time.Minute, "the end of the replay", func() bool { return b.read(id).State == store.ReplayDone })
	return b.read(id)
}

func TestWhatExpiredIsSkippedWithThatReason(t *testing.T) {
	b := setup(t)
	b.subscribe("sub_a", nil)
	batch := &store.Batch{}
	b.happened(batch, 1, "sub_a", what{state: givenUp})
	b.project(batch)
	s := b.service(b.db)
	b.run(s)
	r := b.plan(s, replay.Request{Mode: "recover"})
	if err := b.db.ExpirePayloads(background, time.Now()); err != nil {
		t.Fatal(err)
	}
	if r := b.finish(s, r.ID); r.Sent != 0 || r.Skipped != 1 || r.SkippedFor[replay.SkipExpired] != 1 {
		t.Errorf("it ended as %+v", r)
	}
}

// killed stops answering when told to: what comes after is never saved.
type killed struct {
	*store.DB
	after    int32
	projects atomic.Int32
	saves    atomic.Int32
	dead     chan struct{}
	rows     bool
}

var errKilled = errors.New("killed")

func (k *killed) die() error {
	select {
	case <-k.dead:
	default:
		close(k.dead)
	}
	return errKilled
}

func (k *killed) Project(ctx context.Context, b *store.Batch) (store.Projected, error) {
	if k.projects.Add(1) > k.after && !k.rows || k.saves.Load() >= k.after {
		return store.Projected{}, k.die()
	}
	return k.DB.Project(ctx, b)
}

func (k *killed) SaveReplay(ctx context.Context, before, after *store.Replay) error {
	if k.saves.Add(1) >= k.after {
		return k.die()
	}
	return k.DB.SaveReplay(ctx, before, after)
}

// Killed after the acknowledgements, before the rows, and after the rows, before
// the cursor.
func TestAKilledReplayGoesOnWithOneFurtherIdEach(t *testing.T) {
	b := setup(t)
	b.subscribe("sub_a", nil)
	want := map[string]bool{}
	batch := &store.Batch{}
	for n := range many {
		state := givenUp
		if n%10 == 9 {
			state = waiting
		}
		if id := b.happened(batch, n, "sub_a", what{state: state}); state == givenUp {
			want[id] = true
		}
	}
	b.project(batch)
	planner := b.service(b.db)
	r := b.plan(planner, replay.Request{Mode: "recover", Why: "the receiver was down"})
	if r.Total != int64(len(want)) {
		t.Fatalf("planned are %d, want %d", r.Total, len(want))
	}
	if _, err := planner.Start(background, r.ID, replay.MaxRate, ada); err != nil {
		t.Fatal(err)
	}
	for _, rows := range []bool{false, true} {
		k := &killed{DB: b.db, after: 6, dead: make(chan struct{}), rows: rows}
		stop := b.run(b.service(k))
		<-k.dead
		stop()
		if at := b.read(r.ID); at.State != store.ReplayRunning || at.Sent == 0 || at.Sent >= r.Total {
			t.Fatalf("killed, it stands at %d of %d, %s", at.Sent, at.Total, at.State)
		}
	}
	b.run(planner)
	end := b.finish(planner, r.ID)
	got, records := b.deliveries()
	if end.Sent != int64(len(want)) || end.Skipped != 0 || len(got) != len(want) {
		t.Errorf("sent %d, skipped %d, %d ids, want %d", end.Sent, end.Skipped, len(got), len(want))
	}
	for id, d := range got {
		if !want[d.GetEventId()] || id != cdr.DeliveryID(d.GetEventId(), "sub_a", "replay", r.ID) || d.GetCause() != aftercallv1.Cause_CAUSE_REPLAY {
			t.Fatalf("produced was %v", d)
		}
	}
	if records > len(got)+2*64 {
		t.Errorf("%d records of %d deliveries: a kill repeats one batch", records, len(got))
	}
}

func TestCancellingCountsSoonAndStartGoesOn(t *testing.T) {
	b := setup(t)
	b.subscribe("sub_a", nil)
	batch := &store.Batch{}
	for n := range 120 {
		b.happened(batch, n, "sub_a", what{state: givenUp})
	}
	b.project(batch)
	s := b.service(b.db)
	b.run(s)
	r := b.plan(s, replay.Request{Mode: "recover"})
	// One every quarter of a second: all of them are half a minute's work.
	if _, err := s.Start(background, r.ID, 4, ada); err != nil {
		t.Fatal(err)
	}
	kafkatest.WaitFor(t, "the first ones", func() bool { return b.read(r.ID).Sent > 0 })
	if _, err := s.Cancel(background, r.ID, ada); err != nil {
		t.Fatal(err)
	}
	cancelled := b.read(r.ID).Sent
	// What was sent stops growing, after a few more at most.
	last, since := int64(-1), time.Now()
	kafkatest.WaitFor(t, "standing still", func() bool {
		if now := b.read(r.ID).Sent; now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
	if at := b.read(r.ID); at.State != store.ReplayCancelled || at.Sent > cancelled+20 {
		t.Errorf("cancelled at %d, it is %+v", cancelled, at)
	}
	if end := b.finish(s, r.ID); end.Sent != 120 {
		t.Errorf("it ended at %d", end.Sent)
	}
	if got, n := b.deliveries(); len(got) != 120 || n != 120 {
		t.Errorf("%d records of %d deliveries", n, len(got))
	}
	if _, err := s.Cancel(background, r.ID, ada); problem.From(err).Status != 409 {
		t.Errorf("cancelling it then answered %v", err)
	}
}

func TestWhatIsDeliveredOrWaitsMeanwhileIsSkipped(t *testing.T) {
	b := setup(t)
	b.subscribe("sub_a", nil)
	batch := &store.Batch{}
	ids := []string{b.happened(batch, 1, "sub_a", what{state: givenUp}), b.happened(batch, 2, "sub_a", what{state: givenUp}), b.happened(batch, 3, "sub_a", what{state: givenUp})}
	b.project(batch)
	s := b.service(b.db)
	r := b.plan(s, replay.Request{Mode: "recover"})
	for i, state := range []aftercallv1.DeliveryState{delivered, waiting} {
		id := cdr.DeliveryID(ids[i], "sub_a", "resend", "r")
		b.project(&store.Batch{Attempts: []*store.AttemptAt{{Attempt: &aftercallv1.Attempt{AttemptId: "att_" + id, DeliveryId: id, EventId: ids[i], SubscriptionId: "sub_a",
			Cause: aftercallv1.Cause_CAUSE_RESEND, Attempt: 1, StartedAt: timestamppb.Now(), FirstQueuedAt: timestamppb.Now(), State: state, Result: aftercallv1.Attempt_RESULT_FAILED}, StoredAt: time.Now()}}})
	}
	b.run(s)
	if end := b.finish(s, r.ID); end.Sent != 1 || end.SkippedFor[replay.SkipDelivered] != 1 || end.SkippedFor[replay.SkipWaiting] != 1 {
		t.Errorf("it ended as %+v", end)
	}
}
