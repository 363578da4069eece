// Tests of the loop on the embedded broker and SQLite.
//
// What is real: the protocol, groups, transactions, the database. What is
// doubled: nothing; faulty wraps the real store to fail at a chosen moment. What
// may be asserted: the store equals the model of what was produced.
package write_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector/internal/decode"
	"github.com/aftercall/aftercall/services/projector/internal/write"
)

// faulty is a store that runs a hook before and after each batch.
type faulty struct {
	*store.DB
	mu     sync.Mutex
	before func(*store.Batch) error
	after  func(*store.Batch) error
}

func (f *faulty) Project(ctx context.Context, b *store.Batch) (store.Projected, error) {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(b); err != nil {
			return store.Projected{}, err
		}
	}
	n, err := f.DB.Project(ctx, b)
	if err == nil && after != nil {
		err = after(b)
	}
	return n, err
}

func (f *faulty) set(before, after func(*store.Batch) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// status is how a loop says it is.
type status struct {
	mu              sync.Mutex
	kafka, database error
}

func (s *status) of() (kafka, database error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kafka, s.database
}

// bundle is a running loop.
type bundle struct {
	stop   context.CancelFunc
	ended  chan error
	status *status
}

func run(t *testing.T, c kafka.Config, s write.Store, change func(*write.Config)) *bundle {
	t.Helper()
	config := write.Config{
		Kafka: c, Group: topic.GroupProjector, Topics: []string{topic.Events, topic.Rejected, topic.History}, BatchRecords: 64,
		Tick: 50 * time.Millisecond, Patience: 200 * time.Millisecond,
	}
	if change != nil {
		change(&config)
	}
	b := &bundle{ended: make(chan error, 1), status: &status{}}
	loop := write.New(config, s, write.NewMetrics(nil), zaptest.NewLogger(t, zaptest.Level(zap.FatalLevel)),
		func(err error) { b.status.mu.Lock(); b.status.kafka = err; b.status.mu.Unlock() },
		func(err error) { b.status.mu.Lock(); b.status.database = err; b.status.mu.Unlock() })
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ended <- loop.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

// end stops the loop and waits for it.
func (b *bundle) end(t *testing.T) {
	t.Helper()
	b.stop()
	if err := <-b.ended; err != nil {
		t.Errorf("the loop ended with %v", err)
	}
}

// records are a feed as Kafka records; what an API adds is left out.
func records(rs []storetest.Record) (out []*kgo.Record, kept []storetest.Record) {
	now := time.Now()
	for _, r := range rs {
		switch {
		case r.Event != nil:
			out = append(out, record.New(topic.Events, r.Event.EventId, r.Event, now))
		case r.Attempt != nil:
			out = append(out, record.New(topic.History, r.Attempt.DeliveryId, r.Attempt.Attempt, now))
		case r.Deferral != nil:
			out = append(out, record.New(topic.History, r.Deferral.DeliveryId, r.Deferral.Deferral, now))
		case r.Rejection != nil:
			out = append(out, record.New(topic.Rejected, "x", r.Rejection.Rejection, now))
		case r.Change != nil:
			out = append(out, record.New(topic.History, r.Change.SubscriptionId, r.Change, now))
		default:
			continue
		}
		kept = append(kept, r)
	}
	return out, kept
}

// caughtUp says that the store stands at the end of every topic.
func caughtUp(t *testing.T, c kafka.Config, s *store.DB) func() bool {
	adm := kafkatest.Admin(t, c)
	return func() bool {
		ends, err := adm.ListCommittedOffsets(context.Background(), topic.Events, topic.Rejected, topic.History)
		if err != nil {
			return false
		}
		at, err := s.ProjectedOffsets(context.Background())
		if err != nil {
			return false
		}
		all := true
		ends.Each(func(o kadm.ListedOffset) { all = all && at[o.Topic][o.Partition] == o.Offset })
		return all
	}
}

func TestEveryRecordIsInTheStoreOnceOverARestart(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	out, kept := records(storetest.Feed(1, 60))
	kafkatest.Produce(t, broker.Config(), out[:len(out)/2]...)

	// The first stops in the middle of its work.
	seen, some := 0, make(chan struct{})
	f := &faulty{DB: db}
	f.set(nil, func(b *store.Batch) error {
		if seen += b.Len(); seen > len(out)/4 && some != nil {
			close(some)
			some = nil
		}
		return nil
	})
	middle := some
	first := run(t, broker.Config(), f, nil)
	<-middle
	first.end(t)
	kafkatest.Produce(t, broker.Config(), out[len(out)/2:]...)

	second := run(t, broker.Config(), db, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	second.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}

func TestAKillBetweenTheTwoCommitsRepeatsNothing(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	out, kept := records(storetest.Feed(2, 40))
	kafkatest.Produce(t, broker.Config(), out...)
	for range 3 {
		f := &faulty{DB: db}
		committed := make(chan struct{})
		var once sync.Once
		// The database has committed; Kafka hears nothing of it any more.
		killed := errors.New("killed")
		f.set(nil, func(*store.Batch) error { once.Do(func() { close(committed) }); return killed })
		b := run(t, broker.Config(), f, func(c *write.Config) { c.Tick = time.Hour })
		<-committed
		b.end(t)
	}
	b := run(t, broker.Config(), db, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	b.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}

func TestTwoProjectorsOfTheSamePartitionsWriteEachRecordOnce(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	out, kept := records(storetest.Feed(3, 60))
	kafkatest.Produce(t, broker.Config(), out...)
	// A second group hands out the same partitions: as a projector that does
	// not know yet that it has lost them.
	a := run(t, broker.Config(), db, func(c *write.Config) { c.BatchRecords = 16 })
	b := run(t, broker.Config(), db, func(c *write.Config) { c.Group, c.BatchRecords = "aftercall-zombie", 16 })
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	a.end(t)
	b.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}

func TestADatabaseThatIsAwayIsWaitedForAndSaidSo(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	f := &faulty{DB: db}
	away := errors.New("connection refused")
	f.set(func(*store.Batch) error { return away }, nil)
	b := run(t, broker.Config(), f, nil)
	out, kept := records(storetest.Feed(4, 30))
	kafkatest.Produce(t, broker.Config(), out...)
	kafkatest.WaitFor(t, "the loop to say that the database is away", func() bool { _, err := b.status.of(); return errors.Is(err, away) })
	if n := rowCount(t, db, "attempts"); n != 0 {
		t.Fatalf("%d attempts in a database that is away", n)
	}
	f.set(nil, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	kafkatest.WaitFor(t, "the loop to be well", func() bool { k, d := b.status.of(); return k == nil && d == nil })
	b.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}

func TestARecordThatTheDatabaseRefusesBecomesARejectionAndTheRestIsStored(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	out, kept := records(storetest.Feed(5, 40))
	poison := ""
	for _, r := range kept[len(kept)/2:] {
		if r.Attempt != nil {
			poison = r.Attempt.AttemptId
			break
		}
	}
	f := &faulty{DB: db}
	f.set(func(b *store.Batch) error {
		for _, a := range b.Attempts {
			if a.AttemptId == poison {
				return store.ErrUnstorable
			}
		}
		return nil
	}, nil)
	kafkatest.Produce(t, broker.Config(), out...)
	b := run(t, broker.Config(), f, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	b.end(t)
	rejections, _, err := db.Rejections(t.Context(), store.RejectionQuery{Code: decode.CodeUnstorable})
	if err != nil || len(rejections) != 1 || rejections[0].Position.Topic != topic.History {
		t.Errorf("rejections are %+v: %v", rejections, err)
	}
	if got, want := rowCount(t, db, "attempts"), len(storetest.ModelOf(kept).Attempts)-1; got != want {
		t.Errorf("%d attempts, want %d", got, want)
	}
}

func TestACorruptRecordBecomesARejectionWithItsCoordinates(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	out, kept := records(storetest.Feed(6, 5))
	header := func(kind string) []kgo.RecordHeader {
		return []kgo.RecordHeader{{Key: record.Header, Value: []byte(kind)}}
	}
	kafkatest.Produce(t, broker.Config(),
		&kgo.Record{Topic: topic.Events, Value: []byte("\xff\xff\xff"), Headers: header("event/1")},
		&kgo.Record{Topic: topic.Events, Value: []byte("no header")},
		&kgo.Record{Topic: topic.Rejected, Value: nil, Headers: header("subscription/1")},
		&kgo.Record{Topic: topic.History, Value: nil, Headers: header("attempt/1")},
	)
	kafkatest.Produce(t, broker.Config(), out...)
	b := run(t, broker.Config(), db, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	b.end(t)
	rejections, _, err := db.Rejections(t.Context(), store.RejectionQuery{Code: decode.CodeCorrupt})
	if err != nil || len(rejections) != 4 {
		t.Fatalf("%d rejections: %v", len(rejections), err)
	}
	for _, r := range rejections {
		if r.Reason == "" || r.Position.Topic == "" {
			t.Errorf("rejection says too little: %+v", r)
		}
	}
	if got, want := rowCount(t, db, "attempts"), len(storetest.ModelOf(kept).Attempts); got != want {
		t.Errorf("%d attempts, want %d", got, want)
	}
}

func TestARecordOfALaterVersionStopsAfterWhatCameBefore(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	first := storetest.Feed(7, 1)[0]
	for _, r := range storetest.Feed(7, 5) {
		if r.Event != nil {
			first = r
			break
		}
	}
	event := record.New(topic.Events, "a", first.Event, time.Now())
	later := record.New(topic.Events, "a", first.Event, time.Now())
	later.Headers[0].Value = []byte("event/2")
	kafkatest.Produce(t, broker.Config(), event)
	kafkatest.Produce(t, broker.Config(), later)
	b := run(t, broker.Config(), db, nil)
	err := <-b.ended
	if !errors.Is(err, record.ErrUnknownVersion) || !strings.Contains(err.Error(), "event/2") || !strings.Contains(err.Error(), topic.Events) {
		t.Fatalf("ended with %v", err)
	}
	at, err := db.ProjectedOffsets(t.Context())
	if err != nil || at[topic.Events][0] != 1 {
		t.Errorf("projected offsets are %v: %v", at, err)
	}
}

func TestAStoreBeyondTheLogStopsWithAnExplanation(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	if _, err := db.Project(t.Context(), &store.Batch{Offsets: []store.Offset{{Topic: topic.History, Partition: 1, To: 500}}}); err != nil {
		t.Fatal(err)
	}
	b := run(t, broker.Config(), db, nil)
	if err := <-b.ended; !errors.Is(err, write.ErrLog) || !strings.Contains(err.Error(), "500") || !strings.Contains(err.Error(), "projector_offsets") {
		t.Fatalf("ended with %v", err)
	}
}

func TestRecordsThatAreGoneBecomeAVisibleGap(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	out, _ := records(storetest.Feed(8, 30))
	var events []*kgo.Record
	for _, r := range out {
		if r.Topic == topic.Events {
			events = append(events, r)
		}
	}
	kafkatest.Produce(t, broker.Config(), events...)
	if _, err := db.Project(t.Context(), &store.Batch{Offsets: []store.Offset{{Topic: topic.Events, To: 2}}}); err != nil {
		t.Fatal(err)
	}
	adm := kafkatest.Admin(t, broker.Config())
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: topic.Events, Partition: 0, At: 7})
	deleted, err := adm.DeleteRecords(t.Context(), cut)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	b := run(t, broker.Config(), db, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	b.end(t)
	gaps, _, err := db.Rejections(t.Context(), store.RejectionQuery{Code: decode.CodeGap})
	if err != nil || len(gaps) != 1 || gaps[0].Position.Offset != 2 || gaps[0].LastOffset != 6 {
		t.Errorf("gaps are %+v: %v", gaps, err)
	}
}

func TestAnIdleProjectorStaysFreshAndShowsItsPosition(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	// In a transaction, as the router writes: its marker is the log's last.
	client := kafkatest.Client(t, broker.Config(), kgo.TransactionalID("router"))
	out, _ := records(storetest.Feed(9, 3))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), out...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	b := run(t, broker.Config(), db, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	began := time.Now()
	kafkatest.WaitFor(t, "freshness to move while nothing comes", func() bool {
		fresh, err := db.Freshness(context.Background())
		if err != nil || len(fresh) != 4 {
			return false
		}
		for _, p := range fresh {
			if !p.ProjectedUntil.After(began) {
				return false
			}
		}
		return true
	})
	adm := kafkatest.Admin(t, broker.Config())
	kafkatest.WaitFor(t, "Kafka to know the position", func() bool {
		lag, err := adm.Lag(context.Background(), topic.GroupProjector)
		group := lag[topic.GroupProjector]
		return err == nil && group.Error() == nil && len(group.Lag) == 3 && group.Lag.Total() == 0
	})
	b.end(t)
}

func rowCount(t *testing.T, db *store.DB, table string) (n int) {
	t.Helper()
	if err := db.SQL().QueryRow("select count(*) from " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
