package simulate

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// DefaultBroker is where `aftercall dev` listens.
const DefaultBroker = broker.Default

// Command is `aftercall simulate`. It runs until its calls are made or its context
// ends.
func Command() *cobra.Command {
	var o Options
	var mix, logged string
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Produce the CDRs of made-up calls, as an upstream would",
		Long: `Makes up calls and produces their CDRs to aftercall.cdr.ivr, .queue, .agent and
.recording with segmentio/kafka-go, as an upstream would. The records of a call share
a ScenarioId; ParentId leads from one leg to the one before. People and numbers are
made up; what they say is in several scripts.

A call is of one of these variants; --mix says how often which comes:
  answered      IVR → queue → agent, recorded
  transferred   … → another queue → another agent
  missed        rings in vain at an agent or two, before one answers
  abandoned     the caller hangs up in the queue
  overflow      waits too long, and is taken by another queue
  callback      leaves the queue; an agent calls back later
  voicemail     waits too long, and nobody is there
  self-service  the IVR was enough
  direct        calls an agent by number, who may miss it

Connects by --brokers, or AFTERCALL_BROKERS, and AFTERCALL_KAFKA_… for TLS and SASL.

The command ends with status 0 when every record is acknowledged, also after
Ctrl-C; with status 1 at the first record that cannot be sent.`,
		Example: `  # 1,000 calls, 50 a second, to the broker of ` + "`aftercall dev`" + `
  aftercall simulate --calls 1000 --rate 50

  # The same calls again
  aftercall simulate --calls 10 --seed 7

  # A bad day: of ten calls four are abandoned and two end at the voicemail
  aftercall simulate --calls 200 --rate 5 --mix answered=4,abandoned=4,voicemail=2

  # One transferred call, to look at its tree in the console
  aftercall simulate --calls 1 --mix transferred

  # 100 calls, and the proof that none of their records was lost
  aftercall simulate --calls 100 --rate 20 --log cdrs.jsonl
  aftercall verify --from -10m --cdrs cdrs.jsonl

  # One call every ten seconds until Ctrl-C, to a Kafka of yours
  aftercall simulate --brokers kafka-1:9092,kafka-2:9092 --interval 10s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			if mix != "" {
				var err error
				if o.Mix, err = ParseMix(mix); err != nil {
					return client.Usagef("--mix: %w", err)
				}
			}
			if err := o.Check(); err != nil {
				return client.Usage(err)
			}
			o, err := secured(cmd.Context(), o)
			if err != nil {
				return err
			}
			log, err := broker.OpenLog(logged)
			if err != nil {
				return err
			}
			o.Acknowledged = log.Note()
			if err = Run(cmd.Context(), o); errors.Is(err, ErrStopped) {
				err = client.Partly(err)
			}
			if closing := log.Close(); err == nil {
				err = closing
			}
			return err
		},
	}
	flags := cmd.Flags()
	broker.Flag(flags, &o.Brokers)
	flags.IntVar(&o.Calls, "calls", 0, "how many calls; 0 goes on until Ctrl-C")
	flags.Float64Var(&o.Rate, "rate", 0, "calls a second")
	flags.DurationVar(&o.Interval, "interval", time.Second, "time between calls, where there is no --rate")
	flags.IntVar(&o.Burst, "burst", 0, "so many calls within the first five seconds, before the pace begins")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the made-up calls; 0 is a new one each time")
	flags.StringVar(&mix, "mix", "", "which calls come how often, as `variant=share,…`; what is not named does not come (default an ordinary day: 54 % answered, 12 % transferred, 10 % abandoned, 8 % missed …)")
	flags.StringVar(&o.Source, "source", "", "ce_source of the records (default \"aftercall/simulator\")")
	flags.StringVar(&o.Tenant, "tenant", "", "tenant of the records")
	broker.LogFlag(flags, &logged)
	cmd.MarkFlagsMutuallyExclusive("rate", "interval")
	return cmd
}
