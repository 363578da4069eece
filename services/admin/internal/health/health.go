// Package health puts together what the Health page and the API say of the flow.
//
// It guarantees that both say the same, and that what is not known is missing
// instead of being zero.
package health

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/admin/internal/watch"
)

// StaleAfter is how far the view may be behind before it has to say so.
const StaleAfter = 10 * time.Second

// Group is how far a consumer group is behind.
type Group struct {
	Name  string
	Lag   int64
	Known bool
	// Markers are how many of Lag the ends of transactions may be.
	Markers int64
}

// Behind says that there is more than ends of transactions to read.
func (g Group) Behind() bool { return g.Known && g.Lag > g.Markers }

// Stuck is a topic whose last stable offset stands still.
type Stuck struct {
	Topic string
	For   time.Duration
}

// Report is the state of the flow at a time.
type Report struct {
	At time.Time
	store.Health
	Groups []Group
	Stuck  []Stuck
	// Age is how far the view is behind; nothing was projected yet when Viewed
	// is false.
	Age     time.Duration
	Viewed  bool
	Version string
}

// Stale is whether the view has to say how old it is.
func (r Report) Stale() bool { return r.Viewed && r.Age > StaleAfter }

// Read puts it together. Each source topic is in it, also a silent one.
func Read(ctx context.Context, db *store.DB, last *watch.Last, now time.Time) (Report, error) {
	r := Report{At: now, Version: telemetry.Version()}
	h, err := db.Health(ctx, now)
	if err != nil {
		return Report{}, err
	}
	fresh, err := db.Freshness(ctx)
	if err != nil {
		return Report{}, err
	}
	for _, f := range fresh {
		r.Viewed, r.Age = true, max(r.Age, f.Lag)
	}
	seen := map[string]store.SourceHealth{}
	for name := range topic.Sources {
		seen[name] = store.SourceHealth{Topic: name}
	}
	for _, s := range h.Sources {
		seen[s.Topic] = s
	}
	r.Health, r.Sources = h, nil
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		r.Sources = append(r.Sources, seen[name])
	}
	reading, measured := last.Get(now)
	for _, name := range watch.Groups() {
		lag, known := reading.Lags[name]
		r.Groups = append(r.Groups, Group{Name: name, Lag: lag, Known: known && measured, Markers: reading.Markers[name]})
	}
	if measured {
		for _, name := range slices.Sorted(maps.Keys(reading.Stuck)) {
			if d := reading.Stuck[name]; d > 0 {
				r.Stuck = append(r.Stuck, Stuck{Topic: name, For: d})
			}
		}
	}
	return r, nil
}
