package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options of a run.
type Options struct {
	// Only these sections; all short ones when empty.
	Only []string
	// Full measures every section, at every place.
	Full bool
	// Deliveries measured in each row.
	Deliveries int
	// Payload size in bytes.
	Payload int
	// Concurrency of the one subscription.
	Concurrency int
	// Rate a second, and Seconds, at which the latency is measured afterwards.
	Rate, Seconds int
	// NeighbourRate in events a second, each for twenty subscriptions, and for how
	// long.
	NeighbourRate, NeighbourSeconds int
	// Replays at ReplayRate a second, and for how long live calls are measured
	// alone and beside them, and beside what waited for an endpoint.
	Replays, ReplayRate, ReplaySeconds int
	// Waiting deliveries when an endpoint comes back.
	Waiting int
	// Brokers of a real Kafka, and URL of a PostgreSQL server where a database of
	// the run's own is made.
	Brokers  []string
	Database string
	// Reset deletes what is Aftercall's on the brokers before it begins.
	Reset bool
	// Profile is a file for a CPU profile of the one-process row.
	Profile string
	// JSON is a file for the result.
	JSON string

	progress io.Writer
	settle   time.Duration
}

// Sections of a run.
const (
	sectionPipeline   = "pipeline"
	sectionNeighbours = "neighbours"
	sectionReplay     = "replay"
	sectionOutage     = "outage"
	sectionCost       = "cost"
)

// Sections names those that Only may ask for. The last two take their time: they
// run when asked for.
var Sections = []string{sectionPipeline, sectionNeighbours, sectionReplay, sectionOutage, sectionCost}

func (o Options) wants(section string) bool {
	if len(o.Only) > 0 {
		return slices.Contains(o.Only, section)
	}
	return section != sectionOutage && section != sectionCost || o.Full
}

// Result is what a run measured.
type Result struct {
	Cores      int
	Deliveries int
	Payload    int
	// Load is what the system says of the last minute, before and after: others
	// may have been there.
	Load       [2]string
	Rows       []Row    `json:",omitempty"`
	Neighbours []Beside `json:",omitempty"`
	Replays    []Beside `json:",omitempty"`
	Outages    []Outage `json:",omitempty"`
	Costs      []Row    `json:",omitempty"`
}

// Run measures what is asked for and writes the tables.
func Run(ctx context.Context, o Options, out, progress io.Writer) error {
	o.progress, o.settle = progress, settle
	result := Result{Cores: runtime.NumCPU(), Deliveries: o.Deliveries, Payload: o.Payload}
	result.Load[0] = load()
	if o.wants(sectionPipeline) {
		r, err := startReceiver(ctx)
		if err != nil {
			return err
		}
		defer r.stop()
		if result.Rows, err = o.rows(ctx, r); err != nil {
			return err
		}
	}
	// Each of the others has endpoints of its own, and a pipeline that nothing was
	// measured on before.
	each := func(section string, work func(ctx context.Context, r *receiver, at place) error) error {
		if !o.wants(section) {
			return nil
		}
		places := o.places()
		if len(o.Only) == 0 && !o.Full {
			// The short form: where it counts most.
			places = places[len(places)-1:]
		}
		for _, name := range places {
			err := o.at(ctx, name, func(ctx context.Context, at place) error {
				r, err := startReceiver(ctx)
				if err != nil {
					return err
				}
				defer r.stop()
				return work(ctx, r, at)
			})
			if err != nil {
				return fmt.Errorf("measuring %s on %s: %w", section, name, err)
			}
		}
		return nil
	}
	if err := each(sectionNeighbours, func(ctx context.Context, r *receiver, at place) error {
		b, err := o.badNeighbours(ctx, r, at)
		result.Neighbours = append(result.Neighbours, b)
		return err
	}); err != nil {
		return err
	}
	if err := each(sectionReplay, func(ctx context.Context, r *receiver, at place) error {
		b, err := o.besideReplay(ctx, r, at)
		result.Replays = append(result.Replays, b)
		return err
	}); err != nil {
		return err
	}
	if err := each(sectionOutage, func(ctx context.Context, r *receiver, at place) error {
		b, err := o.afterOutage(ctx, r, at)
		result.Outages = append(result.Outages, b)
		return err
	}); err != nil {
		return err
	}
	if o.wants(sectionCost) {
		var err error
		if result.Costs, err = o.costs(ctx, startReceiver); err != nil {
			return fmt.Errorf("measuring costs: %w", err)
		}
	}
	result.Load[1] = load()
	if o.JSON != "" {
		b, err := json.MarshalIndent(result, "", "  ")
		if err == nil {
			err = os.WriteFile(o.JSON, append(b, '\n'), 0o600)
		}
		if err != nil {
			return fmt.Errorf("keeping the result: %w", err)
		}
	}
	return result.print(out, o)
}

func (o Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.progress, format+"\n", args...)
}

// load is the load average of the last minute, empty where it is unknown.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
