package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is aftercall bench.
func Command() *cobra.Command {
	o := Options{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pipeline: against a bare loop, beside bad neighbours, beside a replay",
		Long: `Measures, in one run and on this machine:

pipeline     a bare loop of signed POSTs (the ceiling), the pipeline in one process
             (embedded broker with sync writes, SQLite), and, when addresses are
             given, the pipeline on a real Kafka and PostgreSQL. Counted at the
             receiver; the clock stops when the history is stored. Then, at a modest
             rate, how long a record takes from produce to answer.
neighbours   20 subscriptions at a steady rate, all healthy and then with 4 that
             never answer and 2 that take 10 s: what the other 14 notice.
replay       live calls, alone and beside a replay to the same endpoint.
outage       an endpoint comes back for which much waits: its concurrency, and what
             others notice.
cost         what a delivery costs by fan-out, payload, number of subscriptions and
             deliveries waiting.

Without flags it runs the first three, neighbours and replay on the real Kafka when
there is one, in a minute and a half; --only and --full measure everywhere. Absolute
figures depend on the machine; read the ratios, over
several runs.

The Kafka given is written to: use one made for it. Of the PostgreSQL server, a
database ` + databaseName + ` is made and dropped.`,
		Example: `  aftercall bench
  aftercall bench --only neighbours,replay --neighbour-seconds 60
  aftercall bench --full --json before.json
  aftercall bench --deliveries 100000 --payload 20000
  aftercall bench --brokers 127.0.0.1:9092 --database postgres://localhost/postgres
  aftercall bench --profile cpu.out && go tool pprof -top cpu.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return client.Usage(err)
			}
			return Run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.AddCommand(compareCommand())
	f := cmd.Flags()
	f.StringSliceVar(&o.Only, "only", nil, "measure only these `sections`: "+strings.Join(Sections, ", "))
	f.BoolVar(&o.Full, "full", false, "every section, everywhere: ten minutes")
	f.IntVar(&o.Deliveries, "deliveries", 30000, "deliveries in each row")
	f.IntVar(&o.Payload, "payload", 1200, "bytes of a CDR")
	f.IntVar(&o.Concurrency, "concurrency", 64, "max concurrency of the subscription")
	f.IntVar(&o.Rate, "rate", 200, "records a second while the time from produce to answer is measured")
	f.IntVar(&o.Seconds, "seconds", 5, "for how long it is measured, 0 for not at all")
	f.IntVar(&o.NeighbourRate, "neighbour-rate", 60, "neighbours: events a second, each for 20 subscriptions")
	f.IntVar(&o.NeighbourSeconds, "neighbour-seconds", 8, "neighbours: for how long it is measured, all healthy and beside bad ones")
	f.IntVar(&o.Replays, "replays", 10000, "replay: deliveries that were given up")
	f.IntVar(&o.ReplayRate, "replay-rate", 500, "replay: deliveries a second")
	f.IntVar(&o.ReplaySeconds, "replay-seconds", 8, "replay, outage: for how long live calls are measured, alone and beside")
	f.IntVar(&o.Waiting, "waiting", 20000, "outage: deliveries that wait when the endpoint comes back")
	f.StringSliceVar(&o.Brokers, "brokers", nil, "addresses of a real Kafka, to measure on it too")
	f.StringVar(&o.Database, "database", "", "URL of a PostgreSQL server, to measure on it too")
	f.BoolVar(&o.Reset, "reset", false, "delete Aftercall's topics and groups on those brokers first: for a Kafka made for tests")
	f.StringVar(&o.Profile, "profile", "", "write a CPU profile of the one-process row to this file")
	f.StringVar(&o.JSON, "json", "", "write the result to this file, for aftercall bench compare")
	return cmd
}

func (o Options) check() error {
	if o.Deliveries < 10 || o.Payload < 0 || o.Concurrency < 1 || o.Rate < 1 || o.Seconds < 0 {
		return errors.New("--deliveries must be 10 or more, --concurrency and --rate 1 or more, --payload and --seconds not negative")
	}
	if o.NeighbourRate < 1 || o.NeighbourSeconds < 1 || o.Replays < 1 || o.ReplayRate < 1 || o.ReplaySeconds < 1 || o.Waiting < 1 {
		return errors.New("rates, seconds and numbers must be 1 or more")
	}
	for _, s := range o.Only {
		if !slices.Contains(Sections, s) {
			return fmt.Errorf("--only: %q is not one of %s", s, strings.Join(Sections, ", "))
		}
	}
	if (len(o.Brokers) > 0) != (o.Database != "") {
		return errors.New("--brokers and --database go together: the real pipeline needs both")
	}
	if o.Database == "" {
		return nil
	}
	if _, err := pgx.ParseConfig(o.Database); err != nil || !strings.HasPrefix(o.Database, "postgres") {
		return errors.New("--database is no URL of a PostgreSQL server, such as postgres://localhost/postgres")
	}
	return broker.Check(o.Brokers)
}
