package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
	"github.com/aftercall/aftercall/services/aftercall/internal/replay"
)

// Exit statuses.
const (
	exitBroken  = 1
	exitUnknown = 2
)

type flags struct {
	brokers        []string
	api            client.Flags
	from, to       string
	requests, cdrs []string
	secrets        []string
	skew, slice    time.Duration
}

// Command is `aftercall verify`.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove from the topics that every CDR of a span was delivered, refused or is on its way",
		Long: `Reads the committed records of all topics and judges, from outside, what became of
the CDRs of a span: whether each is an event or a rejection, whether each webhook
that matched has one delivery, and whether each delivery ended or still has a record
that nobody has finished. Nothing is joined, committed or changed.

With a token the store is compared with the history, over the API. With a log of a
receiver (aftercall listen --log FILE) answers and signatures are compared with what
the history says, with a log of a producer every acknowledgement is looked up:
one JSON object a line with topic, partition, offset, and value, value_base64 or
sha256 where the value is to be compared, as aftercall simulate --log and trigger
--log write it. What could not be checked is said.

Times are now, a duration ago (-24h), RFC 3339, a day, Unix milliseconds, or both
ends as --from @t1:t2. What retention has removed cannot be judged, and is said.

Of each CDR with one delivery about a kilobyte is kept in memory, no payload. With
--slice 1h the span is judged an hour at a time: less memory, more reading.

Exit status: 0 proven, 1 an invariant is broken, 2 it could not look at everything.`,
		Example: `  # Yesterday
  aftercall verify --from -24h

  # One day, against a receiver's log too
  aftercall verify --from 2026-01-31 --to 2026-02-01 --requests requests.jsonl

  # Calls made up, and each of their records accounted for
  aftercall simulate --calls 100 --rate 20 --log cdrs.jsonl
  aftercall verify --from -10m --cdrs cdrs.jsonl

  # What is broken, for a script
  aftercall verify --from -2h | jq 'select(.kind == "fault")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := f.verify(cmd)
			if err == nil {
				err = v.write(cmd.OutOrStdout())
			}
			switch {
			case err != nil:
				return &client.ExitError{Code: exitUnknown, Err: err}
			case v.Verdict == broken:
				return &client.ExitError{Code: exitBroken, Err: fmt.Errorf("broken: %s", v.names())}
			case v.Verdict == unknown:
				return &client.ExitError{Code: exitUnknown, Err: errors.New("not all of the span could be looked at; what could be holds")}
			}
			return nil
		},
	}
	fs := cmd.Flags()
	broker.Flag(fs, &f.brokers)
	f.api.Add(cmd)
	fs.StringVar(&f.from, "from", "-24h", "start of the span, by when CDRs were produced")
	fs.StringVar(&f.to, "to", "now", "end of the span")
	fs.StringArrayVar(&f.requests, "requests", nil, "a receiver's log, a `file` of JSON lines as aftercall listen --log writes it (may be repeated)")
	fs.StringArrayVar(&f.cdrs, "cdrs", nil, "a producer's log of what was acknowledged, a `file` of JSON lines (may be repeated)")
	fs.StringArrayVar(&f.secrets, "secret", nil, "verify signatures of --requests with this secret, `whsec_…` (may be repeated)")
	fs.DurationVar(&f.slice, "slice", 0, "judge the span in parts of this length, one after the other, such as 1h")
	fs.DurationVar(&f.skew, "skew", 2*time.Second, "how far the clocks of senders, brokers and receivers may be apart")
	return cmd
}

// sources are the topics that CDRs come from.
func sources() ([]string, error) {
	var cfg struct {
		Sources map[string]string `env:"SOURCES" envSeparator:"," envKeyValSeparator:"="`
	}
	if err := config.Load(&cfg); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range topic.All() {
		if s.Upstream {
			names = append(names, s.Name)
		}
	}
	for name := range cfg.Sources {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (f *flags) verify(cmd *cobra.Command) (*verdict, error) {
	ctx := cmd.Context()
	from, to, err := replay.Span(f.from, f.to, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	if f.slice < 0 || f.skew < 0 {
		return nil, client.Usagef("--slice and --skew are lengths of time: they cannot be negative")
	}
	run := &Run{Running: true, Repeats: -1, Skew: f.skew}
	for _, s := range f.secrets {
		raw, err := webhook.ParseSecret(s)
		if err != nil {
			return nil, client.Usagef("--secret: %w", err)
		}
		run.AnySecret = append(run.AnySecret, raw)
	}
	api, noAPI := f.api.Client()
	if noAPI != nil && (f.api.API != "" || f.api.TokenFile != "" || os.Getenv("AFTERCALL_TOKEN") != "") {
		return nil, noAPI
	}
	names, err := sources()
	if err != nil {
		return nil, err
	}
	c, err := broker.Config(f.brokers, "verify")
	if err != nil {
		return nil, err
	}
	if err := kafka.Ping(ctx, c); err != nil {
		return nil, err
	}
	kc, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer kc.Close()
	l, err := newLook(ctx, c, kc, names, settling)
	if err != nil {
		return nil, err
	}
	l.progress = progress(cmd.ErrOrStderr())
	v := &verdict{From: from, To: to, Whole: from}
	if v.Gaps, err = l.gaps(ctx, slices.Concat(names, []string{topic.Events, topic.Rejected}, internal()), from); err != nil {
		return nil, err
	}
	for _, g := range v.Gaps {
		if g.Starts.After(v.Whole) {
			v.Whole = g.Starts
		}
	}
	if !v.Whole.Before(to) {
		return nil, fmt.Errorf("%w: the logs are whole from %s on only", errNothing, v.Whole.Format(time.RFC3339))
	}
	run.Commits = l.commits
	for _, part := range slicesOf(v.Whole, to, f.slice) {
		check, err := f.judged(ctx, l, run, part)
		if err != nil {
			return nil, err
		}
		if noAPI == nil {
			if err := check.asked(ctx, api); err != nil {
				noAPI = fmt.Errorf("asking %s: %w", api.Base(), err)
			}
		}
		v.take(check, l.now)
	}
	v.conclude(f, noAPI)
	return v, ctx.Err()
}

// judged is one part of the span.
func (f *flags) judged(ctx context.Context, l *look, run *Run, part [2]time.Time) (*checker, error) {
	run.Seen = map[string]window{}
	check := newChecker(run)
	if err := l.span(ctx, check, part[0], part[1]); err != nil {
		return nil, err
	}
	for _, path := range f.requests {
		if err := check.logged(path, l.now); err != nil {
			return nil, err
		}
	}
	check.judge()
	for _, path := range f.cdrs {
		if err := check.acknowledgements(path); err != nil {
			return nil, err
		}
	}
	return check, nil
}

// slicesOf parts a span, the last part being the rest; all of it when the length
// is 0.
func slicesOf(from, to time.Time, length time.Duration) [][2]time.Time {
	var parts [][2]time.Time
	for length > 0 && from.Add(length).Before(to) {
		parts = append(parts, [2]time.Time{from, from.Add(length)})
		from = from.Add(length)
	}
	return append(parts, [2]time.Time{from, to})
}

// progress shows on a terminal how each topic is read, and nothing elsewhere.
func progress(errs io.Writer) func(name string, offsets int64) func(int64) {
	if !client.Terminal(errs) {
		errs = io.Discard
	}
	return func(name string, offsets int64) func(int64) {
		// Without a length the bar turns by itself, beside the reader.
		b := progressbar.NewOptions64(max(offsets, 1), progressbar.OptionSetWriter(errs), progressbar.OptionSetDescription(name), progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		return func(n int64) {
			if n < 0 {
				_ = b.Finish() // a display
				return
			}
			_ = b.Add64(n)
		}
	}
}
