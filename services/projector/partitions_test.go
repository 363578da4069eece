package projector_test

import (
	"context"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector"
)

// The store's offsets know nothing of a partition that is added: it is read from
// its first record.
func TestPartitionsThatAreAddedAreProjectedFromTheirFirstRecord(t *testing.T) {
	c := kafkatest.Start(t).Config()
	c.MetadataAge = 500 * time.Millisecond
	db := storetest.SQLite(t)
	var kept []storetest.Record
	for _, r := range storetest.Feed(9, 60) {
		if r.Event != nil || r.Attempt != nil {
			kept = append(kept, r)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- projector.Run(ctx, projector.Config{Kafka: c, Instance: "projector-1"}, projector.Deps{Store: db})
	}()
	early := kept[:len(kept)/3]
	produce(t, c, early)
	arrived := func(records []storetest.Record) func() bool {
		m := storetest.ModelOf(records)
		return func() bool {
			attempts, events := rows(db)
			return attempts == len(m.Attempts) && events == len(m.Events)
		}
	}
	kafkatest.WaitFor(t, "the first records", arrived(early))
	answers, err := kafkatest.Admin(t, c).UpdatePartitions(t.Context(), 5, topic.Events, topic.History)
	if err != nil || answers.Error() != nil {
		t.Fatal(err, answers.Error())
	}
	produce(t, c, kept[len(early):])
	kafkatest.WaitFor(t, "all records", arrived(kept))
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
	var partitions int
	if err := db.SQL().QueryRow("select count(*) from projector_offsets where topic = $1 and next_offset > 0", topic.History).Scan(&partitions); err != nil || partitions < 4 {
		t.Errorf("%d partitions of the history were read: %v", partitions, err)
	}
}
