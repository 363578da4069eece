package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
)

const liveGroup = "live"

// besideReplay measures live calls to one endpoint, and again while deliveries
// that were given up are sent to the same endpoint once more by `aftercall
// replay`.
func (o Options) besideReplay(ctx context.Context, r *receiver, at place) (Beside, error) {
	out := Beside{Name: at.name, What: fmt.Sprintf("%d/s live, in turn alone and beside a replay of %d at %d/s to the same endpoint", o.Rate, o.Replays, o.ReplayRate)}
	o.say("%s: beside a replay", at.name)
	// An answer that blames the record: given up at once, and no breaker opens.
	urls, err := r.open(liveGroup, 1, behaviour{Status: http.StatusUnprocessableEntity}, true)
	if err != nil {
		return out, err
	}
	s := subscriptionTo("sub_live", urls[0])
	s.Schedule, s.MaxConcurrency = "once", o.Concurrency
	p, err := startPipeline(ctx, at, s)
	if err != nil {
		return out, err
	}
	if err := p.produce(ctx, topic.CDRQueue, payloadOf(o.Payload, 1), o.Replays); err != nil {
		return out, err
	}
	if err := p.until(ctx, fmt.Sprintf("%d refusals", o.Replays), 20*time.Millisecond, func() (bool, int64, error) {
		g, err := r.count(liveGroup)
		return g.Requests >= int64(o.Replays), g.Requests, err
	}); err != nil {
		return out, err
	}
	if err := p.projected(ctx); err != nil {
		return out, err
	}
	if err := r.behave(liveGroup, behaviour{}); err != nil {
		return out, err
	}
	replay, err := startReplay(ctx, at.kafka.Brokers, o.ReplayRate)
	if err != nil {
		return out, err
	}
	stopped := false
	end := func() error {
		if stopped {
			return nil
		}
		stopped = true
		return replay.stop()
	}
	defer func() { _ = end() }() // the error that counts has been returned
	if err := p.until(ctx, "the replay to begin", 5*time.Millisecond, func() (bool, int64, error) {
		g, err := r.count(liveGroup)
		return g.Replayed > 0, g.Replayed, err
	}); err != nil {
		return out, err
	}
	// In turn, so that what else this machine does falls on both.
	offer := steady{rate: o.Rate, seconds: min(replaySlice, o.ReplaySeconds), payload: payloadOf(o.Payload, 1), group: liveGroup, endpoints: 1, settle: o.settle / 4}
	for range max(o.ReplaySeconds/replaySlice, 1) {
		if err := replay.signal(syscall.SIGSTOP); err != nil {
			return out, err
		}
		before, err := offer.measure(ctx, p, r)
		if err != nil {
			return out, fmt.Errorf("alone: %w", err)
		}
		out.Alone.add(before)
		if err := replay.signal(syscall.SIGCONT); err != nil {
			return out, err
		}
		from, err := r.count(liveGroup)
		if err != nil {
			return out, err
		}
		during, err := offer.measure(ctx, p, r)
		if err != nil {
			return out, fmt.Errorf("beside the replay: %w", err)
		}
		out.Beside.add(during)
		to, err := r.count(liveGroup)
		if err != nil {
			return out, err
		}
		out.Done += to.Replayed - from.Replayed
	}
	out.compare()
	if err := end(); err != nil {
		return out, err
	}
	return out, p.stop()
}

// replaySlice is for how many seconds a replay is halted, and let go on.
const replaySlice = 2

// replaying is a running `aftercall replay run`.
type replaying struct {
	cmd  *exec.Cmd
	dir  string
	said strings.Builder
}

// startReplay runs one over what was given up, as a process of its own.
func startReplay(ctx context.Context, brokers []string, rate int) (*replaying, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	dir, err := os.MkdirTemp("", "aftercall-bench-")
	if err != nil {
		return nil, err
	}
	r := &replaying{dir: dir}
	r.cmd = exec.CommandContext(ctx, self, "replay", "run", "--topic", topic.GivenUp, "--from", "-1h", "--rate", strconv.Itoa(rate)+"/s", "--execute",
		"--brokers", strings.Join(brokers, ","), "--state-file", filepath.Join(dir, "replay.json"))
	r.cmd.Stderr = &r.said
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the replay: %w", err)
	}
	return r, nil
}

func (r *replaying) signal(s syscall.Signal) error {
	if err := r.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("halting the replay: %w", err)
	}
	return nil
}

// stop interrupts it and waits for its end.
func (r *replaying) stop() error {
	defer os.RemoveAll(r.dir)
	_ = r.signal(syscall.SIGCONT)
	interrupted := r.cmd.Process.Signal(os.Interrupt) == nil
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err == nil || interrupted && errors.As(err, &exit) {
		return nil
	}
	return fmt.Errorf("replaying: %w: %s", err, r.said.String())
}
