package bench

import (
	"errors"

	"github.com/spf13/cobra"
)

// Command is aftercall bench.
func Command() *cobra.Command {
	o := Options{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pipeline against a bare loop of signed POSTs",
		Long: `Measures, in one run and against the same receiver: a bare loop of signed POSTs
(the ceiling), the pipeline in one process (embedded broker with sync writes,
SQLite), and, when addresses are given, the pipeline on a real Kafka and
PostgreSQL. Counted at the receiver; the clock stops when the history is stored.
Then, at a modest rate, how long a record takes from produce to answer.

The Kafka given is written to: use one made for it. Of the PostgreSQL server, a
database ` + databaseName + ` is made and dropped.`,
		Example: `  aftercall bench
  aftercall bench --deliveries 100000 --payload 20000
  aftercall bench --brokers 127.0.0.1:9092 --database postgres://localhost/postgres
  aftercall bench --profile cpu.out && go tool pprof -top cpu.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Deliveries < 10 || o.Payload < 0 || o.Concurrency < 1 || o.Rate < 1 {
				return errors.New("--deliveries must be 10 or more, --concurrency and --rate 1 or more")
			}
			if (len(o.Brokers) > 0) != (o.Database != "") {
				return errors.New("--brokers and --database go together: the third row needs both")
			}
			return Run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Deliveries, "deliveries", 30000, "deliveries in each row")
	f.IntVar(&o.Payload, "payload", 1200, "bytes of a CDR")
	f.IntVar(&o.Concurrency, "concurrency", 64, "max concurrency of the subscription")
	f.IntVar(&o.Rate, "rate", 200, "records a second while the time from produce to answer is measured")
	f.IntVar(&o.Seconds, "seconds", 5, "for how long it is measured, 0 for not at all")
	f.StringSliceVar(&o.Brokers, "brokers", nil, "addresses of a real Kafka, for the third row")
	f.StringVar(&o.Database, "database", "", "URL of a PostgreSQL server, for the third row")
	f.BoolVar(&o.Reset, "reset", false, "delete Aftercall's topics and groups on those brokers first: for a Kafka made for tests")
	f.StringVar(&o.Profile, "profile", "", "write a CPU profile of the one-process row to this file")
	return cmd
}
