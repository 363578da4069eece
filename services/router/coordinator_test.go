package router_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
)

// answerCommits has the next commits of transactions done, and answered as if they
// were not: with an error each. It counts them.
func answerCommits(b *kafkatest.Broker, client *kgo.Client, with *kerr.Error, times int64) *atomic.Int64 {
	var answered atomic.Int64
	forwarding := false
	b.Cluster().ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster().KeepControl()
		end := req.(*kmsg.EndTxnRequest)
		if forwarding || !end.Commit || answered.Load() == times {
			return nil, nil, false
		}
		// It is sent by ourselves first: the broker has committed when it answers.
		forwarding = true
		copied := *end
		b.Cluster().SleepControl(func() { _, _ = copied.RequestWith(context.Background(), client) })
		forwarding = false
		answered.Add(1)
		resp := end.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = with.Code
		return resp, nil, true
	})
	return &answered
}

// The coordinator of a transaction moves between the commit and its answer: the
// next one knows that the transaction is committed, the router does not.
func TestACoordinatorThatMovesDuringACommitRepeatsNothing(t *testing.T) {
	for _, with := range []*kerr.Error{
		kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.InvalidTxnState, kerr.InvalidProducerEpoch,
	} {
		t.Run(with.Message, func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Start(t)
			c := b.Config()
			subscribe(t, c, queueSubscription("sub_a"))
			start(t, c, "r1")
			all := calls(300)
			kafkatest.Produce(t, c, all[:100]...)
			exactly(t, c, 100)
			answered := answerCommits(b, kafkatest.Client(t, c), with, 1)
			kafkatest.Produce(t, c, all[100:200]...)
			exactly(t, c, 200)
			kafkatest.Produce(t, c, all[200:]...)
			exactly(t, c, 300)
			if answered.Load() == 0 {
				t.Error("no commit was answered so")
			}
		})
	}
}
