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

The Kafka and the database given are written to: use empty ones made for it.`,
		Example: `  aftercall bench
  aftercall bench --deliveries 100000 --payload 20000
  aftercall bench --brokers 127.0.0.1:9092 --database postgres://localhost/bench
  aftercall bench --profile cpu.out && go tool pprof -top cpu.out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Deliveries < 10 || o.Payload < 0 || o.Concurrency < 1 {
				return errors.New("--deliveries must be 10 or more, --concurrency 1 or more")
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
	f.StringSliceVar(&o.Brokers, "brokers", nil, "addresses of a real Kafka, for the third row")
	f.StringVar(&o.Database, "database", "", "URL of a PostgreSQL database, for the third row")
	f.StringVar(&o.Profile, "profile", "", "write a CPU profile of the one-process row to this file")
	return cmd
}
