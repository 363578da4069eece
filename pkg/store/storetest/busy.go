package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// BenchmarkProject projects batches of 5,000 records, half of them events of
// 1.2 KB and half the attempts that deliver them.
func BenchmarkProject(b *testing.B, db *store.DB) {
	const pairs = 2500
	var cpu time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		batch := BusyBatch(n, pairs)
		batch.Offsets = []store.Offset{{Topic: topic.History, From: int64(n * pairs), To: int64((n + 1) * pairs)}}
		before := processorTime()
		b.StartTimer()
		if _, err := db.Project(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
		cpu += processorTime() - before
	}
	// Of this process: a server's comes on top.
	b.ReportMetric(float64(cpu.Microseconds())/float64(2*pairs*b.N), "cpu-µs/record")
	b.ReportMetric(float64(2*pairs*b.N)/b.Elapsed().Seconds(), "records/s")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BusyBatch is the n-th batch of a busy deployment: events, and one delivered
// attempt for each, over 50 subscriptions.
func BusyBatch(n, pairs int) *store.Batch {
	payload := make([]byte, 1200)
	for i := range payload {
		payload[i] = byte('a' + (i*7+n)%26)
	}
	batch := &store.Batch{}
	start := time.Now().UTC().Truncate(time.Hour).Add(time.Duration(n) * time.Second)
	for i := range pairs {
		at := start.Add(time.Duration(i) * time.Microsecond)
		sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", n, i))
		event, delivery := fmt.Sprintf("evt_%x", sum[:16]), fmt.Sprintf("dlv_%x", sum[16:])
		// Time-ordered, as a UUIDv7 is.
		attempt := fmt.Sprintf("%012x-7%03x-%08x", at.UnixMilli(), i%4096, sum[:8])
		call, sub := fmt.Sprintf("8f3c%x", sum[4:10]), fmt.Sprintf("sub_%02d", i%50)
		p := &aftercallv1.Position{Topic: topic.CDRQueue, Offset: int64(n*pairs + i)}
		batch.Events = append(batch.Events, &aftercallv1.Event{
			EventId: event, Tenant: "default", EventType: topic.TypeQueue, CallId: call, ScenarioId: call, OuPath: "Root/Sales", Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
			OccurredAt: timestamppb.New(at), ProducedAt: timestamppb.New(at), RoutedAt: timestamppb.New(at), Position: p, Payload: payload,
			Decisions: []*aftercallv1.Decision{{SubscriptionId: sub, SubscriptionVersion: 1, Outcome: aftercallv1.Decision_OUTCOME_MATCHED, DeliveryId: delivery}},
		})
		batch.Attempts = append(batch.Attempts, &store.AttemptAt{Record: p, StoredAt: at, Attempt: &aftercallv1.Attempt{
			AttemptId: attempt, DeliveryId: delivery, EventId: event, SubscriptionId: sub, SubscriptionVersion: 1, Tenant: "default", EventType: topic.TypeQueue, CallId: call,
			Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 1, AttemptsAllowed: 13, StartedAt: timestamppb.New(at), RemoteAddress: "192.0.2.1:443",
			Timings: &aftercallv1.Timings{Total: durationpb.New(7 * time.Millisecond), ConnectionReused: true}, Result: aftercallv1.Attempt_RESULT_DELIVERED, HttpStatus: 200,
			State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED, RequestUrl: "https://crm.example.com/hooks/aftercall", Sender: "sender-1", Position: p,
			RequestHeaders:  []*aftercallv1.HttpHeader{{Name: "webhook-id", Value: event}, {Name: "webhook-signature", Value: "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="}, {Name: "aftercall-delivery-id", Value: delivery}},
			ResponseHeaders: []*aftercallv1.HttpHeader{{Name: "content-length", Value: "2"}}, ResponseBody: []byte("ok"),
			OccurredAt: timestamppb.New(at), FirstQueuedAt: timestamppb.New(at),
		}})
	}
	return batch
}
