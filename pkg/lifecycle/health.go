package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// errStarting is the state of a check between Register and its first Set.
var errStarting = errors.New("starting")

// Health is the readiness of a process as a set of named checks. The zero value
// is not usable; create it with NewHealth. All methods may be called from any
// goroutine.
type Health struct {
	mu     sync.RWMutex
	checks map[string]error
	mux    *http.ServeMux
}

// NewHealth returns a Health without checks: ready.
func NewHealth() *Health {
	h := &Health{checks: map[string]error{}, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /livez", h.live)
	h.mux.HandleFunc("GET /readyz", h.ready)
	return h
}

// Register adds a check that is not ready until Set says so. Registering a name
// again leaves its state as it is.
func (h *Health) Register(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.checks[name]; !ok {
		h.checks[name] = errStarting
	}
}

// Set records the state of a check, adding it if need be: nil means ready. The
// error's text is shown to whoever asks /readyz, so it must hold no secrets.
func (h *Health) Set(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = err
}

// Err is nil when every check is ready, else it names those that are not.
func (h *Health) Err() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(h.checks)) {
		if err := h.checks[name]; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// ServeHTTP answers /livez with 200 while the process can answer at all, and
// /readyz with 200 or 503 and one line for each check:
//
//	not ready
//	kafka: ok
//	subscriptions: starting
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Health) live(w http.ResponseWriter, _ *http.Request) {
	writePlain(w, http.StatusOK, "alive\n")
}

func (h *Health) ready(w http.ResponseWriter, _ *http.Request) {
	h.mu.RLock()
	status, head, lines := http.StatusOK, "ready\n", strings.Builder{}
	for _, name := range slices.Sorted(maps.Keys(h.checks)) {
		state := "ok"
		if err := h.checks[name]; err != nil {
			status, head = http.StatusServiceUnavailable, "not ready\n"
			state = strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		fmt.Fprintf(&lines, "%s: %s\n", name, state)
	}
	h.mu.RUnlock()
	writePlain(w, status, head+lines.String())
}

func writePlain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The caller is gone if this fails; there is nobody left to tell.
	_, _ = io.WriteString(w, body)
}
