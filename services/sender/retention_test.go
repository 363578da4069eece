package sender_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// What the broker has deleted unread cannot be sent any more: how much it was is
// said, and the rest goes out.
func TestALogThatBeginsBehindWhatWasCommittedIsSentFromItsStartAndTheGapIsSaid(t *testing.T) {
	c := kafkatest.Start(t).Config()
	logged, logs := observer.New(zap.ErrorLevel)
	c.Logger = zap.New(logged)
	h := newHarness(t, c)
	receiver := newReceiver(t, nil)
	h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: receiver.URL, Active: true})
	const n = 60
	h.deliver("sub_1", n)
	admin := kafkatest.Admin(t, c)
	ends, err := admin.ListEndOffsets(t.Context(), topic.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	committed, starts, gone := kadm.Offsets{}, kadm.Offsets{}, int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		committed.AddOffset(o.Topic, o.Partition, 0, -1)
		starts.AddOffset(o.Topic, o.Partition, o.Offset/2, -1)
		gone += o.Offset / 2
	})
	if a, err := admin.CommitOffsets(t.Context(), topic.GroupSender, committed); err != nil || a.Error() != nil {
		t.Fatal(err, a.Error())
	}
	if a, err := admin.DeleteRecords(t.Context(), starts); err != nil || a.Error() != nil {
		t.Fatal(err, a.Error())
	}
	h.start()
	kafkatest.WaitFor(t, "the commit of the rest", func() bool { return h.committed() == n })
	if want := n - int(gone); receiver.count() != want || receiver.distinct() != want {
		t.Errorf("%d requests for %d deliveries, want %d", receiver.count(), receiver.distinct(), want)
	}
	said := int64(0)
	for _, e := range logs.FilterMessage("offsets.gap").All() {
		if lost, ok := e.ContextMap()["lost"].(int64); ok {
			said += lost
		}
	}
	if said != gone {
		t.Errorf("%d are said to be gone, %d are", said, gone)
	}
}
