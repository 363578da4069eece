package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/topic"
)

// transactional are the topics that transactions write to: the router's outputs.
var transactional = []string{topic.Events, topic.Deliveries, topic.Rejected}

// abortTimeout bounds what is a handful of writes.
const abortTimeout = 30 * time.Second

// abortTorn ends the transactions that a killed process left open. kfake takes
// them for aborted when it loads the folder, but writes no marker that says where
// they end. Without one a client drops whatever the same producer commits next,
// where one fetch brings both: deliveries would be lost. After another restart
// the torn records would even count as committed.
//
// A marker where nothing is open is skipped by every reader.
func (b *Broker) abortTorn() error {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	client, err := kgo.NewClient(b.Kafka().Opts()...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	producers, err := adm.DescribeTransactions(ctx)
	if err != nil {
		return fmt.Errorf("listing producers: %w", err)
	}
	details, err := adm.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var partitions kadm.TopicsSet
	for _, name := range transactional {
		for _, p := range details[name].Partitions {
			partitions.Add(name, p.Partition)
		}
	}
	if len(producers) == 0 || len(partitions) == 0 {
		return nil
	}
	var markers []kadm.TxnMarkers
	for _, p := range producers {
		if p.Err != nil {
			return fmt.Errorf("describing producer %s: %w", p.TxnID, p.Err)
		}
		markers = append(markers, kadm.TxnMarkers{ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, Topics: partitions})
	}
	answers, err := adm.WriteTxnMarkers(ctx, markers...)
	if err != nil {
		return err
	}
	for _, a := range answers.Sorted() {
		for _, t := range a.Topics.Sorted() {
			for _, p := range t.Partitions.Sorted() {
				if p.Err != nil {
					return fmt.Errorf("ending the transaction on %s/%d: %w", p.Topic, p.Partition, p.Err)
				}
			}
		}
	}
	return nil
}
