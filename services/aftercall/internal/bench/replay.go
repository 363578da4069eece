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
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
)

const liveGroup = "live"

// besideReplay measures live calls to one endpoint, and again while deliveries
// that were given up are sent to the same endpoint once more by `aftercall
// replay`.
func (o Options) besideReplay(ctx context.Context, r *receiver, at place) (Beside, error) {
	out := Beside{Name: at.name, What: fmt.Sprintf("%d/s live, then beside a replay of %d at %d/s to the same endpoint", o.Rate, o.Replays, o.ReplayRate)}
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
	offer := steady{rate: o.Rate, seconds: o.ReplaySeconds, payload: payloadOf(o.Payload, 1), group: liveGroup, endpoints: 1, settle: o.settle}
	if out.Alone, err = offer.measure(ctx, p, r); err != nil {
		return out, fmt.Errorf("alone: %w", err)
	}
	stop, err := startReplay(ctx, at.kafka.Brokers, o.ReplayRate)
	if err != nil {
		return out, err
	}
	stopped := false
	end := func() error {
		if stopped {
			return nil
		}
		stopped = true
		return stop()
	}
	defer func() { _ = end() }() // the error that counts has been returned
	if err := p.until(ctx, "the replay to begin", 5*time.Millisecond, func() (bool, int64, error) {
		g, err := r.count(liveGroup)
		return g.Replayed > 0, g.Replayed, err
	}); err != nil {
		return out, err
	}
	if out.Beside, err = offer.measure(ctx, p, r); err != nil {
		return out, fmt.Errorf("beside the replay: %w", err)
	}
	g, err := r.count(liveGroup)
	if err != nil {
		return out, err
	}
	out.Done = g.Replayed
	out.compare()
	if err := end(); err != nil {
		return out, err
	}
	return out, p.stop()
}

// startReplay runs `aftercall replay run` over what was given up, as a process of
// its own. The function that it answers ends it.
func startReplay(ctx context.Context, brokers []string, rate int) (func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	dir, err := os.MkdirTemp("", "aftercall-bench-")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "replay", "run", "--topic", topic.GivenUp, "--from", "-1h", "--rate", strconv.Itoa(rate)+"/s", "--execute",
		"--brokers", strings.Join(brokers, ","), "--state-file", filepath.Join(dir, "replay.json"))
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the replay: %w", err)
	}
	return func() error {
		defer os.RemoveAll(dir)
		interrupted := cmd.Process.Signal(os.Interrupt) == nil
		err := cmd.Wait()
		var exit *exec.ExitError
		if err == nil || interrupted && errors.As(err, &exit) {
			return nil
		}
		return fmt.Errorf("replaying: %w: %s", err, said.String())
	}, nil
}
