package dev

import (
	"fmt"
	"math"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/logging"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is aftercall dev.
func Command() *cobra.Command {
	var o Options
	level := "warn"
	var keepFree, maxData string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process: broker, pipeline, console, receiver, simulator",
		Long: `Runs Aftercall in one process: an embedded broker that speaks Kafka's protocol,
SQLite, the console, a sample receiver and a simulator of calls. Nothing else is
needed. For trying out, and for small installations on one machine.

Everything is kept in the data folder and survives a kill -9. The broker deletes
records a week old (history two, given-up deliveries four) once they are
processed, sooner when it holds more than --max-data; with less than --keep-free
on the disk it refuses new CDRs, with an error that clients try again after.`,
		Example: `  aftercall dev
  aftercall dev --calls 0                       # no simulated calls
  aftercall dev --data /var/lib/aftercall --listen 127.0.0.1:9420
  aftercall dev --allow-private                 # webhooks to 10.x, 172.16.x, 192.168.x`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logging.New(os.Stderr, level)
			if err != nil {
				return client.Usagef("--log-level: %w", err)
			}
			defer func(l *zap.Logger) { _ = l.Sync() }(log)
			if o.Limits.KeepFree, err = bytesOf(keepFree); err != nil {
				return client.Usagef("--keep-free: %w", err)
			}
			if o.Limits.MaxData, err = bytesOf(maxData); err != nil {
				return client.Usagef("--max-data: %w", err)
			}
			if o.Calls < -1 {
				return client.Usagef("--calls: %d is no number of calls; -1 is for ever", o.Calls)
			}
			for flag, addr := range map[string]string{"listen": o.Listen, "kafka-listen": o.KafkaListen, "receiver-listen": o.ReceiverListen} {
				if err := client.Address(flag, addr); err != nil {
					return err
				}
			}
			o.Logger, o.Out = log, cmd.OutOrStdout()
			return Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", "./data", "folder of broker, store and keys")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8420", "address of console and API")
	f.StringVar(&o.KafkaListen, "kafka-listen", "127.0.0.1:8421", "address of the broker")
	f.StringVar(&o.ReceiverListen, "receiver-listen", "127.0.0.1:8422", "address of the sample receiver")
	f.IntVar(&o.Calls, "calls", -1, "simulated calls: 0 for none, -1 for ever")
	f.BoolVar(&o.AllowPrivate, "allow-private", false, "allow webhooks to private networks")
	f.StringVar(&keepFree, "keep-free", "", "free disk space to keep, such as 2GiB (default 2GiB, or 5% of a disk below 40 GiB)")
	f.StringVar(&maxData, "max-data", "", "most that the broker may hold, such as 8GiB (default a quarter of the memory)")
	f.StringVar(&level, "log-level", level, "debug, info, warn or error")
	return cmd
}

// bytesOf reads a size for people; nothing is 0.
func bytesOf(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no size; write for example 500MiB or 2GiB", text)
	}
	return int64(min(n, math.MaxInt64)), nil
}
