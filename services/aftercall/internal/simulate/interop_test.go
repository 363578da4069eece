package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/aftercall/aftercall/pkg/cdrclient"
	aftercallkafka "github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// What a team that uses segmentio/kafka-go by itself may rely on.

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), kafkatest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// transport is one of the test's own: the default one remembers for seconds which
// topics there were, and those of the test before are gone.
func transport(t *testing.T) *kafka.Transport {
	own := &kafka.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	return own
}

func TestKafkaGosWriterProducesAndItsGroupReaderConsumes(t *testing.T) {
	kafkatest.OnBoth(t, kafkaGosWriterProducesAndItsGroupReaderConsumes)
}

func kafkaGosWriterProducesAndItsGroupReaderConsumes(t *testing.T, c aftercallkafka.Config) {
	ctx := patience(t)
	w := &kafka.Writer{Addr: kafka.TCP(c.Brokers[0]), Transport: transport(t), Topic: topic.CDRQueue, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, Compression: kafka.Snappy}
	defer w.Close()
	var sent []kafka.Message
	for i := range 200 {
		sent = append(sent, kafka.Message{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"CallId":"%d"}`, i), Headers: []kafka.Header{{Key: "ce_id", Value: fmt.Append(nil, i)}}})
	}
	if err := w.WriteMessages(ctx, sent...); err != nil {
		t.Fatal(err)
	}
	read := func(n int) (values []string) {
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{c.Brokers[0]}, Topic: topic.CDRQueue, GroupID: "interop", StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond})
		defer r.Close()
		for range n {
			m, err := r.FetchMessage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Headers) != 1 || m.Headers[0].Key != "ce_id" {
				t.Fatalf("headers %v", m.Headers)
			}
			values = append(values, string(m.Value))
			if err := r.CommitMessages(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		return values
	}
	// Two readers of one group, one after the other: the second goes on where the
	// first had committed.
	got := append(read(120), read(80)...)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 200 {
		t.Fatalf("%d distinct values of 200", len(got))
	}
}

func TestKafkaGosAdminSeesAndMakesTopics(t *testing.T) {
	kafkatest.OnBoth(t, kafkaGosAdminSeesAndMakesTopics)
}

func kafkaGosAdminSeesAndMakesTopics(t *testing.T, c aftercallkafka.Config) {
	ctx := patience(t)
	admin := &kafka.Client{Addr: kafka.TCP(c.Brokers[0]), Transport: transport(t)}
	made, err := admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "contoso.queue.v2", NumPartitions: 3, ReplicationFactor: 1}}})
	if err != nil || made.Errors["contoso.queue.v2"] != nil {
		t.Fatalf("%v, %v", err, made)
	}
	t.Cleanup(func() {
		// A real broker outlives the test, and this topic is none of Aftercall's.
		ctx, cancel := context.WithTimeout(context.Background(), kafkatest.Patience)
		defer cancel()
		deleted, err := admin.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{"contoso.queue.v2"}})
		if err != nil || deleted.Errors["contoso.queue.v2"] != nil {
			t.Errorf("deleting the topic: %v, %v", err, deleted)
		}
	})
	partitions := map[string]int{}
	// A real broker answers that it has made a topic before it knows of it itself.
	kafkatest.WaitFor(t, "the topic to be known", func() bool {
		answer, err := admin.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"contoso.queue.v2", topic.CDRQueue}})
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range answer.Topics {
			if errors.Is(found.Error, kafka.UnknownTopicOrPartition) {
				return false
			}
			if found.Error != nil {
				t.Fatalf("%s: %v", found.Name, found.Error)
			}
			partitions[found.Name] = len(found.Partitions)
		}
		return true
	})
	if partitions["contoso.queue.v2"] != 3 || partitions[topic.CDRQueue] < 1 {
		t.Fatalf("partitions %v", partitions)
	}
	offsets, err := admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic.CDRQueue: {kafka.LastOffsetOf(0)}}})
	if err != nil || offsets.Topics[topic.CDRQueue][0].Error != nil {
		t.Fatalf("%v, %v", err, offsets)
	}
}

func TestAnUpstreamsClientSendsBatchesByteForByte(t *testing.T) {
	kafkatest.OnBoth(t, anUpstreamsClientSendsBatchesByteForByte)
}

func anUpstreamsClientSendsBatchesByteForByte(t *testing.T, c aftercallkafka.Config) {
	client, err := cdrclient.New(cdrclient.Config{Brokers: []string{c.Brokers[0]}, Source: "contoso/pbx"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(patience(t)); err != nil {
		t.Fatal(err)
	}
	var cdrs []cdrclient.CDR
	want := map[string]bool{}
	for i := range 3000 {
		text := fmt.Sprintf(`{"CallId" : %d,  "Brand":{"new":[1.0, 1e400]}}`, i)
		want[text] = true
		cdrs = append(cdrs, cdrclient.Raw{Type: "App.QueueWebhook", JSON: []byte(text)})
	}
	// One at the cap: the broker's topics take it.
	large := `{"CallId":"large","X":"` + strings.Repeat("x", cdrclient.MaxBytes-len(`{"CallId":"large","X":""}`)) + `"}`
	want[large] = true
	cdrs = append(cdrs, cdrclient.Raw{Type: "App.QueueWebhook", JSON: []byte(large)})
	if err := client.Send(patience(t), cdrs...); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range kafkatest.ReadAll(t, c, topic.CDRQueue) {
		if !want[string(r.Value)] {
			t.Fatalf("%.80s… was not sent, or came twice", r.Value)
		}
		delete(want, string(r.Value))
	}
	if len(want) != 0 {
		t.Fatalf("%d did not arrive", len(want))
	}
}

func TestAnUpstreamsClientNamesTheCDRThatTheBrokerRefused(t *testing.T) {
	kafkatest.OnBoth(t, anUpstreamsClientNamesTheCDRThatTheBrokerRefused)
}

func anUpstreamsClientNamesTheCDRThatTheBrokerRefused(t *testing.T, c aftercallkafka.Config) {
	client, err := cdrclient.New(cdrclient.Config{Brokers: []string{c.Brokers[0]}, Attempts: 1, Topics: map[string]string{"App.IvrWebhook": "contoso.absent"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.Send(patience(t), cdrclient.QueueCDR{CallId: "arrives"}, cdrclient.IvrCDR{CallId: "fails"})
	failed, ok := errors.AsType[*cdrclient.SendError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if len(failed.Failures) != 1 || failed.Failures[0].CallID != "fails" || failed.Failures[0].Index != 1 || !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "contoso.absent") {
		t.Fatalf("the error does not name the topic: %v", err)
	}
	if arrived := kafkatest.ReadAll(t, c, topic.CDRQueue); len(arrived) != 1 || string(arrived[0].Key) != "arrives" {
		t.Fatalf("%d records arrived", len(arrived))
	}
	if err := client.Ping(patience(t)); err == nil || !strings.Contains(err.Error(), "contoso.absent") {
		t.Fatalf("Ping: %v", err)
	}
}
