package publish_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin/internal/publish"
)

var tester = store.Actor{Name: "tester", Kind: "system"}

func sub(id string, version int64, endpoint string) *subscription.Subscription {
	now := time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)
	s := &subscription.Subscription{ID: id, Version: version, Name: id, Endpoint: endpoint, Active: true, Events: []string{topic.TypeQueue}, CreatedAt: now, UpdatedAt: now}
	s.SetDefaults()
	return s
}

// run starts a publisher that ends with the test.
func run(t *testing.T, db *store.DB, c kafka.Config) *publish.Publisher {
	t.Helper()
	client := kafkatest.Client(t, c, c.Producer()...)
	p := publish.New(db, client, c, zap.NewNop(), nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the publisher ended: %v", err)
		}
	})
	return p
}

// records are those of one key, in order.
func records(t *testing.T, c kafka.Config, id string) []*aftercallv1.Subscription {
	t.Helper()
	var out []*aftercallv1.Subscription
	for _, r := range kafkatest.ReadAll(t, c, topic.Subscriptions) {
		m, err := record.OpenAs[*aftercallv1.Subscription](r)
		if err != nil {
			continue
		}
		if m.GetId() == id {
			out = append(out, m)
		}
	}
	return out
}

func eventually(t *testing.T, c kafka.Config, id, what string, cond func(last *aftercallv1.Subscription) bool) {
	t.Helper()
	kafkatest.WaitFor(t, what, func() bool {
		all := records(t, c, id)
		return len(all) > 0 && cond(all[len(all)-1])
	})
}

func create(t *testing.T, db *store.DB, s *subscription.Subscription) {
	t.Helper()
	if err := db.CreateSubscription(context.Background(), s, tester); err != nil {
		t.Fatal(err)
	}
}

func onBothStores(t *testing.T, body func(t *testing.T, db *store.DB, c kafka.Config)) {
	t.Run("sqlite", func(t *testing.T) { body(t, storetest.SQLite(t), kafkatest.Start(t).Config()) })
	t.Run("postgres", func(t *testing.T) { body(t, storetest.Postgres(t), kafkatest.Start(t).Config()) })
}

func TestRowsThatTheTopicLacksArePublishedAtStart(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		create(t, db, sub("sub_a", 1, "https://a.example/"))
		run(t, db, c)
		eventually(t, c, "sub_a", "the row to be published", func(m *aftercallv1.Subscription) bool { return m.GetVersion() == 1 && m.GetActive() })
	})
}

// A backup from before the last edits is restored: the row is at version 1, the
// topic at 7.
func TestARestoredRowGetsAVersionAboveTheHighestSeen(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		kafkatest.Produce(t, c,
			record.New(topic.Subscriptions, "sub_a", subscription.ToProto(sub("sub_a", 7, "https://newer.example/")), time.Now()),
			record.New(topic.Subscriptions, "sub_a", subscription.ToProto(sub("sub_a", 2, "https://older.example/")), time.Now()))
		create(t, db, sub("sub_a", 1, "https://a.example/"))
		run(t, db, c)
		eventually(t, c, "sub_a", "the row to win", func(m *aftercallv1.Subscription) bool {
			return m.GetVersion() == 8 && m.GetEndpoint() == "https://a.example/"
		})
		row, err := db.Subscription(context.Background(), "sub_a")
		if err != nil || row.Version != 8 {
			t.Errorf("the row is %v, %v", row, err)
		}
	})
}

// A subscription added after the backup was taken: its receivers go on getting
// webhooks, and people see it again.
func TestWhatARestoredStoreLacksIsTakenBackFromTheTopic(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		lost, gone := sub("sub_lost", 3, "https://lost.example/"), sub("sub_gone", 2, "")
		gone.Deleted = true
		kafkatest.Produce(t, c, record.New(topic.Subscriptions, "sub_lost", subscription.ToProto(lost), time.Now()),
			record.New(topic.Subscriptions, "sub_gone", subscription.ToProto(gone), time.Now()))
		run(t, db, c)
		kafkatest.WaitFor(t, "the subscription to be taken back", func() bool {
			row, err := db.Subscription(context.Background(), "sub_lost")
			return err == nil && row.Version == 3 && row.Endpoint == "https://lost.example/"
		})
		if all, err := db.Subscriptions(context.Background(), store.SubscriptionQuery{}); err != nil || len(all) != 1 {
			t.Errorf("the store has %d subscriptions, %v: a deleted one must not come back", len(all), err)
		}
	})
}

func TestSomebodyElsesRecordIsRepaired(t *testing.T) {
	db, c := storetest.SQLite(t), kafkatest.Start(t).Config()
	create(t, db, sub("sub_a", 1, "https://a.example/"))
	run(t, db, c)
	eventually(t, c, "sub_a", "the row to be published", func(m *aftercallv1.Subscription) bool { return m.GetVersion() == 1 })
	kafkatest.Produce(t, c, record.New(topic.Subscriptions, "sub_a", subscription.ToProto(sub("sub_a", 1, "https://evil.example/")), time.Now()),
		&kgo.Record{Topic: topic.Subscriptions, Key: []byte("sub_a"), Value: []byte("no record of ours")})
	eventually(t, c, "sub_a", "the row to be back", func(m *aftercallv1.Subscription) bool {
		return m.GetEndpoint() == "https://a.example/" && m.GetVersion() == 2
	})
}

func TestADeletionIsARecord(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		create(t, db, sub("sub_a", 1, "https://a.example/"))
		p := run(t, db, c)
		eventually(t, c, "sub_a", "the row to be published", func(m *aftercallv1.Subscription) bool { return m.GetVersion() == 1 })
		if _, err := db.DeleteSubscription(context.Background(), "sub_a", 1, tester); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(context.Background(), "sub_a"); err != nil {
			t.Fatal(err)
		}
		all := records(t, c, "sub_a")
		if last := all[len(all)-1]; !last.GetDeleted() || last.GetVersion() != 2 {
			t.Errorf("the last record is %v", last)
		}
		if p.Offset() != int64(len(kafkatest.ReadAll(t, c, topic.Subscriptions))) {
			t.Errorf("the offset is %d", p.Offset())
		}
	})
}

// An endpoint answered 410: what it was asked for is switched off, unless it was
// changed since.
func TestAnEndpointThatIsGoneIsSwitchedOff(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		create(t, db, sub("sub_a", 1, "https://a.example/"))
		create(t, db, sub("sub_b", 2, "https://b.example/"))
		for _, id := range []string{"sub_a", "sub_b"} {
			change := &aftercallv1.EndpointChange{ChangeId: "chg_" + id, SubscriptionId: id, SubscriptionVersion: 1, Tenant: "default", Kind: aftercallv1.EndpointChange_KIND_DISABLE_REQUESTED, Reason: "gone"}
			if _, err := db.Project(context.Background(), &store.Batch{Changes: []*aftercallv1.EndpointChange{change}}); err != nil {
				t.Fatal(err)
			}
		}
		run(t, db, c)
		eventually(t, c, "sub_a", "sub_a to be off", func(m *aftercallv1.Subscription) bool {
			return !m.GetActive() && m.GetVersion() == 2 && m.GetDisabledReason() == "gone"
		})
		eventually(t, c, "sub_b", "sub_b to be published", func(m *aftercallv1.Subscription) bool { return m.GetActive() && m.GetVersion() == 2 })
	})
}

func TestAnEndpointThatFailsForDaysIsSwitchedOff(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		create(t, db, sub("sub_a", 1, "https://a.example/hook?token=s3cret"))
		create(t, db, sub("sub_b", 1, "https://b.example/"))
		now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
		for _, b := range []*store.Batch{
			storetest.Tries("sub_a", 12, now.Add(-80*time.Hour), now.Add(-time.Minute), aftercallv1.Attempt_RESULT_FAILED),
			storetest.Tries("sub_b", 1, now.Add(-time.Minute), now.Add(-time.Minute), aftercallv1.Attempt_RESULT_DELIVERED),
		} {
			if _, err := db.Project(context.Background(), b); err != nil {
				t.Fatal(err)
			}
		}
		client := kafkatest.Client(t, c, c.Producer()...)
		for range 2 {
			p := publish.New(db, client, c, zap.NewNop(), nil)
			p.Clock(func() time.Time { return now })
			if err := p.Once(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		all := records(t, c, "sub_a")
		if last := all[len(all)-1]; last.GetActive() || last.GetVersion() != 2 || last.GetDisabledReason() != "failing" {
			t.Errorf("the last record is %v", last)
		}
		if all = records(t, c, "sub_b"); !all[len(all)-1].GetActive() {
			t.Error("the healthy one is off")
		}
		entries, _, err := db.Audit(context.Background(), store.AuditQuery{Object: "sub_a"})
		if err != nil || len(entries) != 2 || entries[0].Kind != "system" {
			t.Errorf("the audit log has %+v, %v", entries, err)
		}
	})
}

func TestTheDisabledAreToldOnceOverRestarts(t *testing.T) {
	db, c := storetest.SQLite(t), kafkatest.Start(t).Config()
	create(t, db, sub("sub_a", 1, "https://a.example/hook?token=s3cret"))
	client := kafkatest.Client(t, c, c.Producer()...)
	once := func() {
		t.Helper()
		if err := publish.New(db, client, c, zap.NewNop(), nil).Once(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	once()
	change := &aftercallv1.EndpointChange{ChangeId: "chg", SubscriptionId: "sub_a", SubscriptionVersion: 1, Tenant: "default", Kind: aftercallv1.EndpointChange_KIND_DISABLE_REQUESTED, Reason: "gone"}
	if _, err := db.Project(context.Background(), &store.Batch{Changes: []*aftercallv1.EndpointChange{change}}); err != nil {
		t.Fatal(err)
	}
	once()
	once()
	told := kafkatest.ReadAll(t, c, topic.CDRSystem)
	if len(told) != 1 || !strings.Contains(string(told[0].Value), `"Reason":"gone"`) || strings.Contains(string(told[0].Value), "s3cret") {
		t.Errorf("told %d: %v", len(told), told)
	}
}

// away is a producer whose Kafka is away: nothing is ever acknowledged.
type away struct{ asked chan string }

func (a away) Produce(_ context.Context, r *kgo.Record, _ func(*kgo.Record, error)) {
	a.asked <- string(r.Key)
}

func TestAnEditDoesNotWaitForARepairThatKafkaDoesNotAnswer(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		create(t, db, sub("sub_a", 1, "https://example.com/a"))
		kafkaIsAway := away{make(chan string, 1)}
		p := publish.New(db, kafkaIsAway, c, zap.NewNop(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		repaired := make(chan error, 1)
		go func() { repaired <- p.Reconcile(ctx) }()
		<-kafkaIsAway.asked
		hurried, cancelHurried := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancelHurried()
		if err := p.Publish(hurried, "sub_a"); err == nil || hurried.Err() == nil {
			t.Errorf("an edit beside it: %v", err)
		}
		cancel()
		if err := <-repaired; !errors.Is(err, context.Canceled) {
			t.Errorf("the repair ended with %v", err)
		}
	})
}

func TestASubscriptionWithoutItsTimesIsTakenBackToo(t *testing.T) {
	onBothStores(t, func(t *testing.T, db *store.DB, c kafka.Config) {
		kafkatest.Produce(t, c, record.New(topic.Subscriptions, "sub_x", &aftercallv1.Subscription{
			Id: "sub_x", Version: 3, Name: "x", Endpoint: "https://example.com/x", Active: true, Events: []string{topic.TypeQueue},
		}, time.Now()))
		run(t, db, c)
		kafkatest.WaitFor(t, "the subscription in the store", func() bool {
			s, err := db.Subscription(context.Background(), "sub_x")
			return err == nil && s.Version == 3 && !s.CreatedAt.IsZero()
		})
	})
}
