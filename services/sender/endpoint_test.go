package sender_test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender"
)

func TestConnectionsAreUsedAgainUpToTheConcurrency(t *testing.T) {
	h := newHarness(t, kafkatest.Start(t).Config())
	const endpoints, concurrency, each = 5, 8, 400
	var mu sync.Mutex
	opened := 0
	var receivers []*receiver
	for i := range endpoints {
		r := newReceiver(t, nil, func(s *http.Server) {
			s.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					mu.Lock()
					opened++
					mu.Unlock()
				}
			}
		})
		receivers = append(receivers, r)
		h.subscribe(subscription.Subscription{ID: fmt.Sprintf("sub_%d", i), Endpoint: r.URL, Active: true, MaxConcurrency: concurrency})
		h.deliver(fmt.Sprintf("sub_%d", i), each)
	}
	h.start()
	for _, r := range receivers {
		kafkatest.WaitFor(t, "all requests", func() bool { return r.distinct() == each })
	}
	mu.Lock()
	defer mu.Unlock()
	// net/http may dial one in parallel while another comes free.
	if most := 2 * endpoints * concurrency; opened > most {
		t.Errorf("%d connections for %d requests to %d endpoints of concurrency %d", opened, endpoints*each, endpoints, concurrency)
	}
	t.Logf("%d connections for %d requests", opened, endpoints*each)
}

// gate counts requests under way.
type gate struct {
	mu           sync.Mutex
	now, most    int
	total, taken int
	together     []int
}

func (g *gate) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.total++
	g.most = max(g.most, g.now)
	g.together = append(g.together, g.now)
}

func (g *gate) leave(took bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
	if took {
		g.taken++
	}
}

func (g *gate) done() int { g.mu.Lock(); defer g.mu.Unlock(); return g.taken }

func TestAnEndpointBackAfterFourHoursIsMetGently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, kafkatest.StartVirtual(t).Config())
		const concurrency, waiting = 8, 300
		back := time.Now().Add(4 * time.Hour)
		var down, healthy gate
		var late []time.Duration
		h.subscribe(subscription.Subscription{ID: "down", Endpoint: "https://down.example/", Active: true, MaxConcurrency: concurrency})
		h.subscribe(subscription.Subscription{ID: "well", Endpoint: "https://well.example/", Active: true})
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g := &healthy
			if r.URL.Host == "down.example" {
				g = &down
			}
			g.enter()
			time.Sleep(20 * time.Millisecond)
			ok := g == &healthy || time.Now().After(back)
			if !ok {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			g.leave(ok)
		})
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = direct{handler} })
		h.deliver("down", waiting)
		// Others go on all the time, one a minute.
		client := kafkatest.Client(t, h.kafka, h.kafka.Producer()...)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for i := range 330 {
				began := time.Now()
				if err := client.ProduceSync(t.Context(), deliveryRecord(delivery("well", i))).FirstErr(); err != nil {
					t.Error(err)
					return
				}
				for healthy.done() <= i {
					time.Sleep(time.Millisecond)
				}
				late = append(late, time.Since(began))
				time.Sleep(time.Minute)
			}
		}()
		<-ended
		for down.done() < waiting && time.Since(back) < 24*time.Hour {
			time.Sleep(time.Minute)
		}
		running.stop(t)
		if down.taken != waiting {
			t.Errorf("%d of %d arrived", down.taken, waiting)
		}
		if down.most > concurrency {
			t.Errorf("%d requests at once", down.most)
		}
		// While it was down it was probed, not hammered: 300 deliveries on the
		// full schedule would be 2,000 requests in four hours.
		if failed := down.total - down.taken; failed > 300 {
			t.Errorf("%d requests while it was down", failed)
		}
		for _, d := range late {
			if d > 200*time.Millisecond {
				t.Errorf("a healthy delivery took %v", d)
			}
		}
	})
}

func TestTwentyThousandThatWaitedGoOutWithinTheirConcurrency(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		h := newHarness(t, c)
		// All of them on a real broker; the embedded one's test also runs under the
		// race detector on any machine.
		waiting, concurrency := 20_000, 8
		if c.Embedded {
			waiting = 4_000
		}
		var g gate
		receiver := newReceiver(t, func(http.ResponseWriter, *http.Request) {
			g.enter()
			g.leave(true)
		})
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: receiver.URL, Active: true, MaxConcurrency: concurrency})
		// As a sender would have left them, due now.
		records := make([]*kgo.Record, waiting)
		for i := range records {
			d := delivery("sub_1", i)
			d.Attempt, d.Cause = 2, aftercallv1.Cause_CAUSE_CALL_ENDED
			records[i] = record.New(topic.Tiers[0].Topic, record.ShardKey(d, concurrency), d, time.Now())
		}
		kafkatest.Produce(t, c, records...)
		h.start()
		kafkatest.WaitWithin(t, 4*time.Minute, "all that waited", func() bool { return receiver.distinct() == waiting })
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.most > concurrency {
			t.Errorf("%d requests at once", g.most)
		}
		if repeated := receiver.count() - waiting; repeated > 0 {
			t.Errorf("%d repeated", repeated)
		}
	})
}
