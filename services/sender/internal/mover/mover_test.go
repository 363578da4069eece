package mover

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// known is one subscription, or none.
type known struct{ sub *subscription.Subscription }

func (k known) Get(string) (*subscription.Subscription, bool) { return k.sub, k.sub != nil }

func start(t *testing.T, b *kafkatest.Broker, subs Subscriptions) *Mover {
	t.Helper()
	m, err := New(b.Config(), "", subs, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

func wait(t *testing.T, b *kafkatest.Broker, values ...string) {
	t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic.Tiers[0].Topic, Key: []byte("sub/0"), Value: []byte(v), Timestamp: time.Now()}
	}
	kafkatest.Produce(t, b.Config(), records...)
}

func moved(t *testing.T, b *kafkatest.Broker) []string {
	t.Helper()
	var values []string
	for _, r := range kafkatest.ReadAll(t, b.Config(), topic.Deliveries) {
		values = append(values, string(r.Value))
	}
	return values
}

func TestAMoverThatLostItsSessionMovesOn(t *testing.T) {
	b := kafkatest.Start(t)
	m := start(t, b, known{})
	wait(t, b, "x")
	kafkatest.WaitFor(t, "a held record", func() bool { return len(m.client.PauseFetchPartitions(nil)) > 0 })
	b.Cluster().ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		resp := r.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		return resp, nil, true
	})
	kafkatest.WaitFor(t, "the record to come back", func() bool { return len(moved(t, b)) > 0 })
}

func TestWhatWasSentAgainIsDropped(t *testing.T) {
	b := kafkatest.Start(t)
	start(t, b, known{&subscription.Subscription{ID: "sub", Released: []subscription.Position{{Topic: topic.Tiers[0].Topic, Partition: 0, Offset: 2}}}})
	wait(t, b, "sent again", "sent again too", "still waiting")
	kafkatest.WaitFor(t, "the third record", func() bool { return len(moved(t, b)) > 0 })
	if got := moved(t, b); len(got) != 1 || got[0] != "still waiting" {
		t.Errorf("moved %q", got)
	}
}
