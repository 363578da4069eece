package traced

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/telemetry/telemetrytest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

const (
	traceID   = "4bf92f3577b34da6a3ce929d0e0e4736"
	upstream  = "00-" + traceID + "-00f067aa0ba902b7-01"
	untraced  = "00-" + traceID + "-00f067aa0ba902b7-00"
	caller    = "+15550100"
	urlSecret = "hunter2"
)

// heard are the traceparents of requests by path, in order.
type heard struct {
	mu     sync.Mutex
	parent map[string][]string
}

func (h *heard) at(path string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.parent[path])
}

// note tells how many requests came to the path before.
func (h *heard) note(r *http.Request) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parent[r.URL.Path] = append(h.parent[r.URL.Path], r.Header.Get("Traceparent"))
	return len(h.parent[r.URL.Path])
}

func TestACallIsOneTraceFromItsCDRToItsWebhook(t *testing.T) {
	c := kafkatest.Start(t).Config()
	log := &heard{parent: map[string][]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if log.note(r) == 1 && r.URL.Path == "/flaky" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	keyset := secrettest.Keyset(t)
	for id, s := range map[string]subscription.Subscription{
		"sub_flaky": {Endpoint: server.URL + "/flaky?key=" + urlSecret, Events: []string{topic.TypeQueue}},
		"sub_other": {Endpoint: server.URL + "/other", Events: []string{topic.TypeIvr}},
	} {
		s.ID, s.Version, s.Active, s.Name = id, 1, true, id
		s.SetDefaults()
		sealed, err := keyset.Seal(id, secret.FieldSecret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
		if err != nil {
			t.Fatal(err)
		}
		s.SealedSecret = sealed
		kafkatest.Produce(t, c, record.New(topic.Subscriptions, id, subscription.ToProto(&s), time.Now()))
	}
	value := `{"CallId":"call-of-` + caller + `","CallerNumber":"` + caller + `"}`
	kafkatest.Produce(t, c,
		kafkatest.CDR(topic.CDRQueue, "", value, cdr.HeaderTraceparent, upstream),
		kafkatest.CDR(topic.CDRIvr, "", value, cdr.HeaderTraceparent, untraced),
	)

	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	routes, routed := telemetrytest.Tracer(t, "router")
	posts, posted := telemetrytest.Tracer(t, "sender")
	stores, stored := telemetrytest.Tracer(t, "projector")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	go func() {
		ended <- router.Run(ctx, router.Config{Kafka: c, Instance: "router-1", OUSeparator: "/"}, router.Deps{Tracer: routes})
	}()
	go func() {
		ended <- sender.Run(ctx, sender.Config{Kafka: c, Instance: "sender-1", MaxInFlight: 64}, sender.Deps{
			Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(), Keyset: keyset, Tracer: posts,
			Transport: policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 8}), Version: "test",
		})
	}()
	db := storetest.SQLite(t)
	go func() {
		ended <- projector.Run(ctx, projector.Config{Kafka: c, Instance: "projector-1"}, projector.Deps{Store: db, Tracer: stores})
	}()
	t.Cleanup(func() {
		cancel()
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	inStore := func() (n int) {
		if db.SQL().QueryRow("select count(*) from attempts").Scan(&n) != nil {
			return 0
		}
		return n
	}
	kafkatest.WaitWithin(t, time.Minute, "the second attempt, and the other CDR, in the store too", func() bool {
		return len(posted()) == 2 && len(log.at("/other")) == 1 && inStore() == 3 && len(stored()) == 2
	})

	// The router's span stands in upstream's trace; both attempts come from it, the
	// second one linked to the first; what the endpoint is told is the attempt's own.
	if len(routed()) != 1 {
		t.Fatalf("the router made %d spans: %+v", len(routed()), routed())
	}
	route, first, second := routed()[0], posted()[0], posted()[1]
	if route.TraceID != traceID || route.Parent != "00f067aa0ba902b7" || route.Kind != "consumer" || route.Error != "" {
		t.Errorf("the router's: %+v", route)
	}
	for i, s := range posted() {
		if s.TraceID != traceID || s.Parent != route.ID || s.Kind != "client" || s.Attributes["server.address"] != "127.0.0.1" {
			t.Errorf("attempt %d: %+v", i+1, s)
		}
		if got := log.at("/flaky")[i]; got != s.Traceparent {
			t.Errorf("attempt %d came with %s, its span is %s", i+1, got, s.Traceparent)
		}
	}
	if first.Error != "503" || len(first.Links) != 0 || second.Error != "" || !slices.Equal(second.Links, []string{first.ID}) {
		t.Errorf("the first: %+v; the second: %+v", first, second)
	}
	if first.Attributes["http.response.status_code"] != "503" || second.Attributes["http.request.resend_count"] != "1" {
		t.Errorf("the first: %v; the second: %v", first.Attributes, second.Attributes)
	}
	// Each was stored in the same trace, after its own request.
	for _, s := range stored() {
		i := slices.IndexFunc(posted(), func(p telemetrytest.Span) bool { return p.ID == s.Parent })
		if i < 0 || s.Name != "history.store" || s.TraceID != traceID || s.Kind != "consumer" || s.Error != "" ||
			s.Attributes["aftercall.attempt"] != posted()[i].Attributes["aftercall.attempt"] || s.Attributes["messaging.destination.name"] != topic.History {
			t.Errorf("stored: %+v", s)
		}
	}
	if stored()[0].Parent == stored()[1].Parent {
		t.Errorf("both were stored for the same attempt: %+v", stored())
	}
	// What upstream did not sample is handed on as it came.
	if got := log.at("/other"); got[0] != untraced {
		t.Errorf("an unsampled trace goes on as %s", got[0])
	}
	for _, s := range slices.Concat(routed(), posted(), stored()) {
		for key, value := range s.Attributes {
			for _, never := range []string{caller, urlSecret, "/flaky", "call-of-"} {
				if strings.Contains(value, never) {
					t.Errorf("the attribute %s of %s holds %q", key, s.Name, value)
				}
			}
		}
	}
}
