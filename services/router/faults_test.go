package router_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router"
)

// F2, F3, F4, F9: whatever the broker answers to the steps of a commit, readers
// see each call once.
func TestFaultsOfACommitLoseNothingAndRepeatNothing(t *testing.T) {
	for _, fault := range []struct {
		name string
		kfake.Fault
	}{
		{"TxnOffsetCommit answered with an abortable error", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError, Count: 3}},
		{"TxnOffsetCommit answered with a rebalance", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress, Count: 3}},
		{"TxnOffsetCommit answered with a final error", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.InvalidTxnState, Count: 2}},
		{"EndTxn answered with an unknown error", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError, Count: 3}},
		{"EndTxn answered with a final error", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidTxnState, Count: 2}},
		{"EndTxn times out after the commit", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.RequestTimedOut, Count: 2}},
		{"the coordinator moves while EndTxn comes", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.NotCoordinator, Count: 3}},
		{"the coordinator still loads when EndTxn comes", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: 3}},
		{"EndTxn comes while the markers of the last one are written", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ConcurrentTransactions, Count: 3}},
		{"the coordinator moves while a new producer asks for its id", kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID, kmsg.EndTxn}, TopLevel: true, Err: kerr.NotCoordinator, Count: 4}},
		{"Produce refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Deliveries, Err: kerr.InvalidTxnState, Count: 2}},
		{"too few replicas in sync", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Deliveries, Err: kerr.NotEnoughReplicas, Count: 5}},
		{"too few replicas in sync, said after the append", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Deliveries, Err: kerr.NotEnoughReplicasAfterAppend, Count: 5}},
		{"the producer is fenced once", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced, Count: 1}},
		{"AddPartitionsToTxn refused", kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: topic.Deliveries, Err: kerr.CoordinatorNotAvailable, Count: 2}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Start(t)
			c := b.Config()
			subscribe(t, c, queueSubscription("sub_a"))
			start(t, c, "r1")
			all := calls(600)
			kafkatest.Produce(t, c, all[:200]...)
			kafkatest.WaitFor(t, "a healthy start", func() bool { return len(events(t, c)) == 200 })
			h := b.Cluster().Fault(fault.Fault)
			kafkatest.Produce(t, c, all[200:400]...)
			kafkatest.WaitFor(t, "the end of the fault", func() bool {
				return h.Hits() >= max(1, fault.Count) || len(events(t, c)) >= 400
			})
			kafkatest.Produce(t, c, all[400:]...)
			exactly(t, c, 600)
		})
	}
}

// F9 to the letter: the broker commits, and its answer gets lost.
func TestACommitWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	subscribe(t, c, queueSubscription("sub_a"))
	r := start(t, c, "r1")
	kafkatest.Produce(t, c, call(0))
	exactly(t, c, 1)
	answerCommits(b, kafkatest.Client(t, c), kerr.UnknownServerError, 1)
	kafkatest.Produce(t, c, call(1))
	exactly(t, c, 2)
	kafkatest.Produce(t, c, call(2))
	exactly(t, c, 3)
	if n := counter(t, r.reg, "aftercall_router_session_rebuilds_total"); n == 0 {
		t.Error("the router took the answer at its word")
	}
}

// counter is the sum of a counter over its labels.
func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// F1: a router that dies between produce and End leaves nothing that a
// read_committed reader sees, and the next one with its name routes it all.
func TestARouterThatDiesInItsTransactionIsTakenOver(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		kafkatest.Produce(t, c, calls(100)...)
		// What a router does, up to the point where it dies: its client is
		// dropped as a kill would, without an end of anything.
		dead := kafkatest.Client(t, c, append(c.Producer(), kgo.TransactionalID("aftercall-router-r1"))...)
		if err := dead.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{topic.Events, topic.Deliveries} {
			if err := dead.ProduceSync(t.Context(), record.New(name, "k", &aftercallv1.Event{EventId: "evt_torn", CallId: "torn"}, time.Now())).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		start(t, c, "r1")
		exactly(t, c, 100)
	})
}

// F7: two with one name. One of them ends and explains, the other goes on.
func TestOfTwoRoutersWithOneNameOneEndsAndExplains(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		a, b := start(t, c, "same"), start(t, c, "same")
		stopped := make(chan struct{})
		produced := make(chan int, 1)
		go func() {
			n := 0
			for {
				select {
				case <-stopped:
					produced <- n
					return
				default:
					kafkatest.Produce(t, c, call(n))
					n++
				}
			}
		}()
		var err error
		select {
		case err = <-a.done:
			a.done <- err
		case err = <-b.done:
			b.done <- err
		case <-time.After(2 * kafkatest.Patience):
			t.Error("both go on")
		}
		close(stopped)
		n := <-produced
		if !errors.Is(err, router.ErrFenced) || !strings.Contains(err.Error(), "AFTERCALL_INSTANCE") {
			t.Errorf("Run = %v", err)
		}
		exactly(t, c, n)
	})
}

// F8, short: instances come and go while calls are routed.
func TestARebalanceStormLosesNothingAndRepeatsNothing(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "steady")
		const n = 2000
		producing := make(chan struct{})
		go func() {
			defer close(producing)
			for batch := range slices.Chunk(calls(n), 20) {
				kafkatest.Produce(t, c, batch...)
			}
		}()
		for i := range 3 {
			r := start(t, c, fmt.Sprintf("passing-%d", i))
			kafkatest.WaitFor(t, "the passing router", func() bool { return r.health.Err() == nil })
			r.stop()
		}
		<-producing
		exactly(t, c, n)
	})
}

// A compressed batch that unpacks to more than a client will hold.
func TestADecompressionBombIsRejectedAsARangeAndSkipped(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "r1")
		upstream := kafkatest.Client(t, c,
			kgo.ProducerBatchMaxBytes(96<<20), kgo.BrokerMaxWriteBytes(100<<20),
			kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerLinger(time.Second),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		var bomb []*kgo.Record
		for range 10 {
			bomb = append(bomb, &kgo.Record{Topic: topic.CDRQueue, Partition: 0, Value: make([]byte, 7<<20)})
		}
		if err := upstream.ProduceSync(t.Context(), bomb...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		good := call(0)
		good.Partition = 0
		if err := upstream.ProduceSync(t.Context(), good).FirstErr(); err != nil {
			t.Fatal(err)
		}
		exactly(t, c, 1)
		got := rejections(t, c)
		if len(got) != 1 || got[0].GetCode() != cdr.CodeBatchTooLarge || got[0].GetPosition().GetOffset() != bomb[0].Offset || got[0].GetLastOffset() != bomb[9].Offset {
			t.Errorf("rejections are %v", got)
		}
	})
}

func TestALogThatLostItsRecordsStopsTheRouter(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		kafkatest.Produce(t, c, calls(5)...)
		beyond := kadm.Offsets{}
		beyond.AddOffset(topic.CDRQueue, 0, 1000, -1)
		answers, err := kafkatest.Admin(t, c).CommitOffsets(t.Context(), topic.GroupRouter, beyond)
		if err != nil || answers.Error() != nil {
			t.Fatal(err, answers.Error())
		}
		r := start(t, c, "r1")
		select {
		case err := <-r.done:
			r.done <- err
			if !errors.Is(err, kafka.ErrOffsets) || !strings.Contains(err.Error(), topic.CDRQueue+"/0") {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(kafkatest.Patience):
			t.Fatal("the router goes on")
		}
	})
}

func TestTheRouterOutlastsTheBroker(t *testing.T) {
	dir := t.TempDir()
	b := kafkatest.Start(t, func(c *embedded.Config) { c.Dir, c.Listen = dir, kafkatest.Address(t) })
	c := b.Config()
	subscribe(t, c, queueSubscription("sub_a"))
	r := start(t, c, "r1")
	all := calls(200)
	kafkatest.Produce(t, c, all[:100]...)
	exactly(t, c, 100)
	b.Close()
	kafkatest.WaitFor(t, "the health to tell", func() bool { return r.health.Err() != nil })
	kafkatest.Start(t, func(c *embedded.Config) { c.Dir, c.Listen = dir, b.Addr })
	kafkatest.Produce(t, c, all[100:]...)
	exactly(t, c, 200)
	kafkatest.WaitFor(t, "the health to recover", func() bool { return r.health.Err() == nil })
}

// An error that every further try would meet again ends the router: going on
// would lose records, and waiting would hide it.
func TestATerminalErrorOfAProduceStopsTheRouter(t *testing.T) {
	for name, code := range map[string]*kerr.Error{"access denied": kerr.TopicAuthorizationFailed, "a record too large on its own": kerr.MessageTooLarge} {
		t.Run(name, func(t *testing.T) {
			b := kafkatest.Start(t)
			c := b.Config()
			subscribe(t, c, queueSubscription("sub_a"))
			r := start(t, c, "r1")
			b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Events, Err: code, Count: -1})
			kafkatest.Produce(t, c, calls(10)...)
			select {
			case err := <-r.done:
				r.done <- err
				if !errors.Is(err, code) || !strings.Contains(err.Error(), topic.CDRQueue) {
					t.Errorf("Run = %v", err)
				}
			case <-time.After(kafkatest.Patience):
				t.Fatal("the router goes on")
			}
			if r.health.Err() == nil {
				t.Error("the health says all is well")
			}
			if len(events(t, c))+len(deliveries(t, c)) > 0 {
				t.Error("something of the batch is visible")
			}
		})
	}
}
