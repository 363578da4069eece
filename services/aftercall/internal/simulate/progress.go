package simulate

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows what has been acknowledged: a bar on a terminal, a line every
// few seconds and at the end elsewhere.
type progress struct {
	out   io.Writer // nil shows nothing
	bar   *progressbar.ProgressBar
	start time.Time

	mu             sync.Mutex
	calls, records int
	shown          time.Time
}

const every = 5 * time.Second

func newProgress(out io.Writer, calls int) *progress {
	now := time.Now()
	p := &progress{out: out, start: now, shown: now}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		total := calls
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("calls"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("calls"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

func (p *progress) add(calls, records int) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls += calls
	p.records += records
	if p.bar != nil {
		_ = p.bar.Add(calls) // a display
		return
	}
	if now := time.Now(); now.Sub(p.shown) >= every {
		p.shown = now
		p.line("so far")
	}
}

func (p *progress) finish() {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	p.line("sent")
}

func (p *progress) line(what string) {
	_, _ = fmt.Fprintf(p.out, "%s: %d calls, %d records in %s\n", what, p.calls, p.records, time.Since(p.start).Round(10*time.Millisecond))
}
