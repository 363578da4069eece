package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
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
	// Brokers and Database of a real Kafka and PostgreSQL, for the third row.
	Brokers  []string
	Database string
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
	if err := bare(ctx, r.URL, payload(0), o.Deliveries/10); err != nil {
		return err
	}
	row, err := measure("bare loop of signed POSTs", o.Deliveries, r, func() error { return bare(ctx, r.URL, payload(0), o.Deliveries) })
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
	return print(out, o, rows)
}

func (o Options) say(format string, args ...any) { _, _ = fmt.Fprintf(o.progress, format+"\n", args...) }

func measure(name string, n int, r *receiver, work func() error) (Row, error) {
	runtime.GC()
	before, err := r.read()
	if err != nil {
		return Row{}, err
	}
	cpu, began := cpuTime(syscall.RUSAGE_SELF), time.Now()
	if err := work(); err != nil {
		return Row{}, err
	}
	took, cpuAfter := time.Since(began), cpuTime(syscall.RUSAGE_SELF)
	after, err := r.read()
	if err != nil {
		return Row{}, err
	}
	return Row{
		Name: name, Deliveries: n, Took: took, CPU: cpuAfter - cpu, Receiver: after.CPU - before.CPU,
		Opened: after.Opened - before.Opened, Repeated: after.Count - before.Count - int64(n),
	}, nil
}

func onEmbedded(ctx context.Context, o Options, r *receiver, payload func(int) []byte) (Row, error) {
	dir, err := os.MkdirTemp("", "aftercall-bench-")
	if err != nil {
		return Row{}, err
	}
	defer os.RemoveAll(dir)
	broker, err := embedded.Start(embedded.Config{Dir: dir + "/broker", Listen: "127.0.0.1:0", Logger: zap.NewNop()})
	if err != nil {
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

func onReal(ctx context.Context, o Options, r *receiver, payload func(int) []byte) (Row, error) {
	db, err := postgres.Open(ctx, o.Database, postgres.Options{})
	if err != nil {
		return Row{}, err
	}
	defer db.Close()
	return onPipeline(ctx, "real Kafka + PostgreSQL", o, r, payload, kafka.Config{Brokers: o.Brokers, EnsureTopics: true}, db, "")
}

func onPipeline(ctx context.Context, name string, o Options, r *receiver, payload func(int) []byte, c kafka.Config, db *store.DB, profile string) (Row, error) {
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
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return Row{}, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return Row{}, err
		}
		defer pprof.StopCPUProfile()
	}
	row, err := measure(name, o.Deliveries, r, func() error { return run(base+o.Deliveries, o.Deliveries) })
	if err != nil {
		return Row{}, err
	}
	return row, p.stop()
}

// payloadOf makes CDRs of about the size, each with a CallId of its own.
func payloadOf(size int) func(int) []byte {
	const head = `{"CallId":"`
	const rest = `","ScenarioId":"5f2b7c1e-8f5a-4a52-9d8e-3d1f3b9a7c10","CallDirection":"Inbound","CallerName":"Sample Caller","CallerNumber":"+15550100",` +
		`"StartDateTime":"2026-03-01T09:00:00Z","EndDateTime":"2026-03-01T09:04:10Z","CallLength":250,"WaitTime":20,"TalkTime":230,` +
		`"QueueId":"12","QueueName":"Sales","OUPath":"Root/Sales","MetServiceLevel":"True","AgentName":"Sample Agent","Filler":"`
	return func(i int) []byte {
		b := bytes.NewBuffer(make([]byte, 0, size+64))
		b.WriteString(head)
		b.WriteString(strconv.Itoa(i))
		b.WriteString(rest)
		b.WriteString(strings.Repeat("x", max(size-b.Len()-2, 0)))
		b.WriteString(`"}`)
		return b.Bytes()
	}
}

func print(out io.Writer, o Options, rows []Row) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d deliveries of %d bytes, concurrency %d, %d cores, client, receiver, broker and store on this machine\n\n", o.Deliveries, o.Payload, o.Concurrency, runtime.NumCPU())
	fmt.Fprintf(&b, "%-40s %14s %10s %16s %18s %12s %9s\n", "", "deliveries/s", "of bare", "own CPU µs each", "receiver µs each", "connections", "repeated")
	for _, r := range rows {
		fmt.Fprintf(&b, "%-40s %14.0f %9.0f%% %16.1f %18.1f %12d %9d\n", r.Name, r.PerSecond(), 100*r.PerSecond()/rows[0].PerSecond(), r.each(r.CPU), r.each(r.Receiver), r.Opened, r.Repeated)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
