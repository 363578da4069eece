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
// session, which any change may be.
func (h *Hub) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
		default:
			h.Recheck()
		}
	})
}
