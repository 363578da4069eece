package sender_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// committed is the sum of what the senders have committed.
func (h *harness) committed() int64 {
	h.t.Helper()
	offsets, err := kafkatest.Admin(h.t, h.kafka).FetchOffsets(h.t.Context(), topic.GroupSender)
	if err != nil {
		h.t.Fatal(err)
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic.Deliveries {
			sum += max(o.At, 0)
		}
	})
	return sum
}

func TestABrokerThatRefusesTheMapOfWhatIsFinishedGetsOffsetsAlone(t *testing.T) {
	broker := kafkatest.Start(t)
	h := newHarness(t, broker.Config())
	var refused, alone atomic.Int64
	broker.Cluster().ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().KeepControl()
		request := r.(*kmsg.OffsetCommitRequest)
		response := request.ResponseKind().(*kmsg.OffsetCommitResponse)
		tooLarge := false
		for _, rt := range request.Topics {
			st := kmsg.NewOffsetCommitResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewOffsetCommitResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.OffsetMetadataTooLarge.Code
				st.Partitions = append(st.Partitions, sp)
				tooLarge = tooLarge || rp.Metadata != nil && *rp.Metadata != ""
			}
			response.Topics = append(response.Topics, st)
		}
		if request.Group != topic.GroupSender {
			return nil, nil, false
		}
		if !tooLarge {
			if refused.Load() > 0 {
				alone.Add(1)
			}
			return nil, nil, false
		}
		refused.Add(1)
		return response, nil, true
	})
	// The first one is under way until there is a map of those behind it.
	var first atomic.Bool
	release := make(chan struct{})
	receiver := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: receiver.URL, Active: true, MaxConcurrency: 4})
	const n = 40
	h.deliver("sub_1", n)
	h.start()
	// It asks again without one while there is something to map.
	kafkatest.WaitFor(t, "offsets without a map", func() bool { return alone.Load() > 0 })
	if n := refused.Load(); n != 1 {
		t.Errorf("the map was refused %d times", n)
	}
	close(release)
	kafkatest.WaitFor(t, "the commit of all", func() bool { return h.committed() == n })
	if receiver.distinct() != n || receiver.count() != n {
		t.Errorf("%d requests for %d of %d deliveries", receiver.count(), receiver.distinct(), n)
	}
}

func TestASenderStartsOverWhateverStandsBesideItsOffsets(t *testing.T) {
	for name, metadata := range map[string]string{"nobody's": "member-1", "damaged": "aftercall1:%%%", "a later version's": "aftercall2:AQEB"} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, kafkatest.Start(t).Config())
			receiver := newReceiver(t, nil)
			h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: receiver.URL, Active: true})
			const n = 40
			h.deliver("sub_1", n)
			// As if the first of each partition had been sent.
			offsets, sent := kadm.Offsets{}, int64(0)
			admin := kafkatest.Admin(t, h.kafka)
			ends, err := admin.ListEndOffsets(t.Context(), topic.Deliveries)
			if err != nil {
				t.Fatal(err)
			}
			ends.Each(func(o kadm.ListedOffset) {
				at := min(o.Offset, 1)
				sent += at
				offsets.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: at, LeaderEpoch: -1, Metadata: metadata})
			})
			if answers, err := admin.CommitOffsets(t.Context(), topic.GroupSender, offsets); err != nil || answers.Error() != nil {
				t.Fatal(err, answers.Error())
			}
			h.start()
			kafkatest.WaitFor(t, "the commit of all", func() bool { return h.committed() == n })
			if want := n - int(sent); receiver.distinct() != want || receiver.count() != want {
				t.Errorf("%d requests for %d deliveries, want %d", receiver.count(), receiver.distinct(), want)
			}
		})
	}
}
