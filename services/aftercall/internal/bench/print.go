package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// print writes the tables.
func (r Result) print(out io.Writer, o Options) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes a CDR, %d cores; client, receiver, broker and store on this machine; load average %s before, %s after\n", r.Payload, r.Cores, r.Load[0], r.Load[1])
	r.printRows(&b, o)
	title := func(n int, text string) {
		if n > 0 {
			fmt.Fprintf(&b, "\n%s\n", text)
		}
	}
	title(len(r.Neighbours), "bad neighbours")
	for _, n := range r.Neighbours {
		n.print(&b, fmt.Sprintf("the bad ones got %d requests over %d connections", n.Done, n.Opened))
	}
	title(len(r.Replays), "beside a replay")
	for _, n := range r.Replays {
		n.print(&b, fmt.Sprintf("%d were replayed meanwhile", n.Done))
	}
	title(len(r.Outages), "after an outage")
	for _, n := range r.Outages {
		n.print(&b, fmt.Sprintf("of %d that waited %d were delivered in %s, %d of them while the others were measured, %d requests repeated; at most %d at once of %d allowed; at once with each of the first requests %v",
			n.Waiting, n.Delivered, n.Took.Round(100*time.Millisecond), n.Done, n.Repeated, n.AtOnce, n.Limit, n.Ramp))
	}
	r.printCosts(&b)
	_, err := io.WriteString(out, b.String())
	return err
}

func (r Result) printRows(b *strings.Builder, o Options) {
	if len(r.Rows) == 0 {
		return
	}
	bare := r.Rows[0]
	fmt.Fprintf(b, "\n%-38s %12s %8s %11s %11s %7s %7s %9s\n", fmt.Sprintf("%d deliveries, concurrency %d", r.Deliveries, o.Concurrency), "deliveries/s", "of bare", "own CPU", "receiver", "opened", "repeats", "memory")
	for _, row := range r.Rows {
		fmt.Fprintf(b, "%-38s %12.0f %7.0f%% %8.1f µs %8.1f µs %7d %7d %5d MiB\n", row.Name, row.PerSecond(), 100*row.PerSecond()/bare.PerSecond(),
			row.each(row.CPU), row.each(row.Receiver), row.Opened, row.Repeated, row.Memory>>20)
	}
	for _, row := range r.Rows {
		if row.Parts == nil {
			continue
		}
		fmt.Fprintf(b, "\n%s\n", row.Name)
		for _, part := range parts {
			if spent, ok := row.Parts[part]; ok {
				fmt.Fprintf(b, "  CPU of %-16s %6.1f µs a delivery, %3.0f%% of the bare client's\n", part, row.each(spent), 100*row.each(spent)/bare.each(bare.CPU))
			}
		}
		if l := row.Latency; l.Count > 0 {
			fmt.Fprintf(b, "  produce to answer at %d/s: p50 %.1f ms, p99 %.1f ms (%d deliveries)\n", o.Rate, milliseconds(l.P50), milliseconds(l.P99), l.Count)
		}
	}
}

func (s *Beside) print(b *strings.Builder, more string) {
	fmt.Fprintf(b, "  %s: %s\n", s.Name, s.What)
	fmt.Fprintf(b, "    %-8s %10s %8s %10s %10s %12s %8s %7s %18s\n", "", "offered", "in time", "p50", "p99", "of a second", "repeats", "opened", "memory from … to")
	for _, line := range []struct {
		name string
		Stretch
	}{{"alone", s.Alone}, {"beside", s.Beside}} {
		l := line.Latency
		fmt.Fprintf(b, "    %-8s %10d %7.1f%% %7.1f ms %7.1f ms %9.1f ms %8d %7d %5d … %d MiB\n", line.name, line.Offered, 100*line.Kept(), milliseconds(l.P50), milliseconds(l.P99),
			milliseconds(l.Typical), line.Repeated, line.Opened, line.MemoryFrom>>20, line.MemoryTo>>20)
	}
	fmt.Fprintf(b, "    p99 %.2f times as long, of a typical second %.2f times; %s\n", s.P99, s.Typical, more)
}

func (r Result) printCosts(b *strings.Builder) {
	if len(r.Costs) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-38s %12s %11s %8s %9s\n", "cost of a delivery", "deliveries/s", "own CPU", "of first", "memory")
	first := r.Costs[0]
	for i, row := range r.Costs {
		// A series is told by the words around its number.
		if i > 0 && series(row.Name) != series(first.Name) {
			first = row
		}
		fmt.Fprintf(b, "%-38s %12.0f %8.1f µs %8.2f %5d MiB\n", row.Name, row.PerSecond(), row.each(row.CPU), row.each(row.CPU)/first.each(first.CPU), row.Memory>>20)
	}
}

// series is a row's name without its numbers.
func series(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, name)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
