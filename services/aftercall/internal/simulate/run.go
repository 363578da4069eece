package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/sasl"

	"github.com/aftercall/aftercall/pkg/cdrclient"
)

// Options say how many calls end, and when.
type Options struct {
	// Brokers to produce to.
	Brokers []string
	// Dial replaces the dialer, for brokers on a virtual network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// SASL authenticates; nil for none.
	SASL sasl.Mechanism
	// Calls to make up; 0 goes on until the context ends.
	Calls int
	// Burst calls are spread over the first BurstOver (5 s when 0).
	Burst     int
	BurstOver time.Duration
	// Interval between calls after the burst.
	Interval time.Duration
	// Rate in calls a second, instead of Interval. With neither, calls follow
	// each other as fast as they are acknowledged.
	Rate float64
	// Seed makes calls repeatable; 0 takes one at random.
	Seed uint64
	// Mix says which variants come how often; none is DefaultMix.
	Mix Mix
	// Opening are the variants of the first calls, in order.
	Opening []string
	// Source is ce_source; "aftercall/simulator" when empty.
	Source string
	Tenant string
	// Acknowledged is told of each record that the broker has taken; may be nil.
	Acknowledged func(cdrclient.Acknowledgement)
	// Progress gets a bar on a terminal, else a line now and then; may be nil.
	Progress io.Writer
}

// Run makes up calls and produces their records until the calls are made or ctx
// ends; both are no error. It waits for what is being sent. An error names the
// first record that could not be sent.
func Run(ctx context.Context, o Options) error {
	if o.Source == "" {
		o.Source = "aftercall/simulator"
	}
	client, err := cdrclient.New(cdrclient.Config{Brokers: o.Brokers, Dial: o.Dial, SASL: o.SASL, Source: o.Source, Tenant: o.Tenant, ClientID: "aftercall-simulate", Acknowledged: o.Acknowledged})
	if err != nil {
		return fmt.Errorf("simulating calls: %w", err)
	}
	// A wrong address is said at once, not after ten attempts.
	if err := ping(ctx, client); err != nil {
		_ = client.Close()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of the context is no error, whatever it cut off
		}
		return fmt.Errorf("simulating calls: %w", err)
	}
	err = run(ctx, o, client.Send)
	if closing := client.Close(); err == nil && closing != nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("simulating calls: %w", err)
	}
	return nil
}

func ping(ctx context.Context, client *cdrclient.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return client.Ping(ctx)
}

// ErrStopped says that a run ended before all the calls that it was to send.
var ErrStopped = errors.New("stopped")

// inFlight calls are being sent at a time, at most.
const inFlight = 64

// run does the work of Run with any way of sending.
func run(ctx context.Context, o Options, send func(context.Context, ...cdrclient.CDR) error) error {
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	var (
		generator = NewGenerator(o.Seed, o.Mix)
		progress  = newProgress(o.Progress, o.Calls)
		start     = time.Now()
		slots     = make(chan struct{}, inFlight)
		sending   sync.WaitGroup
		once      sync.Once
		failed    error
	)
	defer progress.finish()
	// Ends with ctx or with the first failure. What is being sent is not cut off
	// by ctx: the last records are sent whole.
	going, stop := context.WithCancel(ctx)
	defer stop()
	begun := 0
	for i := 0; o.Calls == 0 || i < o.Calls; i++ {
		if !waitUntil(going, start.Add(o.due(i))) {
			break
		}
		select {
		case slots <- struct{}{}:
		case <-going.Done():
		}
		if going.Err() != nil {
			break
		}
		now := time.Now()
		var call Call
		if i < len(o.Opening) {
			call = generator.Of(o.Opening[i], now)
		} else {
			call = generator.Call(now)
		}
		records := call.Records()
		for j, r := range records {
			// Each leg counts as ended when its record is produced, so that
			// the time from a call's end to its webhook is a real one.
			records[j] = cdrclient.Message{CDR: r, Time: now}
		}
		begun++
		sending.Go(func() {
			defer func() { <-slots }()
			// 30 s are more than enough for a broker that is there.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			if err := send(ctx, records...); err != nil {
				once.Do(func() { failed = err; stop() })
				return
			}
			progress.add(1, len(records))
		})
	}
	sending.Wait()
	if failed == nil && begun < o.Calls {
		return fmt.Errorf("%w after %d of %d calls", ErrStopped, begun, o.Calls)
	}
	return failed
}

// due is when call i ends, counted from the start.
func (o Options) due(i int) time.Duration {
	over := o.BurstOver
	if over == 0 {
		over = 5 * time.Second
	}
	each := o.Interval
	if o.Rate > 0 {
		each = time.Duration(float64(time.Second) / o.Rate)
	}
	switch {
	case i < o.Burst:
		return over * time.Duration(i) / time.Duration(o.Burst)
	case o.Burst > 0:
		return over + each*time.Duration(i-o.Burst)
	}
	return each * time.Duration(i)
}

func waitUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Check says what in the options cannot work.
func (o Options) Check() error {
	var errs []error
	if o.Calls < 0 {
		errs = append(errs, errors.New("the number of calls is negative"))
	}
	if o.Rate < 0 || o.Rate != o.Rate || o.Rate > 1e6 {
		errs = append(errs, errors.New("the rate is not between 0 and 1000000 calls a second"))
	}
	if o.Interval < 0 || o.Burst < 0 || o.BurstOver < 0 {
		errs = append(errs, errors.New("interval and burst cannot be negative"))
	}
	for _, name := range o.Opening {
		if variants[name] == nil {
			errs = append(errs, fmt.Errorf("there is no variant %q", name))
		}
	}
	if len(o.Brokers) == 0 || strings.TrimSpace(o.Brokers[0]) == "" {
		errs = append(errs, errors.New("no broker is named"))
	}
	return errors.Join(errs...)
}
