package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// meter counts requests, and keeps a panic in one of them from going unseen.
type meter struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMeter(reg prometheus.Registerer) *meter {
	m := &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aftercall_admin_requests_total", Help: "Requests, by surface (api, console) and status."}, []string{"surface", "status"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aftercall_admin_request_seconds", Help: "How long requests took, by surface.", Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"surface"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds)
	}
	return m
}

// wrap counts what next answers. Where it panics, the log has the stack under the
// request's id, and sorry answers with that id.
func (m *meter) wrap(surface string, logger *zap.Logger, next http.Handler, sorry func(w http.ResponseWriter, r *http.Request, request string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the panic's value as well, and re-panics it bare
					panic(p)
				}
				request := problem.NewRequest()
				logger.Error("request.panicked", zap.String("request", request), zap.String("surface", surface), zap.String("method", r.Method), zap.String("panic", fmt.Sprintf("%T", p)), zap.Stack("stack"))
				if !seen.wrote {
					sorry(seen, r, request)
				}
			}
			m.requests.WithLabelValues(surface, strconv.Itoa(seen.status)).Inc()
			// A stream takes as long as somebody listens.
			if w.Header().Get("Content-Type") != "text/event-stream" {
				m.seconds.WithLabelValues(surface).Observe(time.Since(begin).Seconds())
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
