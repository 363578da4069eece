package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
)

// Row is one line of how many deliveries a second arrive and what they cost.
type Row struct {
	Name       string
	Deliveries int
	Took       time.Duration
	// CPU of this process: the client's, or the whole pipeline's.
	CPU time.Duration
	// Receiver's CPU.
	Receiver time.Duration
	// Opened connections at the receiver.
	Opened int64
	// Repeated requests beyond one per delivery.
	Repeated int64
	// Parts share the CPU time; nil for the bare loop.
	Parts map[string]time.Duration `json:",omitempty"`
	// Memory is the resident set when the last delivery was stored, in bytes; 0
	// where the system does not tell.
	Memory int64
	// Latency from produce to the receiver's answer, at a modest rate.
	Latency Latency
}

// PerSecond is the row's rate.
func (r Row) PerSecond() float64 { return float64(r.Deliveries) / r.Took.Seconds() }

func (r Row) each(d time.Duration) float64 {
	return float64(d.Microseconds()) / float64(r.Deliveries)
}

// mainGroup is the one endpoint of bare loop and pipeline.
const mainGroup = "main"

// rows measures the bare loop, then the pipeline at each place.
func (o Options) rows(ctx context.Context, r *receiver) ([]Row, error) {
	urls, err := r.open(mainGroup, 1, behaviour{}, false)
	if err != nil {
		return nil, err
	}
	o.say("bare loop: %d signed POSTs, %d in flight", o.Deliveries, bareInFlight)
	one := payloadOf(o.Payload, 1)(0, time.Time{})
	// Warm up connections and code on a tenth.
	if err := bare(ctx, urls[0], one, o.Deliveries/10); err != nil {
		return nil, err
	}
	row, err := measure(Row{Name: "bare loop of signed POSTs"}, o.Deliveries, r, false, "", func() error { return bare(ctx, urls[0], one, o.Deliveries) })
	if err != nil {
		return nil, err
	}
	rows := []Row{row}
	for _, name := range o.places() {
		o.say("%s", name)
		profile := ""
		if name == onEmbedded {
			profile = o.Profile
		}
		err := o.at(ctx, name, func(ctx context.Context, at place) error {
			row, err := o.row(ctx, r, at, urls[0], profile)
			rows = append(rows, row)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", name, err)
		}
	}
	return rows, nil
}

func (o Options) row(ctx context.Context, r *receiver, at place, url, profile string) (Row, error) {
	s := subscriptionTo("sub_bench", url)
	s.MaxConcurrency = o.Concurrency
	p, err := startPipeline(ctx, at, s)
	if err != nil {
		return Row{}, err
	}
	payload := payloadOf(o.Payload, 1)
	if err := o.burst(ctx, p, r, payload, max(o.Deliveries/10, 1), 1); err != nil {
		return Row{}, fmt.Errorf("warming up: %w", err)
	}
	row, err := measure(Row{Name: at.name}, o.Deliveries, r, true, profile, func() error { return o.burst(ctx, p, r, payload, o.Deliveries, 1) })
	if err != nil {
		return Row{}, err
	}
	if o.Seconds > 0 {
		o.say("  %d a second for %d s", o.Rate, o.Seconds)
		before, err := r.count(mainGroup)
		if err != nil {
			return Row{}, err
		}
		if err := r.forget(); err != nil {
			return Row{}, err
		}
		n, err := p.offer(ctx, payload, o.Rate, exactly(o.Rate*o.Seconds))
		if err != nil {
			return Row{}, err
		}
		if err := p.arrived(ctx, r, mainGroup, before.Answered+int64(n)); err != nil {
			return Row{}, err
		}
		f, err := r.read()
		if err != nil {
			return Row{}, err
		}
		row.Latency = f.Groups[mainGroup].Latency
	}
	return row, p.stop()
}

// burst produces n CDRs at once and returns when each has arrived fanOut times
// and is stored.
func (o Options) burst(ctx context.Context, p *pipeline, r *receiver, payload payload, n, fanOut int) error {
	before, err := r.count(mainGroup)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := p.produce(ctx, topic.CDRQueue, payload, n); err != nil {
		return err
	}
	produced := time.Since(began)
	if err := p.arrived(ctx, r, mainGroup, before.Answered-before.Repeated+int64(n*fanOut)); err != nil {
		return err
	}
	arrived := time.Since(began)
	if err := p.projected(ctx); err != nil {
		return err
	}
	o.say("  %d CDRs: produced after %s, arrived after %s, stored after %s", n, produced.Round(time.Millisecond), arrived.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	return nil
}

// measure runs work that makes n deliveries and notes what it took. With parts it
// is profiled.
func measure(row Row, n int, r *receiver, parts bool, profile string, work func() error) (Row, error) {
	runtime.GC()
	before, err := r.read()
	if err != nil {
		return Row{}, err
	}
	cpu, began := cpuTime(syscall.RUSAGE_SELF), time.Now()
	var spent, took time.Duration
	timed := func() error {
		err := work()
		took, spent = time.Since(began), cpuTime(syscall.RUSAGE_SELF)-cpu
		row.Memory = resident()
		return err
	}
	if parts {
		row.Parts, err = profiled(profile, timed)
	} else {
		err = timed()
	}
	if err != nil {
		return Row{}, err
	}
	after, err := r.read()
	if err != nil {
		return Row{}, err
	}
	from, to := before.Groups[mainGroup], after.Groups[mainGroup]
	row.Deliveries, row.Took, row.CPU, row.Receiver = n, took, spent, after.CPU-before.CPU
	row.Opened, row.Repeated = to.Opened-from.Opened, to.Requests-from.Requests-int64(n)
	return row, nil
}

// resident is the memory of this process that is in RAM, 0 where it is unknown.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
