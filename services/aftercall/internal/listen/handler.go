package listen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aftercall/aftercall/pkg/webhook"
)

const (
	// maxBody is twice the largest record that Aftercall takes.
	maxBody = 16 << 20
	maxSlow = 10 * time.Minute
	// rememberedIDs bounds the memory for webhook-ids.
	rememberedIDs = 200_000
)

// Options of a receiver. The zero value answers and remembers nothing.
type Options struct {
	// Fail answers the first requests of each webhook-id, at each path, with an
	// error.
	Fail Fail
	// Delay comes before each answer.
	Delay time.Duration
	// Secrets verify signatures: raw bytes (webhook.ParseSecret). One that
	// matches is enough.
	Secrets [][]byte
	// Log takes one line of JSON for each request, in one Write, before the
	// answer. When that fails the answer is 500.
	Log io.Writer
	// OnRequest is called with each entry after it was logged, before the
	// answer, one call at a time.
	OnRequest func(Entry)
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

// Fail is how to misbehave: Status to the first Times requests of each
// webhook-id, or to all of them when Times is 0.
type Fail struct {
	Status int
	Times  int
}

// ParseFail reads "503:2", or "503" for ever.
func ParseFail(s string) (Fail, error) {
	if s == "" {
		return Fail{}, nil
	}
	status, times, hasTimes := strings.Cut(s, ":")
	var f Fail
	var err error
	if f.Status, err = strconv.Atoi(status); err != nil || f.Status < 200 || f.Status > 599 {
		return Fail{}, fmt.Errorf("%q is not a status from 200 to 599: write 503:2 for 503 to the first two requests of each webhook", status)
	}
	if hasTimes {
		if f.Times, err = strconv.Atoi(times); err != nil || f.Times < 1 {
			return Fail{}, fmt.Errorf("%q is not a number of requests: write 503:2 for 503 to the first two requests of each webhook", times)
		}
	}
	return f, nil
}

// Handler is the receiver.
func Handler(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &receiver{Options: o, seen: newSeen(rememberedIDs)}
}

type receiver struct {
	Options
	seen *seen

	// mu keeps lines whole and in the order of the answers.
	mu sync.Mutex
}

func (h *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == "/" {
		w.Header().Set("content-type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, help)
		return
	}
	if r.Method == http.MethodHead {
		// A check whether somebody answers here: no webhook.
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	e := Entry{
		Time: h.Now(), Method: r.Method, Path: r.URL.RequestURI(), Remote: r.RemoteAddr,
		WebhookID:  r.Header.Get(webhook.HeaderID),
		EventType:  r.Header.Get("aftercall-event-type"),
		DeliveryID: r.Header.Get("aftercall-delivery-id"),
		Attempt:    r.Header.Get("aftercall-attempt"),
		Cause:      r.Header.Get("aftercall-cause"),
		Headers:    r.Header.Clone(),
		Body:       body,
	}
	if err != nil {
		// An incomplete request is none; it was not answered either.
		e.Signature, e.Problem = Unchecked, fmt.Sprintf("reading the body: %v", err)
		h.answer(w, e, http.StatusBadRequest)
		return
	}
	e.Seen = h.seen.count(r.URL.Path + " " + e.WebhookID)
	e.Signature, e.Problem = h.verify(r.Header, body, e.Time)
	status, slow := h.decide(r, e.Seen)
	if !wait(r.Context(), h.Delay+slow) {
		e.Problem = "the sender did not wait for the answer"
		status = 0
	}
	e.Took = h.Now().Sub(e.Time)
	if status == http.StatusServiceUnavailable && r.URL.Path == "/flaky" {
		// Busy, not broken: half of its answers are errors, and whoever counts those
		// is told not to take it for an endpoint that does not work.
		w.Header().Set("retry-after", "1")
	}
	h.answer(w, e, status)
}

// decide says how to answer the n-th request of a webhook-id, and after what wait.
func (h *receiver) decide(r *http.Request, n int) (status int, slow time.Duration) {
	if h.Fail.Status != 0 && (h.Fail.Times == 0 || n <= h.Fail.Times) {
		return h.Fail.Status, 0
	}
	switch r.URL.Path {
	case "/flaky":
		if n == 1 {
			return http.StatusServiceUnavailable, 0
		}
	case "/broken":
		return http.StatusInternalServerError, 0
	case "/slow":
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil || ms < 0 {
			return http.StatusBadRequest, 0
		}
		return http.StatusOK, min(time.Duration(ms)*time.Millisecond, maxSlow)
	}
	return http.StatusOK, 0
}

func (h *receiver) verify(header http.Header, body []byte, now time.Time) (signature, problem string) {
	if len(h.Secrets) == 0 {
		return Unchecked, ""
	}
	var err error
	for _, secret := range h.Secrets {
		err = webhook.Verify(secret, header.Get(webhook.HeaderID), header.Get(webhook.HeaderTimestamp), header.Get(webhook.HeaderSignature), body, now)
		if err == nil {
			return Verified, ""
		}
	}
	if errors.Is(err, webhook.ErrUnsigned) {
		return Unsigned, err.Error()
	}
	return Invalid, err.Error()
}

// answer logs, then answers.
func (h *receiver) answer(w http.ResponseWriter, e Entry, status int) {
	e.Status = status
	if err := h.record(e); err != nil {
		http.Error(w, "writing the log: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if status == 0 {
		// Nobody listens any more.
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("content-type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if status != http.StatusNoContent && status != http.StatusNotModified {
		_, _ = fmt.Fprintf(w, "%d %s\n", status, http.StatusText(status))
	}
}

func (h *receiver) record(e Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Log != nil {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := h.Log.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	if h.OnRequest != nil {
		h.OnRequest(e)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// seen counts by id, and forgets the oldest beyond its size.
type seen struct {
	mu     sync.Mutex
	counts map[string]int
	order  []string
	next   int
}

func newSeen(size int) *seen { return &seen{counts: map[string]int{}, order: make([]string, size)} }

func (s *seen) count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[id]
	if n == 0 {
		if old := s.order[s.next]; old != "" {
			delete(s.counts, old)
		}
		s.order[s.next] = id
		s.next = (s.next + 1) % len(s.order)
	}
	s.counts[id] = n + 1
	return n + 1
}

const help = `A sample receiver of webhooks. POST to:
  /ok         200
  /flaky      503 with Retry-After: 1 to the first request of each webhook-id, then 200
  /broken     500
  /slow?ms=N  200 after N milliseconds
  any other   200
`
