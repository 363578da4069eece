// Package cdrclient produces call detail records to Aftercall's topics. It is
// what an upstream written in Go imports; it needs segmentio/kafka-go and
// nothing else of Aftercall.
//
//	client, err := cdrclient.New(cdrclient.Config{Brokers: []string{"kafka:9092"}, Source: "contoso/pbx"})
//	…
//	defer client.Close()
//	err = client.Send(ctx, cdrclient.QueueCDR{CallId: "8f3c", QueueName: "Sales", CallLength: cdrclient.Number(153)})
//
// What it guarantees:
//
//   - A CDR that Aftercall's router would reject is not sent: Send names it, its
//     field and the reason. Both are held to the same table of cases.
//   - Send returns nil when every record is acknowledged by all in-sync replicas.
//     Otherwise its *SendError lists each record that failed, and why. The call
//     may be repeated with those: a CDR that arrives twice is one event.
//   - Records are keyed by CallId and spread as Java's and librdkafka's murmur2
//     partitioners do, so that all producers of a topic agree.
//   - Close waits for what is being sent.
//
// A CDR is one of the typed ones (QueueCDR, IvrCDR, AgentCDR, RecordingCDR,
// TestCDR) or a Raw, which is sent byte for byte. A Message around it adds an id,
// a time or a tenant of its own.
package cdrclient

//go:generate go run ./internal/gen -schemas ../../proto/cdr/v1 -out types_gen.go
