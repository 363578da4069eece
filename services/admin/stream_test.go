package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin"
)

// streamEvent is one event as it came.
type streamEvent struct{ id, name, data string }

// opened is a stream that is being read. Its channel closes with it.
type opened struct {
	t      *testing.T
	events chan streamEvent
	leave  context.CancelFunc
	header http.Header
	// place is the id that the stream begins with.
	place string
}

// open opens a stream, which must be one. headers are pairs.
func (b *bundle) open(client *http.Client, path string, headers ...string) *opened {
	b.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.server.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("%s answers %d, %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	o := &opened{t: b.t.(*testing.T), events: make(chan streamEvent, 4096), leave: leave, header: resp.Header}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (e streamEvent, more bool) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "":
				if lines.Text() == "" {
					return e, true
				}
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			}
		}
		return e, false
	}
	begin, _ := next()
	o.place = begin.id
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(o.events)
		defer resp.Body.Close()
		for {
			e, more := next()
			if !more {
				return
			}
			if e.name != "" {
				o.events <- e
			}
		}
	}()
	b.t.Cleanup(func() { leave(); <-done })
	return o
}

func (o *opened) next() streamEvent {
	o.t.Helper()
	select {
	case e, is := <-o.events:
		if !is {
			o.t.Fatal("the stream ended")
		}
		return e
	case <-time.After(kafkatest.Patience):
		o.t.Fatal("nothing was told")
	}
	return streamEvent{}
}

func (o *opened) ended() {
	o.t.Helper()
	for patience := time.After(kafkatest.Patience); ; {
		select {
		case _, is := <-o.events:
			if !is {
				return
			}
		case <-patience:
			o.t.Fatal("the stream goes on")
		}
	}
}

// tried is the record of an attempt as a sender writes it.
func tried(n int, subscriptionID string, status int32) *kgo.Record {
	m := &aftercallv1.Attempt{
		AttemptId: fmt.Sprintf("0199a000-0000-7000-8000-%012d", n), DeliveryId: fmt.Sprintf("dlv_%d", n), EventId: fmt.Sprintf("evt_%d", n), SubscriptionId: subscriptionID, Tenant: "default",
		EventType: "App.QueueWebhook", CallId: fmt.Sprintf("c-%d", n), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 1, AttemptsAllowed: 13, StartedAt: timestamppb.Now(), HttpStatus: status,
		Result: aftercallv1.Attempt_RESULT_DELIVERED, State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED, ResponseBody: []byte("a secret answer"),
		RequestHeaders: []*aftercallv1.HttpHeader{{Name: "X-Caller", Value: "+14255550100"}},
	}
	if status > 299 {
		m.Result, m.ErrorClass, m.State = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_ERROR_CLASS_STATUS, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP
	}
	return record.New(topic.History, m.DeliveryId, m, time.Now())
}

func TestTheStreamOfTheAPITellsWhatHappensAndGoesOnWhereItWas(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	bearer := []string{"Authorization", "Bearer " + b.token}
	all := b.open(http.DefaultClient, "/api/v1/stream", bearer...)
	failed := b.open(http.DefaultClient, "/api/v1/stream?result=failed&status=5xx&subscription="+id, bearer...)
	if all.header.Get("X-Accel-Buffering") != "no" || all.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the headers are %v", all.header)
	}
	kafkatest.Produce(t, b.kafka, tried(1, id, 200), tried(2, id, 503), tried(3, "another", 503))
	var ids []string
	places := map[string]string{}
	for range 3 {
		e := all.next()
		var a struct {
			AttemptID string `json:"attempt_id"`
			Name      string `json:"subscription_name"`
			Status    int    `json:"http_status"`
			CallID    string `json:"call_id"`
		}
		if err := json.Unmarshal([]byte(e.data), &a); err != nil || e.name != "attempt" || a.Status == 0 || a.CallID == "" || strings.Contains(e.data, "secret") || strings.Contains(e.data, "4255550100") {
			t.Errorf("told %+v, %v", e, err)
		}
		if !strings.Contains(e.data, "another") && a.Name != "CRM" {
			t.Errorf("the webhook is called %q", a.Name)
		}
		ids, places[a.AttemptID] = append(ids, a.AttemptID), e.id
	}
	if e := failed.next(); !strings.Contains(e.data, `"dlv_2"`) {
		t.Errorf("what failed is %+v", e)
	}
	// Back with an id, by header and by query; from the beginning as well.
	for n, since := range []string{all.place, places[ids[0]], places[ids[1]]} {
		for _, back := range []*opened{b.open(http.DefaultClient, "/api/v1/stream", append(bearer, "Last-Event-ID", since)...), b.open(http.DefaultClient, "/api/v1/stream?since="+since, bearer...)} {
			for _, want := range ids[n:] {
				if e := back.next(); !strings.Contains(e.data, want) {
					t.Errorf("since %s came %+v, not %s", since, e, want)
				}
			}
			back.leave()
		}
	}
	if e := b.open(http.DefaultClient, "/api/v1/stream?since=forged", bearer...).next(); e.name != "gap" || !strings.Contains(e.data, "unknown_position") {
		t.Errorf("a forged id begins with %+v", e)
	}
	b.api("GET", "/stream?result=unknown", "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "result")
	b.api("GET", "/stream?resutl=failed", "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "resutl")
}

func TestAStreamEndsWhenItsTokenOrSessionDoes(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	var made struct{ ID, Token string }
	b.api("POST", "/tokens", `{"name":"watcher","scopes":["read"]}`).want(t, http.StatusCreated).into(t, &made)
	stays := b.open(http.DefaultClient, "/api/v1/stream", "Authorization", "Bearer "+b.token)
	goes := b.open(http.DefaultClient, "/api/v1/stream", "Authorization", "Bearer "+made.Token)
	b.api("DELETE", "/tokens/"+made.ID, "").want(t, http.StatusNoContent)
	goes.ended()

	br := b.signIn()
	session := b.open(br.client, "/stream")
	br.post("/logout", nil).want(t, http.StatusOK)
	session.ended()

	kafkatest.Produce(t, b.kafka, tried(1, "sub", 200))
	if e := stays.next(); e.name != "attempt" {
		t.Errorf("the other stream tells %+v", e)
	}
}

func TestWithoutKafkaAStreamIsRefusedAndSaysSo(t *testing.T) {
	b := setup(t, storetest.SQLite(t), func(_ *admin.Config, d *admin.Deps) { d.Patience = 200 * time.Millisecond })
	b.broker.Close()
	b.api("GET", "/stream", "").wantProblem(t, http.StatusServiceUnavailable, "kafka_unavailable", "")
}

// What the stream adds to a list is, letter for letter, what the page would show.
func TestARowThatTheStreamAddsIsTheRowOfThePage(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	id, _ := b.subscribe(`{"name":"C<R>M","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	all, one := b.open(br.client, "/stream?rows=1"), b.open(br.client, "/stream?rows=1&subscription="+id+"&result=delivered")
	none := b.open(br.client, "/stream?rows=1&call=another")
	r := tried(1, id, 200)
	m, err := record.OpenAs[*aftercallv1.Attempt](r)
	if err != nil {
		t.Fatal(err)
	}
	m.CallId = `"><script>alert(1)</script>`
	m.StartedAt = timestamppb.New(time.Now().Add(-48 * time.Hour).Truncate(time.Second)) // the page's day does not end meanwhile
	r = record.New(topic.History, m.DeliveryId, m, time.Now())
	kafkatest.Produce(t, b.kafka, r)
	if _, err := b.db.Project(t.Context(), &store.Batch{Attempts: []*store.AttemptAt{{Attempt: m, Record: record.PositionOf(r), StoredAt: r.Timestamp}}}); err != nil {
		t.Fatal(err)
	}
	for path, o := range map[string]*opened{"/attempts": all, "/webhooks/" + id + "/attempts": one} {
		var row struct{ ID, HTML string }
		if err := json.Unmarshal([]byte(o.next().data), &row); err != nil || row.ID != m.AttemptId {
			t.Fatalf("told %+v, %v", row, err)
		}
		if page := br.get(path).want(t, http.StatusOK); !strings.Contains(page.body, row.HTML) || strings.Contains(row.HTML, "<script") {
			t.Errorf("%s does not have the row %s", path, row.HTML)
		}
	}
	kafkatest.Produce(t, b.kafka, tried(2, "another", 503))
	if e := all.next(); !strings.Contains(e.data, "000000000002") {
		t.Errorf("told %+v", e)
	}
	select {
	case e := <-none.events:
		t.Errorf("of another call it tells %+v", e)
	default:
	}
	br.get("/stream?status=x").want(t, http.StatusBadRequest)
}

// A region that asks for itself names what the stream told, which the store may
// not have yet.
func TestARegionWaitsUntilTheStoreHasWhatTheStreamTold(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	// One that the store got too late, on a busy machine, says nothing.
	const waits = time.Second
	for n, late := 1, true; late; n++ {
		began := time.Now()
		asked := make(chan answer, 1)
		go func() {
			req, err := http.NewRequest(http.MethodGet, b.server.URL+"/attempts", nil)
			if err != nil {
				asked <- answer{body: err.Error()}
				return
			}
			req.Header.Set("Aftercall-Fragment", "attempts")
			req.Header.Set("Aftercall-Position", fmt.Sprintf("0:0,1:%d", 8*n))
			asked <- b.do(br.client, req)
		}()
		r := tried(n, "sub", 200)
		m, err := record.OpenAs[*aftercallv1.Attempt](r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.Project(t.Context(), &store.Batch{
			Attempts: []*store.AttemptAt{{Attempt: m, Record: record.PositionOf(r), StoredAt: r.Timestamp}},
			Offsets:  []store.Offset{{Topic: topic.History, Partition: 1, From: int64(8 * (n - 1)), To: int64(8 * n), Until: time.Now()}},
		}); err != nil {
			t.Fatal(err)
		}
		late = time.Since(began) > waits
		if a := <-asked; a.status != http.StatusOK || !late && !strings.Contains(a.body, m.AttemptId) {
			t.Errorf("it answers %d without the attempt: %s", a.status, a.body)
		}
	}
}

func TestAStreamOutlivesTheLimitsOfRequests(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	server := httptest.NewUnstartedServer(b.admin.Handler())
	server.Config.ReadTimeout, server.Config.WriteTimeout = 3*time.Second, 3*time.Second
	server.Start()
	defer server.Close()
	behind := b.server
	b.server = server
	o := b.open(http.DefaultClient, "/api/v1/stream", "Authorization", "Bearer "+b.token)
	n := 0
	for begin := time.Now(); time.Since(begin) < 4*time.Second; {
		n++
		kafkatest.Produce(t, b.kafka, tried(n, "sub", 200))
		o.next()
	}
	o.leave()
	o.ended()
	b.server = behind
}

// A process that ends does not wait for those who listen, nor cut them off: a
// stream that was cut off ends without the last chunk, and reading it fails.
func TestAdminEndsWithItsStreams(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deps := b.deps
	deps.Listener, deps.Registry, deps.Health = ln, nil, nil
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s, err := admin.New(ctx, admin.Config{Kafka: b.kafka}, deps)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream answers %d", resp.StatusCode)
	}
	stop()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("admin ended: %v", err)
		}
	case <-time.After(kafkatest.Patience):
		t.Fatal("admin goes on")
	}
}

// Kafka keeps what was erased from the store for a while; the stream does not
// bring it back, neither from there nor from memory.
func TestTheStreamDoesNotBringBackWhatWasErased(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	bearer := []string{"Authorization", "Bearer " + b.token}
	before := b.open(http.DefaultClient, "/api/v1/stream", bearer...)
	call := func(n int, id string) *kgo.Record {
		m, err := record.OpenAs[*aftercallv1.Attempt](tried(n, "sub", 200))
		if err != nil {
			t.Fatal(err)
		}
		m.CallId, m.OccurredAt = id, timestamppb.New(time.Now().Add(-time.Minute))
		return record.New(topic.History, m.DeliveryId, m, time.Now())
	}
	kafkatest.Produce(t, b.kafka, call(1, "c-12025550142-a"))
	if e := before.next(); !strings.Contains(e.data, "12025550142") {
		t.Fatalf("told %+v", e)
	}
	var e erasureAnswer
	b.api("POST", "/erasures", `{"caller_number":"`+forgotten+`"}`).want(t, http.StatusAccepted).into(t, &e)
	kafkatest.WaitFor(t, "the erasure", func() bool {
		b.api("GET", "/erasures/"+e.ID, "").want(t, http.StatusOK).into(t, &e)
		return e.State == "done"
	})
	// A stream may know of it a second later.
	kafkatest.WaitFor(t, "a stream without it", func() bool {
		after := b.open(http.DefaultClient, "/api/v1/stream?since="+before.place, bearer...)
		defer after.leave()
		told := after.next().data
		return strings.Contains(told, `"erased-`) && !strings.Contains(told, "12025550142")
	})
	kafkatest.Produce(t, b.kafka, call(2, "c-12025550142-b"))
	if e := before.next(); strings.Contains(e.data, "12025550142") || !strings.Contains(e.data, `"erased-`) {
		t.Errorf("after the erasure it tells %+v", e)
	}
}
