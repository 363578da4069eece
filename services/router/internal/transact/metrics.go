package transact

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the router. Only what was committed is counted as routed.
type Metrics struct {
	records      *prometheus.CounterVec
	deliveries   prometheus.Counter
	transactions prometheus.Histogram
	aborts       *prometheus.CounterVec
	rebuilds     prometheus.Counter
}

// Outcomes and reasons, as they stand on labels.
const (
	outcomeEvent     = "event"
	outcomeDuplicate = "duplicate"
	outcomeRejected  = "rejected"

	abortProduce   = "produce"
	abortRebalance = "rebalance"
	abortOverflow  = "overflow"
	abortEnd       = "end"
)

// NewMetrics registers the router's metrics; r may be nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftercall_router_records_total",
			Help: "CDR records routed and committed, by what they became: event, duplicate or rejected.",
		}, []string{"outcome"}),
		deliveries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftercall_router_deliveries_total",
			Help: "Deliveries produced and committed.",
		}),
		transactions: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "aftercall_router_transaction_seconds",
			Help:    "Time from the first record of a batch being routed to its transaction being committed.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		aborts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aftercall_router_aborts_total",
			Help: "Transactions that were not committed, by reason: rebalance (normal), overflow (normal after a burst), produce, end.",
		}, []string{"reason"}),
		rebuilds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aftercall_router_session_rebuilds_total",
			Help: "Times that the Kafka client was closed and made anew after an error.",
		}),
	}
	for _, o := range []string{outcomeEvent, outcomeDuplicate, outcomeRejected} {
		m.records.WithLabelValues(o)
	}
	for _, a := range []string{abortProduce, abortRebalance, abortOverflow, abortEnd} {
		m.aborts.WithLabelValues(a)
	}
	if r != nil {
		r.MustRegister(m.records, m.deliveries, m.transactions, m.aborts, m.rebuilds)
	}
	return m
}
