package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// receiverCommand is hidden: the benchmark starts it as a process of its own, so
// that its CPU time is not counted as ours.
const receiverCommand = "bench-receiver"

// ReceiverCommand answers every POST with 204 and counts, until its input ends.
func ReceiverCommand() *cobra.Command {
	return &cobra.Command{
		Use: receiverCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return receive(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func receive(ctx context.Context, in io.Reader, out io.Writer) error {
	var count, opened atomic.Int64
	var ages ages
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			ages.note(body)
			count.Add(1)
			w.WriteHeader(http.StatusNoContent)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				opened.Add(1)
			}
		},
	}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()
	if _, err := fmt.Fprintf(out, "http://%s\n", ln.Addr()); err != nil {
		return err
	}
	// Each line asks for the figures, or for new ages; the end of the input is the end.
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if lines.Text() == forgetAges {
			ages.forget()
			continue
		}
		l := ages.read()
		if _, err := fmt.Fprintf(out, "%d %d %d %d %d %d\n", count.Load(), opened.Load(), cpuTime(syscall.RUSAGE_SELF).Microseconds(),
			l.Count, l.P50.Microseconds(), l.P99.Microseconds()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// ages are how old CDRs were that say when they were produced.
type ages struct {
	mu  sync.Mutex
	all []time.Duration
}

func (a *ages) note(body []byte) {
	_, rest, found := bytes.Cut(body, []byte(sentAt))
	end := bytes.IndexByte(rest, ',')
	if !found || end < 0 || rest[0] == '0' {
		return
	}
	micros, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return
	}
	age := time.Since(time.UnixMicro(micros))
	a.mu.Lock()
	a.all = append(a.all, age)
	a.mu.Unlock()
}

func (a *ages) forget() {
	a.mu.Lock()
	a.all = nil
	a.mu.Unlock()
}

func (a *ages) read() latency {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.all)
	if n == 0 {
		return latency{}
	}
	slices.Sort(a.all)
	return latency{Count: n, P50: a.all[n/2], P99: a.all[min(n*99/100, n-1)]}
}

func cpuTime(who int) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// receiver is the process as the benchmark sees it.
type receiver struct {
	URL   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

// figures of a receiver since its start.
type figures struct {
	Count, Opened int64
	CPU           time.Duration
	Latency       latency
}

func startReceiver(ctx context.Context) (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, receiverCommand)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the receiver: %w", err)
	}
	r := &receiver{cmd: cmd, in: in, lines: bufio.NewReader(out)}
	url, err := r.lines.ReadString('\n')
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("waiting for the receiver: %w", err)
	}
	r.URL = strings.TrimSpace(url)
	return r, nil
}

// forgetAges begins the measurement of ages anew.
const forgetAges = "forget"

func (r *receiver) forgetAges() error {
	if _, err := io.WriteString(r.in, forgetAges+"\n"); err != nil {
		return fmt.Errorf("telling the receiver: %w", err)
	}
	return nil
}

func (r *receiver) read() (figures, error) {
	if _, err := io.WriteString(r.in, "\n"); err != nil {
		return figures{}, fmt.Errorf("asking the receiver: %w", err)
	}
	line, err := r.lines.ReadString('\n')
	if err != nil {
		return figures{}, fmt.Errorf("asking the receiver: %w", err)
	}
	fields := strings.Fields(line)
	var n [6]int64
	if len(fields) != len(n) {
		return figures{}, fmt.Errorf("the receiver answered %q", line)
	}
	for i, f := range fields {
		if n[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return figures{}, fmt.Errorf("the receiver answered %q", line)
		}
	}
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return figures{n[0], n[1], micros(n[2]), latency{int(n[3]), micros(n[4]), micros(n[5])}}, nil
}

func (r *receiver) stop() {
	_ = r.in.Close()
	_ = r.cmd.Wait()
}
