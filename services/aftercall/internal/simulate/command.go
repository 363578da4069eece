package simulate

import (
	"time"

	"github.com/spf13/cobra"
)

// DefaultBroker is where `aftercall dev` listens.
const DefaultBroker = "127.0.0.1:8421"

// Command is `aftercall simulate`. It runs until its calls are made or its context
// ends.
func Command() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Produce the CDRs of made-up calls, as an upstream would",
		Long: `Makes up calls (IVR → queue → agent, recorded) and produces their CDRs to
aftercall.cdr.ivr, .queue, .agent and .recording with segmentio/kafka-go, as an
upstream would. The four records of a call share a ScenarioId; ParentId leads from
one leg to the one before. People and numbers are made up.

The command ends with status 0 when every record is acknowledged, also after
Ctrl-C; with status 1 at the first record that cannot be sent.`,
		Example: `  # 1,000 calls, 50 a second, to the broker of ` + "`aftercall dev`" + `
  aftercall simulate --calls 1000 --rate 50

  # The same calls again
  aftercall simulate --calls 10 --seed 7

  # One call every ten seconds until Ctrl-C, to a Kafka of yours
  aftercall simulate --brokers kafka-1:9092,kafka-2:9092 --interval 10s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			if err := o.Check(); err != nil {
				return err
			}
			return Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Brokers, "brokers", []string{DefaultBroker}, "`host:port` of the broker; several with commas")
	flags.IntVar(&o.Calls, "calls", 0, "how many calls; 0 goes on until Ctrl-C")
	flags.Float64Var(&o.Rate, "rate", 0, "calls a second")
	flags.DurationVar(&o.Interval, "interval", time.Second, "time between calls, where there is no --rate")
	flags.IntVar(&o.Burst, "burst", 0, "so many calls within the first five seconds, before the pace begins")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the made-up calls; 0 is a new one each time")
	flags.StringVar(&o.Source, "source", "", "ce_source of the records (default \"aftercall/simulator\")")
	flags.StringVar(&o.Tenant, "tenant", "", "tenant of the records")
	cmd.MarkFlagsMutuallyExclusive("rate", "interval")
	return cmd
}
