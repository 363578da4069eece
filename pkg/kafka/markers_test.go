package kafka_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
)

// The leader moves in the midst of a transaction, so that the marker is of another
// epoch than the data before it, and again when both have been read.
func TestLeadersThatMoveAroundAMarkerAreNotTakenForALoss(t *testing.T) {
	const name = "t"
	broker, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	c := kafka.Config{Brokers: broker.ListenAddrs(), FetchWait: 100 * time.Millisecond, MetadataAge: time.Second}
	move := func() {
		t.Helper()
		if err := broker.MoveTopicPartition(name, 0, (broker.LeaderFor(name, 0)+1)%3); err != nil {
			t.Fatal(err)
		}
	}
	producer := kafkatest.Client(t, c, append(c.Producer(), kgo.TransactionalID("x"))...)
	reader := kafkatest.Client(t, c, kgo.ConsumeTopics(name), kafka.Markers())
	read := 0
	for range 5 {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: name, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		move()
		if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		want := read + 1
		kafkatest.WaitFor(t, "the record", func() bool {
			fetches := reader.PollFetches(t.Context())
			for _, e := range fetches.Errors() {
				var loss *kgo.ErrDataLoss
				if errors.As(e.Err, &loss) {
					t.Fatal(e.Err)
				}
			}
			read += len(kafka.Data(fetches.Records()))
			return read >= want
		})
		move()
	}
	if read != 5 {
		t.Errorf("%d records were read of 5", read)
	}
}
