package engine

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aftercall/aftercall/pkg/record"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/core"
)

// Meter is the sender's metrics. Their labels are bounded: never a URL or an id.
type Meter struct {
	attempts   *prometheus.CounterVec
	duration   prometheus.Histogram
	ended      *prometheus.CounterVec
	deferrals  *prometheus.CounterVec
	age        prometheus.Histogram
	commit     prometheus.Histogram
	unreadable prometheus.Counter
	inFlight   prometheus.Gauge
	held       prometheus.Gauge
	bytes      prometheus.Gauge
	outcomes   prometheus.Gauge
	duplicates prometheus.Counter
	counted    core.Counters
}

// NewMeter registers the sender's metrics.
func NewMeter(registry prometheus.Registerer) *Meter {
	m := &Meter{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftercall_sender_attempts_total", Help: "Attempts by result and error class.",
		}, []string{"result", "error_class"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aftercall_sender_attempt_duration_seconds", Help: "Time of one request, from its start to the end of the answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftercall_sender_ended_total", Help: "Deliveries ended, by state.",
		}, []string{"state"}),
		deferrals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftercall_sender_deferrals_total", Help: "Deliveries put off without an attempt, by reason.",
		}, []string{"reason"}),
		age: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aftercall_sender_delivered_after_seconds", Help: "From the end of the call to its delivery.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 15),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aftercall_sender_commit_duration_seconds", Help: "Time of one offset commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10),
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftercall_sender_unreadable_total", Help: "Records of aftercall.deliveries that this build cannot read.",
		}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftercall_sender_duplicates_dropped_total", Help: "Copies of a try that was under way or done.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "aftercall_sender_in_flight", Help: "Requests under way."}),
		held:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "aftercall_sender_held_records", Help: "Records taken in and not finished."}),
		bytes:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "aftercall_sender_held_bytes", Help: "Bytes of records taken in and not finished."}),
		outcomes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "aftercall_sender_outcomes_waiting", Help: "Outcomes that Kafka has not acknowledged yet."}),
	}
	// From 0 on: of a series that begins with its first event, that event is no increase.
	for _, state := range []string{"delivered", "given_up", "stopped"} {
		m.ended.WithLabelValues(state)
	}
	for class := range aftercallv1.Attempt_ErrorClass_value {
		if name := strings.ToLower(strings.TrimPrefix(class, "ERROR_CLASS_")); name != "unspecified" {
			m.attempts.WithLabelValues("failed", name)
		}
	}
	m.attempts.WithLabelValues("delivered", "none")
	m.deferrals.WithLabelValues("breaker")
	if registry != nil {
		registry.MustRegister(m.attempts, m.duration, m.ended, m.deferrals, m.age, m.commit, m.unreadable, m.duplicates, m.inFlight, m.held, m.bytes, m.outcomes)
	}
	return m
}

func (m *Meter) attempted(a *aftercallv1.Attempt, took time.Duration) {
	result := strings.ToLower(strings.TrimPrefix(a.GetResult().String(), "RESULT_"))
	class := "none"
	if a.GetErrorClass() != aftercallv1.Attempt_ERROR_CLASS_UNSPECIFIED {
		class = strings.ToLower(strings.TrimPrefix(a.GetErrorClass().String(), "ERROR_CLASS_"))
	}
	m.attempts.WithLabelValues(result, class).Inc()
	if took > 0 {
		m.duration.Observe(took.Seconds())
	}
	if a.GetState() == aftercallv1.DeliveryState_DELIVERY_STATE_WAITING {
		return
	}
	m.ended.WithLabelValues(strings.ToLower(strings.TrimPrefix(a.GetState().String(), "DELIVERY_STATE_"))).Inc()
	if a.GetState() == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED && a.GetOccurredAt().IsValid() {
		m.age.Observe(max(a.GetStartedAt().AsTime().Add(took).Sub(a.GetOccurredAt().AsTime()), 0).Seconds())
	}
}

func (m *Meter) deferred(reason string) { m.deferrals.WithLabelValues(reason).Inc() }

// observe is called by the dispatcher alone.
func (m *Meter) observe(s core.Stats, outcomes int64) {
	m.inFlight.Set(float64(s.InFlight))
	m.held.Set(float64(s.Held))
	m.bytes.Set(float64(s.Bytes))
	m.outcomes.Set(float64(outcomes))
	m.duplicates.Add(float64(s.Duplicates - m.counted.Duplicates))
	m.counted = s.Counters
}

func isCorrupt(err error) bool { return errors.Is(err, record.ErrCorrupt) }
