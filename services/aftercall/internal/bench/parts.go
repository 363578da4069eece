package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"
)

// partLabel names, in the CPU profile, the part of the process that a goroutine
// works for; the goroutines that it starts inherit it.
const partLabel = "part"

// partOther is what belongs to no part: garbage collection, the benchmark's own
// producer.
const partOther = "runtime, other"

// parts in the order of the flow.
var parts = []string{"broker", "router", "sender", "projector", partOther}

// as runs f as a part of the process.
func as(ctx context.Context, part string, f func(context.Context) error) (err error) {
	pprof.Do(ctx, pprof.Labels(partLabel, part), func(ctx context.Context) { err = f(ctx) })
	return err
}

// profiled runs f under the CPU profiler and answers how the CPU time was shared
// between the parts. The profile is kept in the file, if one is named.
func profiled(file string, f func() error) (map[string]time.Duration, error) {
	var buffer bytes.Buffer
	if err := pprof.StartCPUProfile(&buffer); err != nil {
		return nil, fmt.Errorf("starting the CPU profile: %w", err)
	}
	err := f()
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	if file != "" {
		if err := os.WriteFile(file, buffer.Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("keeping the CPU profile: %w", err)
		}
	}
	p, err := profile.ParseData(buffer.Bytes())
	if err != nil {
		return nil, fmt.Errorf("reading the CPU profile: %w", err)
	}
	shares := map[string]time.Duration{}
	for _, s := range p.Sample {
		part := partOther
		if names := s.Label[partLabel]; len(names) > 0 {
			part = names[0]
		}
		// The second value is nanoseconds of CPU, the first counts samples.
		shares[part] += time.Duration(s.Value[1])
	}
	return shares, nil
}
