//go:build synctests

// The tag makes franz-go's locks known to testing/synctest: without it a lock
// held while time should pass stops the fake clock. make test sets it.

package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

var (
	oneSeed = flag.Uint64("rehearsal.seed", 0, "run only this seed")
	seeds   = flag.Int("rehearsal.seeds", seedsToRun, "seeds to run")
)

func TestTheWholePipelineKeepsItsPromisesThroughAnyPlan(t *testing.T) {
	first, n := uint64(1), *seeds
	if *oneSeed != 0 {
		first, n = *oneSeed, 1
	}
	if testing.Short() {
		n = min(n, 3)
	}
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run("seed "+strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &play{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 11))}
				p.run()
				if t.Failed() {
					t.Logf("run it again: go test ./services/aftercall/internal/rehearsal -rehearsal.seed=%d -v\nplan: %s", seed, p.plan)
				}
			})
		})
	}
}

const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// play is one run.
type play struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	plan   string
	broker *kafkatest.Broker
	kafka  kafka.Config
	keyset *secret.Keyset
	town   *town

	acknowledged []verify.CDR
	secrets      map[string][][]byte
	// kills counts senders cut off; each may repeat what it had under way.
	kills int
	// places is the concurrency of all webhooks; rejoins counts refused heartbeats,
	// after which the broker may take a member for gone.
	places, rejoins int
}

func (p *play) between(a, b time.Duration) time.Duration {
	return a + time.Duration(p.rng.Int64N(int64(b-a)+1))
}

func (p *play) note(format string, args ...any) { p.plan += fmt.Sprintf(format+"; ", args...) }

func (p *play) run() {
	p.broker = kafkatest.StartVirtual(p.t)
	p.kafka = p.broker.Config()
	// Three days pass in a run, and each wakeup costs.
	p.kafka.Heartbeat, p.kafka.FetchWait = time.Minute, 5*time.Minute
	p.keyset = secrettest.Keyset(p.t)
	p.town = &town{rng: rand.New(rand.NewPCG(p.seed, 13)), tempers: map[string]temper{}, seen: map[string]int{}}
	p.subscribe()

	members := []*member{p.member("router", p.router), p.member("sender-1", p.sender), p.member("sender-2", p.sender)}
	for _, m := range members {
		m.start()
	}
	var scenes sync.WaitGroup
	p.trouble(members, &scenes)
	p.upstream(&scenes)
	scenes.Wait()

	// Until every delivery has come to its end.
	var report *verify.Report
	for elapsed, step := time.Duration(0), 10*time.Minute; elapsed < 80*time.Hour; elapsed, step = elapsed+step, min(2*step, 4*time.Hour) {
		time.Sleep(step)
		if report = verify.Check(p.seen(true)); report.Queued+report.Waiting == 0 {
			break
		}
	}
	for _, m := range members {
		m.stop()
	}
	report = verify.Check(p.seen(false))
	if err := report.Err(); err != nil {
		p.t.Error(err)
	}
	if report.Deliveries == 0 || report.Queued+report.Waiting > 0 {
		p.t.Errorf("not at rest: %s", report)
	}
	p.t.Logf("%d kills; %s", p.kills, report)
}

// seen is what an outsider sees of the run.
func (p *play) seen(running bool) *verify.Run {
	names := make([]string, 0, 32)
	for _, s := range topic.All() {
		names = append(names, s.Name)
	}
	return &verify.Run{
		Acknowledged: p.acknowledged, Requests: p.town.log(), Records: kafkatest.ReadAll(p.t, p.kafka, names...),
		Secrets: p.secrets, Running: running,
		Repeats: p.kills*repeatsEach + p.rejoins*p.places, Unrecorded: p.kills*repeatsEach + p.rejoins*p.places, Skew: time.Second,
	}
}

// repeatsEach is what one cut may cost here: all that two subscriptions' worth
// of concurrency and a commit's interval hold, over the attempts that remain.
const repeatsEach = 200

func (p *play) subscribe() {
	p.secrets = map[string][][]byte{}
	raw, err := webhook.ParseSecret(secretText)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range 2 + p.rng.IntN(4) {
		s := &subscription.Subscription{
			ID: fmt.Sprintf("sub_%d", i), Version: 1, Tenant: subscription.DefaultTenant, Active: true, Events: []string{topic.TypeQueue},
			Endpoint: fmt.Sprintf("https://sub-%d.example/hook", i), Format: subscription.FormatCDR,
			MaxConcurrency: []int{1, 4, 8, 16}[p.rng.IntN(4)], Schedule: []string{"once", "1h", "72h"}[p.rng.IntN(3)],
		}
		if s.SealedSecret, err = p.keyset.Seal(s.ID, secret.FieldSecret, []byte(secretText)); err != nil {
			p.t.Fatal(err)
		}
		kind := p.town.settle(s.Endpoint)
		p.places += int(s.MaxConcurrency)
		p.note("%s %s c=%d %s", s.ID, kind, s.MaxConcurrency, s.Schedule)
		p.secrets[s.ID] = [][]byte{raw}
		kafkatest.Produce(p.t, p.kafka, record.New(topic.Subscriptions, s.ID, subscription.ToProto(s), time.Now()))
	}
}

// upstream produces calls over some minutes and logs what was acknowledged.
func (p *play) upstream(scenes *sync.WaitGroup) {
	n := 20 + p.rng.IntN(60)
	gap := p.between(0, 5*time.Second)
	client := kafkatest.Client(p.t, p.kafka, p.kafka.Producer()...)
	scenes.Go(func() {
		for i := range n {
			value := fmt.Appendf(nil, `{"CallId":"call-%d","ScenarioId":"s-%d","QueueName":"Sales"}`, i, i/3)
			r := &kgo.Record{Topic: topic.CDRQueue, Key: fmt.Appendf(nil, "call-%d", i), Value: value}
			if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				p.t.Errorf("producing: %v", err)
				return
			}
			p.acknowledged = append(p.acknowledged, verify.CDR{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Value: value})
			time.Sleep(gap)
		}
	})
}

// trouble plans what goes wrong.
func (p *play) trouble(members []*member, scenes *sync.WaitGroup) {
	for range 1 + p.rng.IntN(5) {
		at := p.between(0, 10*time.Minute)
		switch p.rng.IntN(4) {
		case 0, 1:
			m := members[p.rng.IntN(len(members))]
			away := p.between(0, 3*time.Minute)
			p.note("%s cut off at %v for %v", m.name, at, away)
			p.kills++
			scenes.Go(func() {
				time.Sleep(at)
				m.kill()
				time.Sleep(away)
				m.start()
			})
		case 2:
			m := members[p.rng.IntN(len(members))]
			p.note("%s stopped at %v", m.name, at)
			scenes.Go(func() {
				time.Sleep(at)
				m.stop()
				m.start()
			})
		case 3:
			fault := p.fault()
			scenes.Go(func() {
				time.Sleep(at)
				p.broker.Cluster().Fault(fault)
			})
		}
	}
}

// fault is what the broker answers a few times.
func (p *play) fault() kfake.Fault {
	choices := []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition},
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend},
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut},
		{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.CoordinatorNotAvailable},
		{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.CoordinatorNotAvailable, TopLevel: true},
		{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress, TopLevel: true},
	}
	f := choices[p.rng.IntN(len(choices))]
	f.Count = 1 + p.rng.IntN(5)
	if f.Keys[0] == kmsg.Heartbeat {
		p.rejoins += int(f.Count)
	}
	p.note("%v answers %v × %d", f.Keys[0].Name(), f.Err.Message, f.Count)
	return f
}

// member is one process: it can be stopped, and cut off as a kill would.
type member struct {
	p    *play
	name string
	body func(ctx context.Context, c kafka.Config, t http.RoundTripper, name string) error

	mu     sync.Mutex
	link   *link
	cancel context.CancelFunc
	done   chan error
}

func (p *play) member(name string, body func(context.Context, kafka.Config, http.RoundTripper, string) error) *member {
	return &member{p: p, name: name, body: body}
}

func (m *member) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{dial: m.p.kafka.Dialer, town: m.p.town, conns: map[net.Conn]bool{}}
	c := m.p.kafka
	c.Dialer = l.Dial
	done := make(chan error, 1)
	m.link, m.cancel, m.done = l, cancel, done
	go func() { done <- m.body(ctx, c, l, m.name) }()
}

// stop ends it as SIGTERM would.
func (m *member) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done == nil {
		return
	}
	m.cancel()
	if err := <-m.done; err != nil {
		m.p.t.Errorf("%s: %v", m.name, err)
	}
	m.done = nil
}

// kill takes its network away for ever: nothing it still does reaches anybody.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done == nil {
		return
	}
	m.link.cut()
	m.cancel()
	done := m.done
	m.done = nil
	// It ends when it has given up on what it had under way.
	go func() { <-done }()
}

func (p *play) router(ctx context.Context, c kafka.Config, _ http.RoundTripper, name string) error {
	return router.Run(ctx, router.Config{Kafka: c, Instance: name},
		router.Deps{Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth()})
}

func (p *play) sender(ctx context.Context, c kafka.Config, t http.RoundTripper, name string) error {
	return sender.Run(ctx, sender.Config{Kafka: c, Instance: name, StaticInstance: true, MaxInFlight: 64}, sender.Deps{
		Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(), Keyset: p.keyset, Transport: t, Version: "rehearsal",
	})
}

// link is a member's network.
type link struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	town *town

	mu    sync.Mutex
	gone  bool
	conns map[net.Conn]bool
}

var errCut = errors.New("cut off")

func (l *link) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	gone := l.gone
	l.mu.Unlock()
	if gone {
		return nil, errCut
	}
	conn, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		_ = conn.Close()
		return nil, errCut
	}
	l.conns[conn] = true
	return conn, nil
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	for c := range l.conns {
		_ = c.Close()
	}
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// RoundTrip is the member's way to the endpoints.
func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.isCut() {
		return nil, errCut
	}
	response, err := l.town.RoundTrip(r)
	if l.isCut() {
		return nil, errCut
	}
	return response, err
}

// temper of an endpoint: status and how long it takes; 0 never answers.
type temper func(now time.Time) (status int, took time.Duration)

// town is where all endpoints live, and the log of what they got.
type town struct {
	mu      sync.Mutex
	rng     *rand.Rand
	tempers map[string]temper
	seen    map[string]int
	entries []listen.Entry
}

func (w *town) settle(url string) string {
	quick := func() time.Duration { return time.Duration(1+w.rng.IntN(50)) * time.Millisecond }
	name, t := "healthy", temper(func(time.Time) (int, time.Duration) { return 200, quick() })
	switch w.rng.IntN(6) {
	case 0:
		name, t = "dead", func(time.Time) (int, time.Duration) { return 500, quick() }
	case 1:
		name, t = "hole", func(time.Time) (int, time.Duration) { return 0, time.Hour }
	case 2:
		back := time.Now().Add(time.Duration(w.rng.IntN(120)) * time.Minute)
		name, t = "down for a while", func(now time.Time) (int, time.Duration) {
			if now.Before(back) {
				return 503, quick()
			}
			return 200, quick()
		}
	case 3:
		name, t = "flapping", func(now time.Time) (int, time.Duration) {
			if now.Unix()/40%2 == 0 {
				return 502, quick()
			}
			return 204, quick()
		}
	case 4:
		name, t = "slow", func(time.Time) (int, time.Duration) { return 200, time.Duration(w.rng.IntN(12)) * time.Second }
	}
	w.tempers[url] = t
	return name
}

// RoundTrip logs a request when the endpoint has read it, and answers.
func (w *town) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	w.mu.Lock()
	status, took := w.tempers[r.URL.String()](began)
	w.seen[r.URL.String()+r.Header.Get(webhook.HeaderID)]++
	seen := w.seen[r.URL.String()+r.Header.Get(webhook.HeaderID)]
	w.mu.Unlock()
	answered := true
	select {
	case <-time.After(took):
	case <-r.Context().Done():
		answered = false
	}
	e := listen.Entry{
		Time: began, Method: r.Method, Path: r.URL.Path, WebhookID: r.Header.Get(webhook.HeaderID),
		EventType: r.Header.Get("aftercall-event-type"), DeliveryID: r.Header.Get("aftercall-delivery-id"),
		Attempt: r.Header.Get("aftercall-attempt"), Cause: r.Header.Get("aftercall-cause"), Seen: seen,
		Took: time.Since(began), Headers: r.Header.Clone(), Body: body,
	}
	if answered {
		e.Status = status
	}
	w.mu.Lock()
	w.entries = append(w.entries, e)
	w.mu.Unlock()
	if !answered {
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: r,
	}, nil
}

func (w *town) log() []listen.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]listen.Entry(nil), w.entries...)
}
