// Package retention runs the job that deletes what is past its period.
//
// It guarantees that one process at a time does so, that a failure is tried again
// and seen (a metric says when it last went through), and that projecting does not
// wait for it.
package retention

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
)

const (
	every      = time.Hour
	afterFault = 5 * time.Minute
	lockName   = "retention"
)

// Store is what is pruned; *store.DB is one.
type Store interface {
	Lock(ctx context.Context, name string) (release func(), ok bool, err error)
	Prune(ctx context.Context, now time.Time, r store.Retention) (map[string]int64, error)
}

// Job deletes what is past its period, once an hour.
type Job struct {
	store  Store
	keep   store.Retention
	logger *zap.Logger
	rows   *prometheus.CounterVec
	last   prometheus.Gauge
}

// New makes a job and registers its metrics; reg may be nil.
func New(s Store, keep store.Retention, reg prometheus.Registerer, logger *zap.Logger) *Job {
	f := promauto.With(reg)
	j := &Job{
		store: s, keep: keep, logger: logger,
		rows: f.NewCounterVec(prometheus.CounterOpts{Name: "aftercall_retention_deleted_total",
			Help: "Rows deleted because they were past their period, by table; day partitions for attempts in PostgreSQL."}, []string{"table"}),
		last: f.NewGauge(prometheus.GaugeOpts{Name: "aftercall_retention_last_success_timestamp_seconds",
			Help: "When what is past its period was last deleted or found to be deleted by another projector; begins at the start."}),
	}
	j.last.SetToCurrentTime()
	return j
}

// Run works until ctx ends.
func (j *Job) Run(ctx context.Context) error {
	for {
		wait := every
		if err := j.once(ctx); err != nil && ctx.Err() == nil {
			j.logger.Warn("retention.failed", zap.Error(err), zap.Duration("again_in", afterFault))
			wait = afterFault
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (j *Job) once(ctx context.Context) error {
	release, ok, err := j.store.Lock(ctx, lockName)
	if err != nil {
		return err
	}
	if !ok {
		// Another projector is at it.
		j.last.SetToCurrentTime()
		return nil
	}
	defer release()
	begun := time.Now()
	counts, err := j.store.Prune(ctx, begun, j.keep)
	fields := []zap.Field{zap.Duration("took", time.Since(begun))}
	var total int64
	for table, n := range counts {
		j.rows.WithLabelValues(table).Add(float64(n))
		if total += n; n > 0 {
			fields = append(fields, zap.Int64(table, n))
		}
	}
	if total > 0 {
		j.logger.Info("retention.deleted", fields...)
	}
	if err != nil {
		return err
	}
	j.last.SetToCurrentTime()
	return nil
}
