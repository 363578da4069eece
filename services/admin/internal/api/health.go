package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/health"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// HealthReport is the state of the flow.
type HealthReport struct {
	At         wire.Time       `json:"at"`
	Version    string          `json:"version"`
	Sources    []SourceHealth  `json:"sources" doc:"Every CDR topic, with what came from it."`
	Groups     []GroupLag      `json:"groups"`
	Stuck      []StuckTopic    `json:"stuck" doc:"Topics on which a transaction stays open."`
	Waiting    int64           `json:"waiting" doc:"Deliveries that wait for their next attempt."`
	Oldest     *wire.Time      `json:"oldest_waiting,omitempty" doc:"When the oldest of them was queued."`
	Unsent     *wire.Time      `json:"oldest_unsent,omitempty" doc:"When the oldest delivery was queued that has not come to its end, tried or not."`
	ViewAge    *float64        `json:"view_age_s,omitempty" doc:"How far these figures are behind Kafka; missing before anything was projected."`
	Breakers   []BreakerHealth `json:"breakers" doc:"Endpoints that are left alone; at most 200."`
	PutOff     []PutOffRow     `json:"put_off_10min" doc:"What senders put off in the last 10 minutes, of the newest 10,000, the most frequent reason first."`
	Duplicates int64           `json:"duplicates_24h"`
	Rejected   int64           `json:"rejected_24h"`
}

// SourceHealth is a CDR topic.
type SourceHealth struct {
	Topic    string     `json:"topic"`
	Last     *wire.Time `json:"last_at,omitempty" doc:"When the last CDR of the last 24 h happened."`
	LastHour int64      `json:"last_hour"`
	LastWeek *int64     `json:"same_hour_last_week,omitempty" doc:"The same hour a week ago; missing while the store does not reach back so far."`
}

// PutOffRow counts deliveries that were put off for one reason.
type PutOffRow struct {
	Reason     string `json:"reason" doc:"queue_full, breaker, rate, retry_after, paused …"`
	Deliveries int64  `json:"deliveries"`
}

// GroupLag is a consumer group.
type GroupLag struct {
	Group string `json:"group"`
	Lag   *int64 `json:"lag,omitempty" doc:"Records behind; missing when it is not known. At rest the end of a transaction may stay in each partition."`
}

// StuckTopic is a topic whose last stable offset stands still.
type StuckTopic struct {
	Topic   string  `json:"topic"`
	Seconds float64 `json:"seconds"`
}

// BreakerHealth is an endpoint that is left alone.
type BreakerHealth struct {
	SubscriptionID string     `json:"subscription_id"`
	Reason         string     `json:"reason,omitempty"`
	Since          wire.Time  `json:"since"`
	Until          *wire.Time `json:"until,omitempty"`
}

func (a *API) healthReport() {
	route(a, access.Read, huma.Operation{OperationID: "getHealthReport", Method: http.MethodGet, Path: "/health-report", Summary: "Health of the flow", Tags: []string{"Health"},
		Description: "What came in, what waits, who is behind, and how old these figures are."},
		func(ctx context.Context, _ *struct{}) (*struct{ Body HealthReport }, error) {
			r, err := health.Read(ctx, a.store, a.webhooks.Lags, time.Now())
			if err != nil {
				return nil, err
			}
			return &struct{ Body HealthReport }{healthOf(r)}, nil
		})
}

func healthOf(r health.Report) HealthReport {
	out := HealthReport{At: wire.At(r.At), Version: r.Version, Sources: []SourceHealth{}, Groups: []GroupLag{}, Stuck: []StuckTopic{}, Breakers: []BreakerHealth{}, PutOff: []PutOffRow{},
		Waiting: r.Waiting, Oldest: maybe(r.Oldest), Unsent: maybe(r.OldestUnsent), Rejected: r.Rejected}
	if r.Viewed {
		age := r.Age.Seconds()
		out.ViewAge = &age
	}
	for _, s := range r.Sources {
		out.Duplicates += s.Duplicates
		row := SourceHealth{Topic: s.Topic, Last: maybe(s.Last), LastHour: s.LastHour}
		if r.WeekKnown {
			row.LastWeek = &s.HourLastWeek
		}
		out.Sources = append(out.Sources, row)
	}
	for _, p := range r.PutOff {
		out.PutOff = append(out.PutOff, PutOffRow{p.Reason, p.N})
	}
	for _, g := range r.Groups {
		lag := GroupLag{Group: g.Name}
		if g.Known {
			lag.Lag = &g.Lag
		}
		out.Groups = append(out.Groups, lag)
	}
	for _, s := range r.Stuck {
		out.Stuck = append(out.Stuck, StuckTopic{s.Topic, s.For.Seconds()})
	}
	for _, b := range r.Breakers {
		out.Breakers = append(out.Breakers, BreakerHealth{SubscriptionID: b.SubscriptionID, Reason: b.Reason, Since: wire.At(b.Since), Until: maybe(b.Until)})
	}
	return out
}

func maybe(t time.Time) *wire.Time {
	if t.IsZero() {
		return nil
	}
	at := wire.At(t)
	return &at
}
