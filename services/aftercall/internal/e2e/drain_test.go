package e2e

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestASenderThatIsAskedToEndFinishesWhatItBeganAndRepeatsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		p := underLoad(t, s)
		p.midway(p.receiver.delivered)
		p.sender.stop()
		t.Logf("%d of %d were delivered before the end", p.receiver.delivered(), p.calls)
		p.further(1000)
		p.sender = s.start("sender", open...)
		p.finish(0)
	})
}

func TestASenderThatJoinsAndLeavesTheGroupRepeatsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		p := underLoad(t, s)
		second := s.begin("sender", append([]string{"AFTERCALL_INSTANCE=sender-1"}, open...)...)
		second.ready()
		wait(t, "partitions of the second sender", func() bool {
			p.more()
			_, assigned := second.said("partition.assigned")
			return assigned
		})
		wait(t, "work of the second sender", func() bool {
			p.more()
			return sentBy(t, p, "sender-1") > 0
		})
		p.more()
		second.stop()
		p.further(1000)
		p.finish(0)
		t.Logf("the second sender made %d of %d requests", sentBy(t, p, "sender-1"), p.receiver.requests())
	})
}

// sentBy counts the attempts of one sender.
func sentBy(t *testing.T, p *pipeline, instance string) int {
	t.Helper()
	n := 0
	for _, r := range kafkatest.ReadAll(t, p.kafka, topic.History) {
		if a, err := record.OpenAs[*aftercallv1.Attempt](r); err == nil && a.GetSender() == instance {
			n++
		}
	}
	return n
}
