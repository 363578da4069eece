package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	segmentio "github.com/segmentio/kafka-go"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// Upstream teams bring clients of their own. segmentio/kafka-go shares no code
// with ours: what it writes, our readers read, and the other way round.
func TestAnotherClientReadsAndWritesTheSame(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		addr := segmentio.TCP(c.Brokers...)
		// Its own for each broker: the default one remembers for seconds which topics
		// there were, and those of the test before are gone.
		transport := &segmentio.Transport{}
		defer transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), kafkatest.Patience)
		defer cancel()

		writer := &segmentio.Writer{Addr: addr, Transport: transport, Topic: topic.CDRQueue, Balancer: segmentio.Murmur2Balancer{}, RequiredAcks: segmentio.RequireAll, BatchTimeout: 5 * time.Millisecond}
		const n = 20
		for i := range n {
			if err := writer.WriteMessages(ctx, segmentio.Message{
				Key: fmt.Appendf(nil, "k%d", i), Value: []byte(`{"CallId":"1"}`), Headers: []segmentio.Header{{Key: "ce_id", Value: []byte("1")}},
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		partitions := map[string]int32{}
		for _, r := range kafkatest.ReadAll(t, c, topic.CDRQueue) {
			partitions[string(r.Key)] = r.Partition
			if string(r.Value) != `{"CallId":"1"}` || len(r.Headers) != 1 || r.Headers[0].Key != "ce_id" {
				t.Errorf("read %v", r)
			}
		}
		if len(partitions) != n {
			t.Errorf("%d keys of %d", len(partitions), n)
		}
		// The same key goes to the same partition, whichever client sends it.
		for i := range n {
			key := fmt.Sprintf("k%d", i)
			if r := kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRQueue, key, "{}"))[0]; r.Partition != partitions[key] {
				t.Errorf("%s is in partition %d and in %d", key, partitions[key], r.Partition)
			}
		}

		reader := segmentio.NewReader(segmentio.ReaderConfig{Brokers: c.Brokers, GroupID: "aftercall-test-other", Topic: topic.CDRQueue, StartOffset: segmentio.FirstOffset, MaxWait: 100 * time.Millisecond})
		defer reader.Close()
		for range 2 * n {
			m, err := reader.FetchMessage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := reader.CommitMessages(ctx, m); err != nil {
				t.Fatal(err)
			}
		}

		meta, err := (&segmentio.Client{Addr: addr, Transport: transport}).Metadata(ctx, &segmentio.MetadataRequest{Topics: []string{topic.Events}})
		if err != nil || len(meta.Topics) != 1 || meta.Topics[0].Error != nil {
			t.Errorf("metadata is %v, %v", meta, err)
		}
	})
}
