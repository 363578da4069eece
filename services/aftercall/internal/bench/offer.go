package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/topic"
)

// payload makes a CDR: number i, produced at a time, or at none that matters.
type payload func(i int, at time.Time) []byte

// sentAt is the member of a CDR by which the receiver knows when it was
// produced: microseconds since 1970.
const sentAt = `"BenchSentAt":`

// payloadOf makes CDRs of about the size, each with a CallId of its own, and of
// one of so many organization units in turn.
func payloadOf(size, units int) payload {
	const head = `{"CallId":"`
	const rest = `,"ScenarioId":"5f2b7c1e-8f5a-4a52-9d8e-3d1f3b9a7c10","CallDirection":"Inbound","CallerName":"Sample Caller","CallerNumber":"+15550100",` +
		`"StartDateTime":"2026-03-01T09:00:00Z","EndDateTime":"2026-03-01T09:04:10Z","CallLength":250,"WaitTime":20,"TalkTime":230,` +
		`"QueueId":"12","QueueName":"Sales","MetServiceLevel":"True","AgentName":"Sample Agent","OUPath":"`
	return func(i int, at time.Time) []byte {
		b := bytes.NewBuffer(make([]byte, 0, size+64))
		b.WriteString(head)
		b.WriteString(strconv.Itoa(i))
		b.WriteString(`",` + sentAt)
		b.WriteString(strconv.FormatInt(max(at.UnixMicro(), 0), 10))
		b.WriteString(rest)
		b.WriteString(unit(i % max(units, 1)))
		b.WriteString(`","Filler":"`)
		b.WriteString(strings.Repeat("x", max(size-b.Len()-2, 0)))
		b.WriteString(`"}`)
		return b.Bytes()
	}
}

func unit(i int) string { return "Root/Unit " + strconv.Itoa(i) }

// counter numbers CDRs: none is a repeat of one from before.
var counter atomic.Int64

func numbers(n int) int {
	counter.CompareAndSwap(0, time.Now().UnixMilli()*1_000_000)
	return int(counter.Add(int64(n))) - n
}

// produce writes n CDRs to a topic as fast as the broker takes them.
func (p *pipeline) produce(ctx context.Context, to string, payload payload, n int) error {
	client, err := kgo.NewClient(append(p.at.kafka.Opts(), p.at.kafka.Producer()...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	first := numbers(n)
	for i := first; i < first+n; i++ {
		client.Produce(ctx, &kgo.Record{Topic: to, Key: []byte("bench-" + strconv.Itoa(i)), Value: payload(i, time.Time{})}, noteFailure(&failed))
	}
	return flush(ctx, client, &failed)
}

func noteFailure(failed *atomic.Pointer[error]) func(*kgo.Record, error) {
	return func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
}

func flush(ctx context.Context, client *kgo.Client, failed *atomic.Pointer[error]) error {
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("producing CDRs: %w", *err)
	}
	return nil
}

// offer produces CDRs at a rate for a while, each at its moment, until ctx ends
// or more says no, and answers how many.
func (p *pipeline) offer(ctx context.Context, payload payload, rate int, more func(n int) bool) (int, error) {
	client, err := kgo.NewClient(append(p.at.kafka.Opts(), p.at.kafka.Producer()...)...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	every := time.NewTicker(time.Second / time.Duration(rate))
	defer every.Stop()
	began, n := time.Now(), 0
	for more(n) {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-every.C:
		}
		// A ticker drops what nobody waited for; the rate is kept all the same.
		for due := int(time.Since(began) * time.Duration(rate) / time.Second); n < due && more(n); n++ {
			i := numbers(1)
			client.Produce(ctx, &kgo.Record{Topic: topic.CDRQueue, Key: []byte("bench-" + strconv.Itoa(i)), Value: payload(i, time.Now())}, noteFailure(&failed))
		}
	}
	return n, flush(ctx, client, &failed)
}

// exactly is a number of CDRs to offer.
func exactly(n int) func(int) bool { return func(have int) bool { return have < n } }
