package stream

import (
	"net/http"
	"time"
)

// recheckEvery is how often every stream is made to ask at the most.
const recheckEvery = 100 * time.Millisecond

// Recheck makes every stream ask at once whether its token or session is still
// valid, instead of within the next second.
func (h *Hub) Recheck() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rechecking {
		return
	}
	check := func() {
		h.checks++
		h.checked = time.Now()
		h.broadcast()
	}
	wait := recheckEvery - time.Since(h.checked)
	if wait <= 0 {
		check()
		return
	}
	h.rechecking = true
	time.AfterFunc(wait, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.rechecking = false
		check()
	})
}

// Guard makes streams ask after every request that may have ended a token or a
// session, which any change may be. What was refused has changed nothing: whoever
// has no token must not be able to make every stream ask the store.
func (h *Hub) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &refusals{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if seen.refused {
			return
		}
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
		default:
			h.Recheck()
		}
	})
}

// refusals sees whether a request was refused.
type refusals struct {
	http.ResponseWriter
	refused bool
}

func (w *refusals) WriteHeader(status int) {
	w.refused = status >= http.StatusBadRequest && status < http.StatusInternalServerError
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *refusals) Unwrap() http.ResponseWriter { return w.ResponseWriter }
