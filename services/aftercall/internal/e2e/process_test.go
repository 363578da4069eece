package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// process is one program that runs, or ran.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	// logFile holds all it wrote.
	logFile string
	ops     string
	done    chan struct{}
	// ending is set when the test means it to end.
	ending atomic.Bool
}

// launch starts a program with the environment given and nothing else of
// Aftercall's. It is dead when the test is over.
func launch(t *testing.T, folder, name string, args, env []string) *process {
	t.Helper()
	program := binary(t, name)
	log, err := os.CreateTemp(folder, name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{t: t, name: name, logFile: log.Name(), done: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AFTERCALL_") }), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Dir = folder
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if p.ended() && !p.ending.Load() {
			t.Errorf("%s ended by itself: %v", name, p.cmd.ProcessState)
		}
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(p.logFile), p.tail(30))
		}
	})
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	p.ending.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// stop sends SIGTERM and returns when the process is gone, which must be soon and
// without an error.
func (p *process) stop() {
	p.t.Helper()
	p.ending.Store(true)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stopping %s: %v", p.name, err)
	}
	if status := p.exit(60 * time.Second); status != 0 {
		p.t.Fatalf("%s ended with status %d after SIGTERM", p.name, status)
	}
}

// exit waits for the process to end, and returns its status.
func (p *process) exit(patience time.Duration) int {
	p.t.Helper()
	p.ending.Store(true)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end within %s", p.name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// lines are what it wrote so far.
func (p *process) lines() []string {
	p.t.Helper()
	text, err := os.ReadFile(p.logFile)
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	in := bufio.NewScanner(strings.NewReader(string(text)))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		out = append(out, in.Text())
	}
	return out
}

func (p *process) tail(n int) string {
	all := slices.DeleteFunc(p.lines(), func(l string) bool { return strings.Contains(l, `"topics.settings"`) })
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// said returns the first line of the log with this message.
func (p *process) said(message string) (map[string]any, bool) {
	for _, l := range p.lines() {
		fields := map[string]any{}
		if json.Unmarshal([]byte(l), &fields) == nil && fields["msg"] == message {
			return fields, true
		}
	}
	return nil, false
}

// between is the time from one line of the log to another.
func (p *process) between(from, to string) time.Duration {
	p.t.Helper()
	at := func(message string) time.Time {
		text, _ := p.says(message)["time"].(string)
		when, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			p.t.Fatalf("the time of %s: %v", message, err)
		}
		return when
	}
	return at(to).Sub(at(from))
}

// says waits for that line.
func (p *process) says(message string) map[string]any {
	p.t.Helper()
	var fields map[string]any
	wait(p.t, p.name+" to say "+message, func() bool {
		var ok bool
		fields, ok = p.said(message)
		if !ok && p.ended() {
			p.t.Fatalf("%s ended before it said %s", p.name, message)
		}
		return ok
	})
	return fields
}

// ready waits for /readyz.
func (p *process) ready() {
	p.t.Helper()
	p.ops, _ = p.says("service.started")["ops"].(string)
	wait(p.t, p.name+" to be ready", func() bool {
		if p.ended() {
			p.t.Fatalf("%s ended before it was ready", p.name)
		}
		return status(p.t, "http://"+p.ops+"/readyz") == http.StatusOK
	})
}

// longest is the bucket of a histogram in which its longest observation lies.
func longest(t *testing.T, p *process, histogram string) time.Duration {
	t.Helper()
	answer, err := http.Get("http://" + p.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := families[histogram].GetMetric()[0].GetHistogram()
	for _, b := range h.GetBucket() {
		if b.GetCumulativeCount() == h.GetSampleCount() {
			return time.Duration(b.GetUpperBound() * float64(time.Second))
		}
	}
	t.Fatalf("%s has observations beyond its buckets", histogram)
	return 0
}

// status of a GET, 0 when nobody answers.
func status(t *testing.T, url string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// wait polls until cond is true.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
