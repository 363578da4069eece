// Package topics is `aftercall topics`: it makes the topics that are missing and
// verifies the others, with the rights of whoever runs it, so that the services
// need none to create.
package topics

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/logging"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

// usual is where a one-process edition's broker is looked for.
var usual = broker.Default

// Command is `aftercall topics`.
func Command() *cobra.Command {
	var brokers []string
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Make the topics that are missing, and verify the others",
		Long: `Connects as the services do, by AFTERCALL_* variables (docs/configuration.md), makes
the topics that are missing and verifies settings of the others. With
AFTERCALL_ENSURE_TOPICS=false it makes none and fails where one is missing. Of the
broker of a one-process edition it says what one machine needs.`,
		Example: `  AFTERCALL_BROKERS=kafka-1:9092 AFTERCALL_TOPIC_REPLICATION=3 aftercall topics
  aftercall topics --brokers 127.0.0.1:8421      # beside aftercall dev`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var cfg struct{ Kafka kafka.Config }
			if err := config.Load(&cfg); err != nil {
				return err
			}
			if len(brokers) > 0 {
				cfg.Kafka.Brokers = brokers
			}
			if len(cfg.Kafka.Brokers) == 0 {
				return fmt.Errorf("no broker is named: set AFTERCALL_BROKERS, or give --brokers host:port%s", broker.Nearby(cmd.Context(), usual, "--brokers %s"))
			}
			if err := broker.Check(cfg.Kafka.Brokers); err != nil {
				return err
			}
			log, err := logging.New(os.Stderr, "warn")
			if err != nil {
				return err
			}
			cfg.Kafka.Logger = log
			if cfg.Kafka.ClientID == "" {
				cfg.Kafka.ClientID = "aftercall-topics"
			}
			cfg.Kafka.Embedded = broker.Embedded(cmd.Context(), cfg.Kafka)
			if err := kafka.Prepare(cmd.Context(), cfg.Kafka, topic.All()); err != nil {
				return fmt.Errorf("preparing Kafka: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d topics are there\n", len(topic.All()))
			return err
		},
	}
	broker.Named(cmd.Flags(), &brokers)
	return cmd
}
