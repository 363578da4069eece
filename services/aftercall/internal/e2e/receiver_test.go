package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// receiver is a customer's system. Its log outlives the processes that are killed.
type receiver struct {
	t       *testing.T
	URL     string
	logFile string

	mu    sync.Mutex
	taken map[string]bool
	times []time.Time
	total int
}

func newReceiver(t *testing.T, o listen.Options) *receiver {
	t.Helper()
	return newReceiverBehind(t, o, func(h http.Handler) http.Handler { return h })
}

// newBrokenReceiver answers 500 until it is mended, at the same URL.
func newBrokenReceiver(t *testing.T, o listen.Options) (r *receiver, mend func()) {
	t.Helper()
	var mended atomic.Bool
	r = newReceiverBehind(t, o, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !mended.Load() {
				r.URL.Path = "/broken"
			}
			h.ServeHTTP(w, r)
		})
	})
	return r, func() { mended.Store(true) }
}

func newReceiverBehind(t *testing.T, o listen.Options, front func(http.Handler) http.Handler) *receiver {
	t.Helper()
	r := &receiver{t: t, logFile: filepath.Join(t.TempDir(), "requests.jsonl"), taken: map[string]bool{}}
	log, err := os.OpenFile(r.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	o.Log, o.OnRequest = log, r.count
	server := httptest.NewServer(front(listen.Handler(o)))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

func (r *receiver) count(e listen.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.times = append(r.times, e.Time)
	if e.Status >= 200 && e.Status <= 299 {
		r.taken[e.DeliveryID] = true
	}
}

// delivered counts the deliveries that were taken.
func (r *receiver) delivered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken)
}

func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// log is every request so far.
func (r *receiver) log() []listen.Entry {
	r.t.Helper()
	f, err := os.Open(r.logFile)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	entries, err := listen.ReadLog(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return entries
}

// silence is the longest time between two requests that began before at.
func silence(entries []listen.Entry, at time.Time) time.Duration {
	before, after := time.Time{}, time.Time{}
	for _, e := range entries {
		if e.Time.Before(at) && e.Time.After(before) {
			before = e.Time
		}
		if e.Time.After(at) && (after.IsZero() || e.Time.Before(after)) {
			after = e.Time
		}
	}
	return after.Sub(before)
}

// rate is the most requests in any second.
func rate(entries []listen.Entry) int {
	times := make([]time.Time, len(entries))
	for i, e := range entries {
		times[i] = e.Time
	}
	sort.Slice(times, func(i, j int) bool { return times[i].Before(times[j]) })
	most, first := 0, 0
	for i, at := range times {
		for at.Sub(times[first]) > time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
