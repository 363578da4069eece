package watch

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

func watching(t *testing.T, c kafka.Config) *Watch {
	t.Helper()
	w, err := New(c, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	return w
}

// commits says that a group has finished the first records of the queue's topic.
func commits(t *testing.T, c kafka.Config, group string, records int64) {
	t.Helper()
	committed := kadm.Offsets{}
	committed.AddOffset(topic.CDRQueue, 0, records, -1)
	if err := kafkatest.Admin(t, c).CommitAllOffsets(t.Context(), group, committed); err != nil {
		t.Fatal(err)
	}
}

func TestTheLagOfAGroupIsWhatItHasNotCommitted(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	w := watching(t, c)
	w.Last = &Last{}
	var records []*kgo.Record
	for range 5 {
		records = append(records, &kgo.Record{Topic: topic.CDRQueue, Value: []byte(`{}`)})
	}
	kafkatest.Produce(t, c, records...)
	commits(t, c, topic.GroupRouter, 2)
	if err := w.Measure(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := testutil.ToFloat64(w.lag.WithLabelValues(topic.GroupRouter)); got != 3 {
		t.Errorf("%v records behind, not 3", got)
	}
	if r, known := w.Last.Get(time.Now()); !known || r.Lags[topic.GroupRouter] != 3 {
		t.Errorf("the last reading is %+v, %v", r, known)
	}
	if _, known := w.Last.Get(time.Now().Add(time.Minute)); known {
		t.Error("an old reading stands")
	}
	b.Close()
	if err := w.Measure(t.Context(), time.Now()); err == nil {
		t.Error("a broker that is away was measured")
	}
	if n := testutil.CollectAndCount(w.lag); n != 0 {
		t.Errorf("%d figures stand though nothing is known", n)
	}
}

func TestAGroupThatComesLaterIsMeasuredLikeTheOthers(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	w := watching(t, c)
	kafkatest.Produce(t, c, &kgo.Record{Topic: topic.CDRQueue, Value: []byte(`{}`)})
	// The answers come in any order; some rounds meet each.
	for range 10 {
		if err := w.Measure(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	commits(t, c, topic.GroupSender, 0)
	for range 10 {
		if err := w.Measure(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	commits(t, c, topic.GroupRouter, 0)
	commits(t, c, topic.GroupMover, 0)
	if err := w.Measure(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(w.lag); n != 3 {
		t.Errorf("%d groups are measured, not 3", n)
	}
	if want := []string{topic.GroupRouter, topic.GroupSender, topic.GroupMover}; !slices.Equal(Groups(), want) {
		t.Errorf("the groups are now %v", Groups())
	}
}

func TestTheEndOfATransactionIsNoRecordThatAGroupIsBehindFor(t *testing.T) {
	c := kafkatest.Start(t).Config()
	w := watching(t, c)
	w.Last = &Last{}
	router := kafkatest.Client(t, c, kgo.TransactionalID("router"))
	for read := range int64(2) {
		if err := router.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topic.Deliveries, Key: []byte("sub_1/0"), Value: []byte("x")}
		if err := router.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := router.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		if read == 0 {
			committed := kadm.Offsets{}
			committed.AddOffset(r.Topic, r.Partition, r.Offset+1, -1)
			if err := kafkatest.Admin(t, c).CommitAllOffsets(t.Context(), topic.GroupSender, committed); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Measure(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		ends, err := w.admin.ListEndOffsets(t.Context(), topic.Deliveries)
		if err != nil {
			t.Fatal(err)
		}
		// A marker, and then the second record with its own.
		reading, _ := w.Last.Get(time.Now())
		if lag, markers := reading.Lags[topic.GroupSender], reading.Markers[topic.GroupSender]; lag != 1+2*read || markers != int64(len(ends[topic.Deliveries])) {
			t.Errorf("after %d further records: %d behind, of which %d may be markers", read, lag, markers)
		}
	}
}

func TestAnOpenTransactionStopsTheLastStableOffset(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	w := watching(t, c)
	hung := kafkatest.Client(t, c, kgo.TransactionalID("hung"))
	if err := hung.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := hung.ProduceSync(t.Context(), &kgo.Record{Topic: topic.Events, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, after := range []time.Duration{0, time.Minute} {
		if err := w.Measure(t.Context(), begin.Add(after)); err != nil {
			t.Fatal(err)
		}
		if got := testutil.ToFloat64(w.stuck.WithLabelValues(topic.Events)); got != after.Seconds() {
			t.Errorf("stuck for %v s after %s", got, after)
		}
	}
	if err := hung.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := w.Measure(t.Context(), begin.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := testutil.ToFloat64(w.stuck.WithLabelValues(topic.Events)); got != 0 {
		t.Errorf("stuck for %v s though the transaction has ended", got)
	}
}
