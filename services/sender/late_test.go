package sender_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender"
)

// lateCommit is a commit of a sender that the broker got, and that it carries out
// later than all that follow.
type lateCommit struct {
	broker *kafkatest.Broker
	mu     sync.Mutex
	held   *kmsg.OffsetCommitRequest
}

var errCutOff = errors.New("cut off")

// holdCommit holds the next commit of the senders back; the connection that it came
// by is cut, as it would be after a time-out.
func holdCommit(b *kafkatest.Broker) *lateCommit {
	l := &lateCommit{broker: b}
	b.Cluster().ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		request := r.(*kmsg.OffsetCommitRequest)
		if request.Group != topic.GroupSender {
			return nil, nil, false
		}
		copied := kmsg.NewPtrOffsetCommitRequest()
		copied.SetVersion(request.GetVersion())
		if err := copied.ReadFrom(request.AppendTo(nil)); err != nil {
			return nil, nil, false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held = copied
		return nil, errCutOff, true
	})
	return l
}

func (l *lateCommit) isHeld() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held != nil
}

// land carries it out now, and answers what the broker says to each partition.
func (l *lateCommit) land(t *testing.T, h *harness) []error {
	t.Helper()
	response, err := l.held.RequestWith(context.Background(), kafkatest.Client(t, h.kafka))
	if err != nil {
		t.Fatal(err)
	}
	var said []error
	for _, answered := range response.Topics {
		for _, p := range answered.Partitions {
			said = append(said, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	if len(said) == 0 {
		t.Fatal("nothing was committed late")
	}
	return said
}

func named(instance string, handler http.Handler) func(*sender.Config, *sender.Deps) {
	return func(c *sender.Config, d *sender.Deps) { c.Instance, d.Transport = instance, direct{handler} }
}

func TestACommitThatLandsAfterItsPartitionWentToAnotherMovesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := kafkatest.StartVirtual(t)
		h := newHarness(t, broker.Config())
		h.kafka.Session, h.kafka.Heartbeat, h.kafka.FetchWait = 10*time.Second, time.Second, time.Second
		var got taken
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got.take(r) })
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/", Active: true, MaxConcurrency: 16})
		late := holdCommit(broker)
		first := h.start(named("sender-1", handler))
		const n = 60
		h.deliver("sub_1", n/2)
		until(t, time.Minute, "commit to be held", late.isHeld)
		second := h.start(named("sender-2", handler))
		until(t, time.Minute, "readiness", func() bool { return second.health.Err() == nil })
		first.stop(t)
		h.deliverFrom("sub_1", n/2, n/2)
		until(t, 10*time.Minute, "commit of all", func() bool { return h.committed() == n })
		for _, err := range late.land(t, h) {
			if !errors.Is(err, kerr.IllegalGeneration) && !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.FencedInstanceID) {
				t.Errorf("the late commit was answered with %v", err)
			}
		}
		if at := h.committed(); at != n || got.distinct() != n {
			t.Errorf("%d of %d are committed, %d were taken", at, n, got.distinct())
		}
		second.stop(t)
		got.once(t)
	})
}

func TestACommitThatLandsAfterLaterOnesIsMadeGoodBeforeAnybodyStartsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := kafkatest.StartVirtual(t)
		h := newHarness(t, broker.Config())
		h.kafka.FetchWait = time.Second
		var got taken
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got.take(r) })
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/", Active: true})
		const n = 40
		h.deliver("sub_1", n/2)
		late := holdCommit(broker)
		first := h.start(named("sender-1", handler))
		until(t, time.Minute, "commit to be held", late.isHeld)
		h.deliverFrom("sub_1", n/2, n/2)
		until(t, time.Minute, "commit of all", func() bool { return h.committed() == n })
		for _, err := range late.land(t, h) {
			if err != nil {
				t.Errorf("the late commit was answered with %v", err)
			}
		}
		if at := h.committed(); at >= n {
			t.Fatalf("the late commit moved nothing back: %d", at)
		}
		until(t, 2*time.Minute, "commit of all, again", func() bool { return h.committed() == n })
		first.stop(t)
		second := h.start(named("sender-1", handler))
		until(t, time.Minute, "readiness", func() bool { return second.health.Err() == nil })
		h.deliverFrom("sub_1", n, 1)
		until(t, time.Minute, "commit of one more", func() bool { return h.committed() == n+1 })
		second.stop(t)
		got.once(t)
	})
}
