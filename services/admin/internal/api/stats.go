package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Stats are the figures of the last 24 hours, and the charts of one subscription.
type Stats struct {
	ProjectedUntil wire.Time           `json:"projected_until,omitzero" doc:"Everything up to here is in these figures."`
	LagSeconds     float64             `json:"lag_s" doc:"How old that is."`
	Subscriptions  []SubscriptionStats `json:"subscriptions"`
	Charts         *Charts             `json:"charts,omitempty" doc:"When a subscription is named: what the console draws of it."`
}

// SubscriptionStats are those of one subscription, tests left out.
type SubscriptionStats struct {
	SubscriptionID string    `json:"subscription_id"`
	Attempts       int64     `json:"attempts"`
	Delivered      int64     `json:"delivered"`
	Failed         int64     `json:"failed"`
	P95MS          int64     `json:"p95_ms"`
	Waiting        int64     `json:"waiting" doc:"Deliveries that wait for a retry now."`
	NextRetryAt    wire.Time `json:"next_retry_at,omitzero"`
	LastAttempt    *Attempt  `json:"last_attempt,omitempty"`
	Hourly         []HourRow `json:"hourly" doc:"24 hours, the current one last."`
}

// HourRow are the figures of one hour.
type HourRow struct {
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"`
}

// Charts are the figures of one subscription over a range, tests left out.
type Charts struct {
	Range       string       `json:"range"`
	From        wire.Time    `json:"from"`
	To          wire.Time    `json:"to" doc:"Exclusive: the last bucket is still going on."`
	StepSeconds float64      `json:"step_s" doc:"Width of a bucket."`
	Total       Bucket       `json:"total" doc:"All buckets in one."`
	Buckets     []Bucket     `json:"buckets"`
	BucketsFrom wire.Time    `json:"buckets_from" doc:"From when on the buckets count; later than from when there is too much to read."`
	Codes       []CodeCount  `json:"codes" doc:"Answers by HTTP status, the most frequent first."`
	Errors      []ErrorCount `json:"errors" doc:"Failed attempts by class of error, the most frequent first."`
	CodesFrom   wire.Time    `json:"codes_from" doc:"From when on codes and errors count."`
	Hours       []HourHealth `json:"hours" doc:"The endpoint's last 24 hours, the current one last."`
	Waiting     WaitingRow   `json:"waiting"`
	Breaker     *BreakerRow  `json:"breaker,omitempty" doc:"When the endpoint is left alone."`
}

// Bucket is one bucket of a chart.
type Bucket struct {
	At        wire.Time `json:"at"`
	Delivered int64     `json:"delivered"`
	Failed    int64     `json:"failed"`
	NotSent   int64     `json:"not_sent"`
	P50MS     float64   `json:"p50_ms" doc:"Of what was sent, at most 10 % too high; 0 when nothing was."`
	P95MS     float64   `json:"p95_ms"`
	P99MS     float64   `json:"p99_ms"`
}

// CodeCount counts answers.
type CodeCount struct {
	HTTPStatus int32 `json:"http_status"`
	Attempts   int64 `json:"attempts"`
}

// ErrorCount counts failures.
type ErrorCount struct {
	ErrorClass string `json:"error_class"`
	Attempts   int64  `json:"attempts"`
}

// HourHealth is an endpoint's hour.
type HourHealth struct {
	At        wire.Time `json:"at"`
	Delivered int64     `json:"delivered"`
	Failed    int64     `json:"failed"`
	LeftAlone bool      `json:"left_alone" doc:"The breaker was open at some time of it."`
}

// WaitingRow is what waits for a retry.
type WaitingRow struct {
	Deliveries int64     `json:"deliveries"`
	OldestAt   wire.Time `json:"oldest_queued_at,omitzero"`
	NextAt     wire.Time `json:"next_attempt_at,omitzero"`
}

// BreakerRow is an open breaker.
type BreakerRow struct {
	Reason    string    `json:"reason,omitempty"`
	Since     wire.Time `json:"since"`
	NextProbe wire.Time `json:"next_probe_at,omitzero"`
}

// statsAtOnce is how many subscriptions' figures are read by one query.
const statsAtOnce = 200

func (a *API) stats() {
	route(a, access.Read, huma.Operation{OperationID: "readStats", Method: http.MethodGet, Path: "/stats", Summary: "Figures of the last 24 hours, and charts", Tags: []string{"History"},
		Description: "The figures of every subscription, or of one and what the console's charts show of it. Tests are left out.", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity}},
		func(ctx context.Context, in *struct {
			Subscription string `query:"subscription" maxLength:"64" doc:"Id of a subscription: only its figures, and its charts."`
			Range        string `query:"range" enum:"1h,24h,7d" default:"24h" doc:"Of the charts."`
		}) (*struct{ Body Stats }, error) {
			out, err := a.readStats(ctx, in.Subscription, in.Range)
			if err != nil {
				return nil, err
			}
			return &struct{ Body Stats }{*out}, nil
		})
}

func (a *API) readStats(ctx context.Context, subscriptionID, rangeName string) (*Stats, error) {
	now := time.Now()
	out := &Stats{Subscriptions: []SubscriptionStats{}}
	fresh, err := a.store.Freshness(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range fresh {
		if out.ProjectedUntil.IsZero() || f.ProjectedUntil.Before(out.ProjectedUntil.Time) {
			out.ProjectedUntil = wire.At(f.ProjectedUntil)
		}
		out.LagSeconds = max(out.LagSeconds, f.LagSeconds)
	}
	var ids []string
	if subscriptionID != "" {
		if _, err := a.store.Subscription(ctx, subscriptionID); err != nil {
			return nil, err
		}
		ids = []string{subscriptionID}
		if out.Charts, err = a.charts(ctx, subscriptionID, rangeName, now); err != nil {
			return nil, err
		}
	} else {
		subs, err := a.store.Subscriptions(ctx, store.SubscriptionQuery{})
		if err != nil {
			return nil, err
		}
		for _, s := range subs {
			ids = append(ids, s.ID)
		}
	}
	for len(ids) > 0 {
		part := ids[:min(len(ids), statsAtOnce)]
		ids = ids[len(part):]
		by, err := a.store.SubscriptionStats(ctx, now.Add(-24*time.Hour), part...)
		if err != nil {
			return nil, err
		}
		for _, id := range part {
			out.Subscriptions = append(out.Subscriptions, statsRow(id, by[id]))
		}
	}
	return out, nil
}

func statsRow(id string, f store.SubscriptionStats) SubscriptionStats {
	row := SubscriptionStats{SubscriptionID: id, Attempts: f.Attempts, Delivered: f.Delivered, Failed: f.Failed, P95MS: f.P95.Milliseconds(), Waiting: f.Waiting, NextRetryAt: wire.At(f.NextRetry), Hourly: []HourRow{}}
	if f.LastAttempt != nil {
		last := attemptRow(*f.LastAttempt)
		row.LastAttempt = &last
	}
	for _, h := range f.Hourly {
		row.Hourly = append(row.Hourly, HourRow{h.Delivered, h.Failed})
	}
	return row
}

func (a *API) charts(ctx context.Context, subscriptionID, rangeName string, now time.Time) (*Charts, error) {
	q, ok := store.ChartOf(subscriptionID, rangeName, now)
	if !ok {
		return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid, "There is no such range.")
	}
	c, err := a.store.Charts(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &Charts{Range: rangeName, From: wire.At(c.From), To: wire.At(c.To), StepSeconds: c.Step.Seconds(), Total: bucketRow(c.Total), Buckets: []Bucket{}, BucketsFrom: wire.At(c.BucketsFrom),
		Codes: []CodeCount{}, Errors: []ErrorCount{}, CodesFrom: wire.At(c.CodesFrom), Hours: []HourHealth{},
		Waiting: WaitingRow{c.Waiting.N, wire.At(c.Waiting.Oldest), wire.At(c.Waiting.Next)}}
	for _, b := range c.Buckets {
		out.Buckets = append(out.Buckets, bucketRow(b))
	}
	for _, code := range c.Codes {
		out.Codes = append(out.Codes, CodeCount{code.Status, code.N})
	}
	for _, e := range c.Errors {
		out.Errors = append(out.Errors, ErrorCount{e.Class, e.N})
	}
	for _, h := range c.Hours {
		out.Hours = append(out.Hours, HourHealth{wire.At(h.At), h.Delivered, h.Failed, h.LeftAlone})
	}
	if b := c.Breaker; b != nil {
		out.Breaker = &BreakerRow{b.Reason, wire.At(b.Since), wire.At(b.Until)}
	}
	return out, nil
}

func bucketRow(b store.ChartBucket) Bucket {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Bucket{wire.At(b.At), b.Delivered, b.Failed, b.NotSent, ms(b.P50), ms(b.P95), ms(b.P99)}
}
