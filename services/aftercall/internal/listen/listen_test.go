package listen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aftercall/aftercall/pkg/webhook"
)

var secret = bytes.Repeat([]byte{7}, 32)

// post sends a signed request as Aftercall does.
func post(t *testing.T, h http.Handler, path, id string, body []byte, sign []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	now := time.Now()
	m := webhook.Message{ID: id, EventType: "App.QueueWebhook", DeliveryID: "dlv_1", Attempt: 1, Cause: "call_ended",
		Version: "test", ContentType: "application/json", Time: now, Body: body}
	if sign != nil {
		m.Secrets = [][]byte{sign}
	}
	for _, header := range m.Headers(nil) {
		r.Header.Set(header.Name, header.Value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEachPathAnswersAsItSays(t *testing.T) {
	h := Handler(Options{})
	for _, tc := range []struct {
		path, id string
		want     int
	}{
		{"/ok", "a", 200}, {"/anything/else", "a", 200}, {"/broken", "a", 500}, {"/broken", "a", 500},
		{"/flaky", "a", 503}, {"/flaky", "b", 503}, {"/flaky", "a", 200}, {"/flaky", "a", 200}, {"/flaky", "b", 200},
		{"/slow?ms=1", "a", 200}, {"/slow", "a", 400}, {"/slow?ms=-1", "a", 400},
	} {
		got := post(t, h, tc.path, tc.id, []byte("{}"), nil)
		if got.Code != tc.want {
			t.Errorf("%s %s: %d, want %d", tc.path, tc.id, got.Code, tc.want)
		}
		if again := got.Header().Get("Retry-After"); (again == "1") != (tc.want == 503) {
			t.Errorf("%s %s: %d with Retry-After %q", tc.path, tc.id, got.Code, again)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(w.Body.String(), "/flaky") {
		t.Errorf("GET / says %q", w.Body)
	}
}

func TestItFailsTheFirstRequestsOfEachWebhookOnDemand(t *testing.T) {
	h := Handler(Options{Fail: Fail{Status: 503, Times: 2}})
	var got []int
	for _, id := range []string{"a", "b", "a", "a", "b", "b"} {
		got = append(got, post(t, h, "/ok", id, nil, nil).Code)
	}
	for i, want := range []int{503, 503, 503, 200, 503, 200} {
		if got[i] != want {
			t.Fatalf("got %v", got)
		}
	}
	for s, want := range map[string]Fail{"": {}, "503": {Status: 503}, "429:1": {Status: 429, Times: 1}} {
		if f, err := ParseFail(s); err != nil || f != want {
			t.Errorf("%q: %v, %v", s, f, err)
		}
	}
	for _, s := range []string{"x", "99", "600", "503:", "503:0", "503:-1", "503:2:3"} {
		if _, err := ParseFail(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestASignatureIsVerifiedWithOneOfTheSecrets(t *testing.T) {
	var rec Recorder
	h := Handler(Options{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32), secret}, OnRequest: rec.Record})
	post(t, h, "/ok", "a", []byte("{}"), secret)
	post(t, h, "/ok", "a", []byte("{}"), bytes.Repeat([]byte{9}, 32))
	post(t, h, "/ok", "a", []byte("{}"), nil)
	want := []string{Verified, Invalid, Unsigned}
	for i, e := range rec.Entries() {
		if e.Signature != want[i] {
			t.Errorf("%d: %s (%s), want %s", i, e.Signature, e.Problem, want[i])
		}
	}
}

func TestTheLogKeepsEveryByteAndIsWrittenBeforeTheAnswer(t *testing.T) {
	var log bytes.Buffer
	h := Handler(Options{Log: &log})
	bodies := [][]byte{[]byte(`{"CallId":"1","Name":"<script>\u0000"}`), {0xff, 0xfe, 0}, {}, []byte("\u2028 \x00")}
	for _, body := range bodies {
		// The recorder is read after the handler returned; that the line comes
		// first is shown by the failing log below.
		post(t, h, "/ok?a=b", "evt_1", body, secret)
	}
	log.WriteString(`{"time":"2026-01-01T00:00:00Z","method":"PO`) // cut short by a crash
	entries, err := ReadLog(&log)
	if err != nil || len(entries) != len(bodies) {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		if !bytes.Equal(e.Body, bodies[i]) {
			t.Errorf("body %q, want %q", e.Body, bodies[i])
		}
		if e.Seen != i+1 || e.Status != 200 || e.Path != "/ok?a=b" || e.WebhookID != "evt_1" || e.Headers.Get("webhook-signature") == "" || e.Cause != "call_ended" {
			t.Errorf("entry %+v", e)
		}
	}
	full := Handler(Options{Log: failing{}})
	if got := post(t, full, "/ok", "a", nil, nil); got.Code != 500 {
		t.Errorf("a request that is not logged is answered %d", got.Code)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestASenderThatGivesUpWaitingIsLoggedWithoutAStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec Recorder
		h := Handler(Options{OnRequest: rec.Record, Delay: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/ok", strings.NewReader("{}"))
		func() {
			defer func() {
				if got, ok := recover().(error); !ok || !errors.Is(got, http.ErrAbortHandler) {
					t.Errorf("the handler ended with %v", got)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), r)
		}()
		e := rec.Entries()
		if len(e) != 1 || e[0].Status != 0 || e[0].Took != 15*time.Second {
			t.Fatalf("%+v", e)
		}
	})
}

func TestTheDelayComesBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(Options{Delay: 200 * time.Millisecond})
		start := time.Now()
		post(t, h, "/slow?ms=300", "a", nil, nil)
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

func TestALineForATerminalIsHarmless(t *testing.T) {
	e := Entry{Time: time.Now(), Method: "POST", Path: "/flaky", EventType: "App.QueueWebhook", Attempt: "2", Status: 200, Seen: 2,
		Signature: Verified, Body: make([]byte, 1204), WebhookID: "evt_x", Took: 6 * time.Millisecond}
	if got := Line(e); !strings.Contains(got, "App.QueueWebhook     /flaky       200 verified    1,204 B     6 ms  attempt 2  evt_x\n") {
		t.Errorf("got %q", got)
	}
	e.EventType, e.Path, e.WebhookID = "\x1b[2J", "/a\nb", strings.Repeat("ä", 500)
	got := Line(e)
	if strings.Contains(got, "\x1b") || strings.Count(got, "\n") != 1 || len(got) > 400 {
		t.Errorf("got %q", got)
	}
}

func TestTheMemoryForWebhookIDsIsBounded(t *testing.T) {
	s := newSeen(10)
	for i := range 1000 {
		s.count(strconv.Itoa(i))
	}
	if len(s.counts) != 10 || s.count("999") != 2 || s.count("1") != 1 {
		t.Errorf("%d ids", len(s.counts))
	}
}

func TestTheCommandReceivesVerifiesAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logFile := filepath.Join(t.TempDir(), "requests.jsonl")
	out, outW := io.Pipe()
	errR, errW := io.Pipe()
	cmd := Command()
	cmd.SetOut(outW)
	cmd.SetErr(errW)
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--fail", "503:1", "--log", logFile, "--secret", webhook.NewSecret(bytes.NewReader(secret))})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()

	greeting := make([]byte, 256)
	n, err := errR.Read(greeting)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(greeting[:n]))
	go func() { _, _ = io.Copy(io.Discard, errR) }()

	lines := make(chan Entry, 2)
	go func() {
		decoder := json.NewDecoder(out)
		for {
			var e Entry
			if decoder.Decode(&e) != nil {
				return
			}
			lines <- e
		}
	}()
	for _, want := range []int{503, 200} {
		body := []byte(`{"CallId":"1"}`)
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, fields[1]+"/ok", bytes.NewReader(body))
		for _, h := range (webhook.Message{ID: "evt_1", Time: time.Now(), Secrets: [][]byte{secret}, Body: body}).Headers(nil) {
			req.Header.Set(h.Name, h.Value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if e := <-lines; resp.StatusCode != want || e.Status != want || e.Signature != Verified {
			t.Errorf("got %d, %+v", resp.StatusCode, e)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestABusyAddressNamesItsFlag(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cmd := Command()
	cmd.SetArgs([]string{"--listen", ln.Addr().String()})
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("%v", err)
	}
}
