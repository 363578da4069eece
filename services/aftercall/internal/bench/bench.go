package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
)

// Options of a run.
type Options struct {
	// Deliveries measured in each row.
	Deliveries int
	// Payload size in bytes.
	Payload int
	// Concurrency of the one subscription.
	Concurrency int
	// Rate a second, and Seconds, at which the latency is measured afterwards.
	Rate, Seconds int
	// Brokers of a real Kafka, and URL of a PostgreSQL server where a database of
	// the run's own is made, for the third row.
	Brokers  []string
	Database string
	// Reset deletes what is Aftercall's on the brokers before it begins.
	Reset    bool
	progress io.Writer
	// Profile is a file for a CPU profile of the one-process row.
	Profile string
}

// Row is one line of the result.
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
	Parts map[string]time.Duration
	// Memory is the resident set when the last delivery was stored, in bytes; 0
	// where the system does not tell.
	Memory int64
	// Latency from produce to the receiver's answer, at a modest rate.
	Latency latency
}

// PerSecond is the row's rate.
func (r Row) PerSecond() float64 { return float64(r.Deliveries) / r.Took.Seconds() }

func (r Row) each(d time.Duration) float64 {
	return float64(d.Microseconds()) / float64(r.Deliveries)
}

// Run measures the rows and writes the table.
func Run(ctx context.Context, o Options, out, progress io.Writer) error {
	r, err := startReceiver(ctx)
	if err != nil {
		return err
	}
	defer r.stop()
	payload := payloadOf(o.Payload)
	o.progress = progress
	o.say("bare loop: %d signed POSTs, %d in flight", o.Deliveries, bareInFlight)
	rows := make([]Row, 0, 3)
	// Warm up connections and code on a tenth.
	one := payload(0, time.Time{})
	if err := bare(ctx, r.URL, one, o.Deliveries/10); err != nil {
		return err
	}
	row, err := measure(Row{Name: "bare loop of signed POSTs"}, o.Deliveries, r, false, "", func() error { return bare(ctx, r.URL, one, o.Deliveries) })
	if err != nil {
		return err
	}
	rows = append(rows, row)

	o.say("one process: embedded broker with sync writes, SQLite")
	row, err = onEmbedded(ctx, o, r, payload)
	if err != nil {
		return fmt.Errorf("measuring one process: %w", err)
	}
	rows = append(rows, row)

	if len(o.Brokers) > 0 && o.Database != "" {
		o.say("real Kafka and PostgreSQL")
		row, err = onReal(ctx, o, r, payload)
		if err != nil {
			return fmt.Errorf("measuring on Kafka and PostgreSQL: %w", err)
		}
		rows = append(rows, row)
	}
	return printTable(out, o, rows)
}

func (o Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.progress, format+"\n", args...)
}

// measure runs work and notes what it took. With parts it is profiled.
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
	row.Deliveries, row.Took, row.CPU, row.Receiver = n, took, spent, after.CPU-before.CPU
	row.Opened, row.Repeated = after.Opened-before.Opened, after.Count-before.Count-int64(n)
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

func onEmbedded(ctx context.Context, o Options, r *receiver, payload payload) (row Row, err error) {
	dir, err := os.MkdirTemp("", "aftercall-bench-")
	if err != nil {
		return Row{}, err
	}
	defer os.RemoveAll(dir)
	var broker *embedded.Broker
	if err := as(ctx, "broker", func(context.Context) (err error) {
		broker, err = embedded.Start(embedded.Config{Dir: dir + "/broker", Listen: "127.0.0.1:0", Logger: zap.NewNop()})
		return err
	}); err != nil {
		return Row{}, err
	}
	defer broker.Close()
	db, err := sqlite.Open(ctx, dir+"/aftercall.db", sqlite.Options{})
	if err != nil {
		return Row{}, err
	}
	defer db.Close()
	return onPipeline(ctx, "one process (embedded broker, SQLite)", o, r, payload, broker.Kafka(), db, o.Profile)
}

func onReal(ctx context.Context, o Options, r *receiver, payload payload) (row Row, err error) {
	c := kafka.Config{Brokers: o.Brokers, EnsureTopics: true}
	if o.Reset {
		if err := reset(ctx, c); err != nil {
			return Row{}, err
		}
	}
	url, drop, err := freshDatabase(ctx, o.Database)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	db, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return Row{}, err
	}
	defer db.Close()
	return onPipeline(ctx, "real Kafka + PostgreSQL", o, r, payload, c, db, "")
}

func onPipeline(ctx context.Context, name string, o Options, r *receiver, payload payload, c kafka.Config, db *store.DB, profile string) (Row, error) {
	p, err := startPipeline(ctx, c, db, r.URL, o.Concurrency)
	if err != nil {
		return Row{}, err
	}
	run := func(first, n int) error {
		before, err := r.read()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := produce(ctx, c, payload, first, n); err != nil {
			return err
		}
		produced := time.Since(began)
		if err := p.arrived(ctx, r, before.Count, n); err != nil {
			return err
		}
		arrived := time.Since(began)
		if err := p.projected(ctx); err != nil {
			return err
		}
		o.say("  %d CDRs: produced after %s, arrived after %s, stored after %s", n, produced.Round(time.Millisecond), arrived.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		return nil
	}
	base := int(time.Now().UnixMilli()) * 1000
	if err := run(base, max(o.Deliveries/10, 1)); err != nil {
		return Row{}, fmt.Errorf("warming up: %w", err)
	}
	row, err := measure(Row{Name: name}, o.Deliveries, r, true, profile, func() error { return run(base+o.Deliveries, o.Deliveries) })
	if err != nil {
		return Row{}, err
	}
	if o.Seconds > 0 {
		o.say("  %d a second for %d s", o.Rate, o.Seconds)
		if row.Latency, err = p.latency(ctx, o, r, payload, base+2*o.Deliveries); err != nil {
			return Row{}, err
		}
	}
	return row, p.stop()
}

// payload makes a CDR: number i, produced at a time, or at none that matters.
type payload func(i int, at time.Time) []byte

// sentAt is the member of a CDR by which the receiver knows when it was
// produced: microseconds since 1970.
const sentAt = `"BenchSentAt":`

// payloadOf makes CDRs of about the size, each with a CallId of its own.
func payloadOf(size int) payload {
	const head = `{"CallId":"`
	const rest = `,"ScenarioId":"5f2b7c1e-8f5a-4a52-9d8e-3d1f3b9a7c10","CallDirection":"Inbound","CallerName":"Sample Caller","CallerNumber":"+15550100",` +
		`"StartDateTime":"2026-03-01T09:00:00Z","EndDateTime":"2026-03-01T09:04:10Z","CallLength":250,"WaitTime":20,"TalkTime":230,` +
		`"QueueId":"12","QueueName":"Sales","OUPath":"Root/Sales","MetServiceLevel":"True","AgentName":"Sample Agent","Filler":"`
	return func(i int, at time.Time) []byte {
		b := bytes.NewBuffer(make([]byte, 0, size+64))
		b.WriteString(head)
		b.WriteString(strconv.Itoa(i))
		b.WriteString(`",` + sentAt)
		b.WriteString(strconv.FormatInt(max(at.UnixMicro(), 0), 10))
		b.WriteString(rest)
		b.WriteString(strings.Repeat("x", max(size-b.Len()-2, 0)))
		b.WriteString(`"}`)
		return b.Bytes()
	}
}

func printTable(out io.Writer, o Options, rows []Row) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d deliveries of %d bytes, concurrency %d, %d cores; client, receiver, broker and store on this machine\n\n", o.Deliveries, o.Payload, o.Concurrency, runtime.NumCPU())
	fmt.Fprintf(&b, "%-38s %12s %8s %11s %11s %7s %7s %9s\n", "", "deliveries/s", "of bare", "own CPU", "receiver", "opened", "repeats", "memory")
	for _, r := range rows {
		fmt.Fprintf(&b, "%-38s %12.0f %7.0f%% %8.1f µs %8.1f µs %7d %7d %5d MiB\n", r.Name, r.PerSecond(), 100*r.PerSecond()/rows[0].PerSecond(),
			r.each(r.CPU), r.each(r.Receiver), r.Opened, r.Repeated, r.Memory>>20)
	}
	for _, r := range rows {
		if r.Parts == nil {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", r.Name)
		for _, part := range parts {
			if spent, ok := r.Parts[part]; ok {
				fmt.Fprintf(&b, "  CPU of %-16s %6.1f µs a delivery, %3.0f%% of the bare client's\n", part, r.each(spent), 100*r.each(spent)/rows[0].each(rows[0].CPU))
			}
		}
		if l := r.Latency; l.Count > 0 {
			fmt.Fprintf(&b, "  produce to answer at %d/s: p50 %.1f ms, p99 %.1f ms (%d deliveries)\n", o.Rate, milliseconds(l.P50), milliseconds(l.P99), l.Count)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
