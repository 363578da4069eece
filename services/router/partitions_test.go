package router_test

import (
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// As docs/operations.md says it: partitions are added while calls come, and nothing
// is restarted. The router finds them when it refreshes what it knows of topics.
func TestPartitionsThatAreAddedUnderLoadAreReadFromTheirFirstRecord(t *testing.T) {
	c := kafkatest.Start(t).Config()
	c.MetadataAge = 500 * time.Millisecond
	subscribe(t, c, queueSubscription("sub_a"))
	start(t, c, "router-0")
	all := calls(600)
	kafkatest.Produce(t, c, all[:100]...)
	kafkatest.WaitFor(t, "the first calls", func() bool { return len(events(t, c)) >= 100 })

	answers, err := kafkatest.Admin(t, c).UpdatePartitions(t.Context(), 4, topic.CDRQueue, topic.Events, topic.Deliveries)
	if err != nil || answers.Error() != nil {
		t.Fatal(err, answers.Error())
	}
	kafkatest.Produce(t, c, all[100:]...)
	exactly(t, c, 600)
	from := map[int32]int{}
	for _, e := range events(t, c) {
		from[e.GetPosition().GetPartition()]++
	}
	if len(from) != 4 {
		t.Errorf("calls came from partitions %v, not from four", from)
	}
}
