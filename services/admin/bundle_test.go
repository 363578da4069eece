// What is real in these tests: the store (SQLite, and PostgreSQL where
// AFTERCALL_TEST_DATABASE_URL names one), the Kafka protocol (the embedded
// broker), HTTP over a socket, the key set, the address policy. What is not:
// router, sender and projector; where a test needs what they would have
// written, it projects their records itself. What may be asserted: answers,
// pages, rows, and the records on the topics.
package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin"
)

// names are what the tests' resolver knows; every other name does not exist.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "slow.example" {
		return nil, context.DeadlineExceeded
	}
	if text, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(text)}, nil
	}
	return nil, nil
}

type bundle struct {
	t      testing.TB
	db     *store.DB
	kafka  kafka.Config
	broker *kafkatest.Broker
	server *httptest.Server
	admin  *admin.Server
	deps   admin.Deps
	token  string
	log    *lockedBuffer
	names  names
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// onBothStores runs a test on SQLite and on PostgreSQL.
func onBothStores(t *testing.T, body func(t *testing.T, b *bundle)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { body(t, setup(t, storetest.SQLite(t))) })
	t.Run("postgres", func(t *testing.T) { body(t, setup(t, storetest.Postgres(t))) })
}

func setup(t testing.TB, db *store.DB, options ...func(*admin.Config, *admin.Deps)) *bundle {
	t.Helper()
	broker := kafkatest.Start(t)
	keys := secrettest.Keyset(t)
	known := names{"receiver.example": "93.184.216.34", "private.example": "10.2.3.4", "metadata.example": "169.254.169.254"}
	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true, Resolver: known})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, db: db, broker: broker, kafka: broker.Config(), token: admin.NewToken(), log: &lockedBuffer{}, names: known}
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(b.log), zap.DebugLevel))
	config := admin.Config{Kafka: b.kafka, AdminToken: b.token}
	// A busy machine may stop for seconds; what Kafka does not take is told by tests
	// that shorten this.
	b.deps = admin.Deps{Patience: kafkatest.Patience, Logger: logger, Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(), Store: db, Keyset: keys, Policy: policy,
		URLRules: webhook.URLRules{AllowHTTPLoopback: true, AllowAnyLoopbackPort: true}}
	for _, o := range options {
		o(&config, &b.deps)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.admin, err = admin.New(ctx, config, b.deps)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.admin.Run(ctx) }()
	b.server = httptest.NewServer(b.admin.Handler())
	t.Cleanup(func() {
		b.server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("admin ended: %v", err)
		}
		b.admin.Close()
	})
	return b
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("reading the answer %s: %v", a.body, err)
	}
}

// api asks the API with the admin token. headers are pairs; an Authorization in
// them replaces it.
func (b *bundle) api(method, path, body string, headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.server.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return b.do(http.DefaultClient, req)
}

func (b *bundle) do(client *http.Client, req *http.Request) answer {
	b.t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// want fails unless the status is the expected one.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("the status is %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// problem is what an error of the API looks like.
type problem struct {
	Status int
	Code   string
	Detail string
	Errors []struct{ Pointer, Code, Message string }
}

// wantProblem fails unless the answer is a problem of this code, and of this
// pointer where it is not "".
func (a answer) wantProblem(t testing.TB, status int, code, pointer string) problem {
	t.Helper()
	a.want(t, status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the content type is %q: %s", got, a.body)
	}
	var p problem
	a.into(t, &p)
	if p.Code != code || p.Status != status {
		t.Errorf("the problem is %s, want code %s", a.body, code)
	}
	if pointer != "" && (len(p.Errors) == 0 || p.Errors[0].Pointer != pointer) {
		t.Errorf("the problem is %s, want pointer %s", a.body, pointer)
	}
	return p
}

// browser is signed in to the console.
type browser struct {
	b      *bundle
	client *http.Client
}

func (b *bundle) signIn() *browser {
	b.t.Helper()
	link, err := admin.NewLoginLink(context.Background(), b.db)
	if err != nil {
		b.t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	br := &browser{b, &http.Client{Jar: jar}}
	page := br.get("/login?t=" + link)
	if page.status != http.StatusOK || !strings.Contains(page.body, "<h1>Webhooks</h1>") {
		b.t.Fatalf("signing in answered %d: %s", page.status, page.body)
	}
	return br
}

func (br *browser) get(path string) answer {
	br.b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, br.b.server.URL+path, nil)
	if err != nil {
		br.b.t.Fatal(err)
	}
	return br.b.do(br.client, req)
}

func (br *browser) post(path string, form url.Values) answer {
	br.b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, br.b.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		br.b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return br.b.do(br.client, req)
}

// subscribe adds a webhook by API and answers its id and ETag.
func (b *bundle) subscribe(body string) (id, etag string) {
	b.t.Helper()
	a := b.api("POST", "/subscriptions", body).want(b.t, http.StatusCreated)
	var s struct{ ID string }
	a.into(b.t, &s)
	return s.ID, a.header.Get("ETag")
}

// happened projects a call's event, its delivery to a subscription, and a failed
// first attempt, as router, sender and projector would have.
func (b *bundle) happened(subscriptionID, callID string, payload string) (eventID, deliveryID, attemptID string) {
	b.t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	eventID = cdr.EventID("default", "", "App.QueueWebhook", "", callID, []byte(payload))
	deliveryID = cdr.DeliveryID(eventID, subscriptionID, "call_ended", "")
	attemptID = "0199a000-0000-7000-8000-" + deliveryID[4:16]
	position := &aftercallv1.Position{Topic: "aftercall.cdr.queue", Partition: 0, Offset: 7}
	batch := &store.Batch{
		Events: []*aftercallv1.Event{{
			EventId: eventID, Tenant: "default", EventType: "App.QueueWebhook", CallId: callID, OccurredAt: timestamppb.New(now.Add(-3 * time.Second)), Position: position,
			Payload: []byte(payload), ProducedAt: timestamppb.New(now.Add(-3 * time.Second)), RoutedAt: timestamppb.New(now.Add(-2 * time.Second)), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
			Decisions: []*aftercallv1.Decision{{SubscriptionId: subscriptionID, SubscriptionVersion: 1, Outcome: aftercallv1.Decision_OUTCOME_MATCHED, DeliveryId: deliveryID}},
		}},
		Attempts: []*store.AttemptAt{{Attempt: &aftercallv1.Attempt{
			AttemptId: attemptID, DeliveryId: deliveryID, EventId: eventID, SubscriptionId: subscriptionID, SubscriptionVersion: 1, Tenant: "default", EventType: "App.QueueWebhook", CallId: callID,
			Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 1, AttemptsAllowed: 13, StartedAt: timestamppb.New(now.Add(-time.Second)),
			Timings: &aftercallv1.Timings{Connect: durationpb.New(2 * time.Millisecond), FirstByte: durationpb.New(80 * time.Millisecond), Total: durationpb.New(84 * time.Millisecond)},
			Result:  aftercallv1.Attempt_RESULT_FAILED, ErrorClass: aftercallv1.Attempt_ERROR_CLASS_STATUS, HttpStatus: 503, Error: "the endpoint answered 503",
			RequestUrl: "https://receiver.example/hook", RequestBytes: int32(len(payload)),
			RequestHeaders:  []*aftercallv1.HttpHeader{{Name: "webhook-id", Value: eventID}, {Name: "X-Api-Key", Value: "[masked]"}},
			ResponseHeaders: []*aftercallv1.HttpHeader{{Name: "Retry-After", Value: "5"}}, ResponseBody: []byte("busy <b>now</b>"),
			State: aftercallv1.DeliveryState_DELIVERY_STATE_WAITING, NextAttemptAt: timestamppb.New(now.Add(5 * time.Second)), Sender: "sender-0",
			OccurredAt: timestamppb.New(now.Add(-3 * time.Second)), FirstQueuedAt: timestamppb.New(now.Add(-2 * time.Second)), WebhookId: eventID,
		}, Record: &aftercallv1.Position{Topic: "aftercall.history", Offset: 1}, StoredAt: now}},
	}
	if _, err := b.db.Project(context.Background(), batch); err != nil {
		b.t.Fatal(err)
	}
	return eventID, deliveryID, attemptID
}
