//go:build proof

package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// badNetwork is bad: all that goes through it takes 200 ± 100 ms each way.
type badNetwork struct {
	t      *testing.T
	server *toxiproxy.ApiServer
}

func newNetwork(t *testing.T) *badNetwork {
	return &badNetwork{t: t, server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// to leads to an address through the network.
func (n *badNetwork) to(upstream string) *toxiproxy.Proxy {
	n.t.Helper()
	p := toxiproxy.NewProxy(n.server, upstream, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(p.Stop)
	// It is stopped and started on the same port.
	for _, stream := range []string{"upstream", "downstream"} {
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(`{"type":"latency","stream":"` + stream + `","attributes":{"latency":200,"jitter":100}}`)); err != nil {
			n.t.Fatal(err)
		}
	}
	return p
}

// cut resets every connection of one proxy.
func (n *badNetwork) cut(p *toxiproxy.Proxy) {
	n.t.Helper()
	p.Stop()
	if err := p.Start(); err != nil {
		n.t.Fatal(err)
	}
}

func TestProofThatASlowNetworkThatCutsLosesNothing(t *testing.T) {
	bad := newNetwork(t)
	var broker *toxiproxy.Proxy
	c := newCluster(t, 1, func(listens string) string {
		broker = bad.to(listens)
		return broker.Listen
	})
	k := c.config()
	makeTopics(t, k)
	direct := realDatabase(t)
	db, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, t.TempDir(), k, direct)
	database := bad.to(db.Host)
	db.Host = database.Listen
	s.databaseURL = db.String()
	r := newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})
	endpoint, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	endpoint.Host, endpoint.Path = bad.to(endpoint.Host).Listen, "/ok"
	u := newUpstream(t, s.kafka)
	wait(t, "a producer id for upstream", func() bool {
		_, _, err := u.client.ProducerID(t.Context())
		return err == nil
	})
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: endpoint.String()})
	for _, name := range []string{"router", "projector"} {
		s.start(name)
	}
	s.start("sender", append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...)...)
	stop := u.sustain(topic.CDRQueue, 50)
	n, limit := kills(t, 90), 0
	var back recovery
	for i := range n {
		moment(3 * time.Second)
		limit += inFlight + int(float64(rate(r.since(10*time.Second)))*5)
		before := r.requests()
		bad.cut([]*toxiproxy.Proxy{broker, database}[i%2])
		back.until(t, "a request after the cut", func() bool { return r.requests() > before })
	}
	total := stop()
	s.settled(r, total)
	report := s.judge(u, r, limit)
	note(t, proven{"200 ± 100 ms each way, and all connections to Kafka or PostgreSQL cut in turn", "real Kafka, PostgreSQL", n, total, lost(report), report.Repeats, limit, back.String()})
}
