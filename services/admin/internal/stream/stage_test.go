//go:build synctests

// What is real in these tests: Kafka's protocol (the embedded broker, on a virtual
// network), the hub, its streams. What is doubled: time, and the connection that a
// stream is written to. What may be asserted: what a listener is told, and when.
package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// stage is a broker, a hub that runs, and a sender's producer.
type stage struct {
	t        *testing.T
	kafka    kafka.Config
	hub      *Hub
	producer *kgo.Client
	made     int
}

func onStage(t *testing.T, o Options, body func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, kafka: kafkatest.StartVirtual(t).Config()}
		o := o
		o.Kafka = s.kafka
		o.Names = func(context.Context) (map[string]string, error) { return map[string]string{"sub_1": "CRM"}, nil }
		s.hub = New(o)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.hub.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("the hub ended: %v", err)
			}
		})
		s.producer = kafkatest.Client(t, s.kafka, s.kafka.Producer()...)
		body(t, s)
	})
}

// attempts produces n attempts over both partitions, in one request.
func (s *stage) attempts(n int) {
	s.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		s.made++
		id := fmt.Sprintf("a-%05d", s.made)
		records[i] = record.New(topic.History, "d-"+id, &aftercallv1.Attempt{
			AttemptId: id, DeliveryId: "d-" + id, EventId: "evt_1", SubscriptionId: "sub_1", EventType: "App.QueueWebhook", CallId: "c-1", Attempt: 1,
			Result: aftercallv1.Attempt_RESULT_FAILED, HttpStatus: 503, StartedAt: timestamppb.Now(), ResponseBody: []byte("secret"),
		}, time.Now())
	}
	s.produce(records...)
}

func (s *stage) produce(records ...*kgo.Record) {
	s.t.Helper()
	if err := s.producer.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// told is one event as it was written.
type told struct {
	ID, Event, Data string
}

func (e told) attempt() string {
	var a struct{ ID string }
	_ = json.Unmarshal([]byte(e.Data), &a)
	return a.ID
}

func (e told) dropped(t *testing.T) (reason string, n int64) {
	t.Helper()
	var g Gap
	if err := json.Unmarshal([]byte(e.Data), &g); err != nil {
		t.Fatalf("a gap says %q", e.Data)
	}
	return g.Reason, g.Dropped
}

// connection is what a stream is written to. While hold is set, writing stands
// still, as with somebody who does not read, until its deadline.
type connection struct {
	mu       sync.Mutex
	text     strings.Builder
	header   http.Header
	hold     bool
	deadline time.Time
	writes   int
}

func (c *connection) Header() http.Header { return c.header }
func (c *connection) WriteHeader(int)     {}
func (c *connection) FlushError() error   { return nil }

func (c *connection) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

func (c *connection) SetReadDeadline(time.Time) error { return nil }

func (c *connection) Write(b []byte) (int, error) {
	for {
		c.mu.Lock()
		if !c.hold {
			c.writes++
			c.text.Write(b)
			c.mu.Unlock()
			return len(b), nil
		}
		late := !time.Now().Before(c.deadline)
		c.mu.Unlock()
		if late {
			return 0, errors.New("i/o timeout")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *connection) holding(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = on
}

// events is what was told so far, but for the beats.
func (c *connection) events() (events []told, last string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for block := range strings.SplitSeq(c.text.String(), "\n\n") {
		var e told
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "id":
				e.ID, last = value, value
			case "event":
				e.Event = value
			case "data":
				e.Data = value
			}
		}
		if e.Data != "" {
			events = append(events, e)
		}
	}
	return events, last
}

// visit is one stream.
type visit struct {
	*connection
	leave context.CancelFunc
	ended chan error
}

func (s *stage) listen(r Request, allowed func(context.Context) error) *visit {
	s.t.Helper()
	ctx, leave := context.WithCancel(s.t.Context())
	l, err := s.hub.Listen(ctx, r, time.Minute)
	if err != nil {
		leave()
		s.t.Fatalf("listening: %v", err)
	}
	v := &visit{&connection{header: http.Header{}}, leave, make(chan error, 1)}
	if allowed == nil {
		allowed = func(context.Context) error { return nil }
	}
	go func() {
		defer close(v.ended)
		defer leave()
		v.ended <- l.Serve(ctx, v.connection, Way{Allowed: allowed, Encode: func(i *Item) (any, error) {
			return map[string]string{"id": i.Attempt.AttemptID, "name": i.Attempt.SubscriptionName, "reason": i.Reason, "change": i.Change}, nil
		}})
	}()
	s.t.Cleanup(func() {
		leave()
		<-v.ended
	})
	return v
}

// after lets time pass, and waits until everybody has done what there was to do.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
