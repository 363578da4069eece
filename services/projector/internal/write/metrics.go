package write

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/aftercall/aftercall/pkg/store"
)

// Metrics of the projector.
type Metrics struct {
	rows     *prometheus.CounterVec
	records  prometheus.Counter
	rejected *prometheus.CounterVec
	seconds  prometheus.Histogram
	size     prometheus.Histogram
	failures prometheus.Counter
	moved    prometheus.Counter
	lost     prometheus.Counter

	mu    sync.Mutex
	until map[partition]time.Time
}

// NewMetrics registers the metrics; a nil registry keeps them to themselves.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		rows:     f.NewCounterVec(prometheus.CounterOpts{Name: "aftercall_projector_rows_total", Help: "Rows added to the store, by table."}, []string{"table"}),
		records:  f.NewCounter(prometheus.CounterOpts{Name: "aftercall_projector_records_total", Help: "Records read and committed to the store."}),
		rejected: f.NewCounterVec(prometheus.CounterOpts{Name: "aftercall_projector_rejected_total", Help: "Records kept as rejections because they could not be read or stored, by code."}, []string{"code"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{Name: "aftercall_projector_batch_seconds", Help: "Duration of one batch's transaction.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		size: f.NewHistogram(prometheus.HistogramOpts{Name: "aftercall_projector_batch_records", Help: "Records of one batch.",
			Buckets: []float64{1, 3, 10, 30, 100, 300, 1000, 3000, 10000}}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "aftercall_projector_database_failures_total", Help: "Transactions that the database failed."}),
		moved:    f.NewCounter(prometheus.CounterOpts{Name: "aftercall_projector_offset_moved_total", Help: "Batches given up because another projector had been there."}),
		lost:     f.NewCounter(prometheus.CounterOpts{Name: "aftercall_projector_lost_records_total", Help: "Records that were gone from Kafka before they were projected."}),
		until:    map[partition]time.Time{},
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "aftercall_projector_lag_seconds", Help: "Age of the view: how long ago the oldest partition of this projector was last known to be in the store."}, m.lag)
	return m
}

// lag grows by itself: what is not known to be fresh is not.
func (m *Metrics) lag() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lag time.Duration
	for _, t := range m.until {
		lag = max(lag, time.Since(t))
	}
	return lag.Seconds()
}

func (m *Metrics) fresh(p partition, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if until.After(m.until[p]) {
		m.until[p] = until
	}
}

// keep forgets all partitions but those held. One that is new counts from now.
func (m *Metrics) keep(held []partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := make(map[partition]time.Time, len(held))
	for _, p := range held {
		if until[p] = m.until[p]; until[p].IsZero() {
			until[p] = time.Now()
		}
	}
	m.until = until
}

func (m *Metrics) projected(n store.Projected, records int, took time.Duration) {
	for table, v := range map[string]int64{
		"events": n.Events, "attempts": n.Attempts, "deferrals": n.Deferrals, "rejections": n.Rejections, "endpoint_changes": n.Changes, "deliveries": n.Deliveries,
	} {
		m.rows.WithLabelValues(table).Add(float64(v))
	}
	m.records.Add(float64(records))
	m.size.Observe(float64(records))
	m.seconds.Observe(took.Seconds())
}
