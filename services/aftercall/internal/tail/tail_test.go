package tail

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// lines collects what is printed.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count() int { return strings.Count(l.String(), "\n") }

func TestALostStreamGoesOnWhereItWas(t *testing.T) {
	var mu sync.Mutex
	var came []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		came = append(came, r.Header.Get("Last-Event-ID"))
		n := len(came)
		mu.Unlock()
		if r.URL.Path != "/api/v1/stream" || r.URL.Query().Get("result") != "failed" || r.Header.Get("Authorization") != "Bearer aft_canary" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
		if n == 2 {
			w.WriteHeader(http.StatusBadGateway) // a proxy, while the service begins again
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		switch n {
		case 1:
			fmt.Fprint(w, "retry: 2000\nid: 0:5\n\n: beat\nid: 0:6\n\nid: 0:7\nevent: attempt\ndata: {\"attempt_id\":\"a1\",\"result\":\"failed\",\"new\":1}\n\nid: 0:8\nevent: deferral\ndata: {}\n\nid: 0:9\nevent: att")
		default:
			fmt.Fprint(w, "id: 0:8\n\nid: 0:10\nevent: gap\ndata: {\"reason\":\"retention\",\"dropped\":7}\n\nid: 0:11\nevent: attempt\ndata: {\"attempt_id\":\"a2\",\"call_id\":\"\\u001b[2J\"}\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, "aft_canary")
	if err != nil {
		t.Fatal(err)
	}
	var out, errs lines
	tail := &tailer{filter: filter{Result: "failed"}, out: &out, errs: &errs, json: true}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tail.listen(ctx, c) }()
	kafkatest.WaitFor(t, "two attempts", func() bool { return out.count() >= 2 })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Ctrl-C ends it with %v", err)
	}
	if got := out.String(); got != "{\"attempt_id\":\"a1\",\"result\":\"failed\",\"new\":1}\n{\"attempt_id\":\"a2\",\"call_id\":\"\\u001b[2J\"}\n" {
		t.Errorf("printed %s", got)
	}
	if strings.Count(errs.String(), "connection is lost") != 1 || !strings.Contains(errs.String(), "7 left out") || strings.Contains(errs.String(), "canary") {
		t.Errorf("said %s", errs.String())
	}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(came) != "[ 0:8 0:8]" {
		t.Errorf("came back with %q", came)
	}
}

func TestWhatCannotBeListenedToEnds(t *testing.T) {
	for body, want := range map[string]string{
		`401 {"code":"unauthorized","detail":"No such token."}`:  "--token-file",
		`404 {"code":"not_found","detail":"There is no such."}`:  "--brokers",
		`422 {"code":"invalid","detail":"The id is no place."}`:  "no place",
		`503 {"code":"kafka_unavailable","detail":"Try later."}`: "Try later",
		`200 <html>`: "is --api right?",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var status int
			_, _ = fmt.Sscan(body, &status)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body[4:]))
		}))
		c, err := client.New(srv.URL, "aft_x")
		if err != nil {
			t.Fatal(err)
		}
		if err := (&tailer{out: &lines{}, errs: &lines{}}).listen(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s ends with %v", body, err)
		}
		srv.Close()
	}
}

func TestAttemptsComeFromKafkaAsTheAPIListsThem(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		now := time.Now()
		attempt := func(id string, result aftercallv1.Attempt_Result, status int32) *aftercallv1.Attempt {
			return &aftercallv1.Attempt{
				AttemptId: id, DeliveryId: "dlv_1", EventId: "evt_1", SubscriptionId: "sub_1", EventType: topic.TypeQueue, CallId: "c1", Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
				Attempt: 1, AttemptsAllowed: 8, StartedAt: timestamppb.New(now), OccurredAt: timestamppb.New(now.Add(-time.Second)), Result: result, HttpStatus: status,
				State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED, Timings: &aftercallv1.Timings{Total: durationpb.New(84 * time.Millisecond)}, ResponseBody: []byte("canary"),
			}
		}
		put := func(m *aftercallv1.Attempt) {
			kafkatest.Produce(t, c, record.New(topic.History, m.GetDeliveryId(), m, now))
		}
		sub := &aftercallv1.Subscription{Id: "sub_1", Version: 1, Name: "CRM"}
		kafkatest.Produce(t, c, record.New(topic.Subscriptions, "sub_1", sub, now))
		put(attempt("before", aftercallv1.Attempt_RESULT_DELIVERED, 200))
		var out, errs lines
		began := make(chan struct{})
		tail := &tailer{filter: filter{Subscription: "CRM", Status: "2xx"}, out: &out, errs: &errs, json: true, began: func() { close(began) }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tail.read(ctx, c) }()
		select {
		case <-began:
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(kafkatest.Patience):
			t.Fatal("it does not begin")
		}
		put(attempt("refused", aftercallv1.Attempt_RESULT_FAILED, 503))
		put(attempt("taken", aftercallv1.Attempt_RESULT_DELIVERED, 201))
		kafkatest.WaitFor(t, "the attempt", func() bool { return out.count() >= 1 })
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Ctrl-C ends it with %v", err)
		}
		var got row
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatalf("%s: %v", out.String(), err)
		}
		if got.AttemptID != "taken" || got.SubscriptionName != "CRM" || got.Result != "delivered" || got.DurationMS != 84 || got.EndToDeliveredMS == nil || *got.EndToDeliveredMS != 1084 || got.State != "delivered" {
			t.Errorf("printed %s", out.String())
		}
		if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), "next_attempt_at") {
			t.Errorf("printed %s", out.String())
		}
	})
}

func TestFiltersAreWordsOfTheList(t *testing.T) {
	r := &row{Result: "failed", State: "waiting", HTTPStatus: 503, CallID: "c1", SubscriptionID: "sub_1"}
	for want, all := range map[bool][]filter{
		true:  {{}, {Result: "failed"}, {Status: "5xx"}, {Status: "503"}, {Call: "c1", State: "waiting"}},
		false: {{Result: "delivered"}, {Status: "4xx"}, {Status: "500"}, {Call: "c2"}, {Subscription: "sub_2", Result: "failed"}},
	} {
		for _, f := range all {
			if f.match(r) != want {
				t.Errorf("%+v matches: %v", f, !want)
			}
		}
	}
	for _, f := range []filter{{Result: "ok"}, {State: "gone"}, {Status: "xx"}, {Status: "5"}, {Status: "abc"}, {Error: "503"}, {Cause: "me"}} {
		if f.check() == nil {
			t.Errorf("%+v is taken", f)
		}
	}
	if err := (&filter{Status: "5xx", Result: "not_sent"}).check(); err != nil {
		t.Error(err)
	}
}

func TestALineForPeopleObeysNobody(t *testing.T) {
	r := &row{SubscriptionName: "CRM\x1b[2J", CallID: "c1", EventType: topic.TypeQueue, Result: "failed", ErrorClass: "timeout", Attempt: 2, AttemptsAllowed: 8, NextAttemptAt: moment{time.Now()}}
	if text := r.text(false); strings.Contains(text, "\x1b") || !strings.Contains(text, "timeout") || !strings.Contains(text, "2/8") || !strings.Contains(text, "next ") {
		t.Errorf("%q", text)
	}
	if text := r.text(true); strings.Count(text, "\x1b") != 2 {
		t.Errorf("%q", text)
	}
}
