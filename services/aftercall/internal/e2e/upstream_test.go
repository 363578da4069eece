package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// upstream is call processing: it produces CDRs and logs what was acknowledged.
type upstream struct {
	t       *testing.T
	client  *kgo.Client
	ctx     context.Context // until the test is over
	sending sync.WaitGroup

	mu    sync.Mutex
	acked []verify.CDR
	calls int
}

func newUpstream(t *testing.T, c kafka.Config) *upstream {
	t.Helper()
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	u := &upstream{t: t, client: client, ctx: ctx}
	// Nothing of it goes on when the test is over, nor says so to a test that is.
	t.Cleanup(func() {
		end()
		u.sending.Wait()
		client.Close()
	})
	return u
}

// send produces n CDRs at a rate, a batch each twentieth of a second. The channel
// closes when all are acknowledged.
func (u *upstream) send(topicName string, n, perSecond int) <-chan struct{} {
	done := make(chan struct{})
	const batches = 20
	u.sending.Go(func() {
		defer close(done)
		tick := time.NewTicker(time.Second / batches)
		defer tick.Stop()
		for sent := 0; sent < n && u.ctx.Err() == nil; {
			for range min(perSecond/batches, n-sent) {
				u.produce(u.next(topicName))
				sent++
			}
			<-tick.C
		}
		ctx, cancel := context.WithTimeout(u.ctx, 2*patience)
		defer cancel()
		if err := u.client.Flush(ctx); err != nil && u.ctx.Err() == nil {
			u.t.Errorf("producing CDRs: %v", err)
		}
	})
	return done
}

func (u *upstream) next(topicName string) *kgo.Record {
	u.mu.Lock()
	u.calls++
	n := u.calls
	u.mu.Unlock()
	id := fmt.Sprintf("call-%06d", n)
	return &kgo.Record{Topic: topicName, Key: []byte(id), Value: fmt.Appendf(nil,
		`{"CallId": %q, "ScenarioId":"s-%d", "QueueName":"Sales", "From":"+15550100","DurationInSeconds": %d,  "Note":"é ☎ %d"}`, id, n, n%600, n)}
}

// produce logs a record once it is acknowledged.
func (u *upstream) produce(r *kgo.Record) {
	u.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		if err != nil {
			if u.ctx.Err() == nil {
				u.t.Errorf("producing a CDR: %v", err)
			}
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.acked = append(u.acked, verify.CDR{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Value: r.Value})
	})
}

// acknowledged is the log.
func (u *upstream) acknowledged() []verify.CDR {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]verify.CDR(nil), u.acked...)
}
