package services

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/service"
	admin "github.com/aftercall/aftercall/services/admin/process"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
	projector "github.com/aftercall/aftercall/services/projector/process"
	router "github.com/aftercall/aftercall/services/router/process"
	sender "github.com/aftercall/aftercall/services/sender/process"
)

type runner func(ctx context.Context, args []string, out io.Writer) int

func begin[C any](name string, run func(context.Context, C, service.Process) error) runner {
	return func(ctx context.Context, args []string, out io.Writer) int {
		return service.Start(ctx, name, args, os.Environ(), out, os.Stderr, run)
	}
}

// all are the services, in the order of the flow.
var all = []struct {
	name, short, long, needs string
	settings                 func() any
	run                      runner
}{
	{"router", "Run the router: CDRs become events and deliveries",
		"Reads the CDR topics and writes, in one transaction each time, events, deliveries and what\ncannot be a CDR. It needs Kafka alone, and no secret.",
		"AFTERCALL_BROKERS=kafka-1:9092 AFTERCALL_INSTANCE=router-0",
		service.Configured[router.Settings], begin("router", router.Run)},
	{"sender", "Run a sender: deliveries become signed POSTs",
		"Posts deliveries to their endpoints, with retries on the delay topics, and writes every\nattempt to the history. It needs Kafka and the keyset, and no database.",
		"AFTERCALL_BROKERS=kafka-1:9092 AFTERCALL_KEYSET_FILE=/run/secrets/keyset",
		service.Configured[sender.Settings], begin("sender", sender.Run)},
	{"projector", "Run the projector: the history becomes rows of the database",
		"Writes what happened into the database, exactly once, and deletes what is past its period.",
		"AFTERCALL_BROKERS=kafka-1:9092 AFTERCALL_DATABASE_URL=postgres://aftercall@db/aftercall",
		service.Configured[projector.Settings], begin("projector", projector.Run)},
	{"admin", "Run admin: the API and the console",
		"Serves the API and the console, and publishes subscriptions to Kafka.",
		"AFTERCALL_BROKERS=kafka-1:9092 AFTERCALL_DATABASE_URL=postgres://aftercall@db/aftercall \\\n      AFTERCALL_KEYSET_FILE=/run/secrets/keyset",
		service.Configured[admin.Settings], begin("admin", admin.Run)},
}

// Settings are those of every service, for documents.
func Settings() []config.Service {
	var list []config.Service
	for _, s := range all {
		list = append(list, config.Service{Name: s.name, Config: s.settings()})
	}
	return list
}

// Commands are one for each service.
func Commands() []*cobra.Command {
	var list []*cobra.Command
	for _, s := range all {
		cmd := &cobra.Command{
			Use:   s.name,
			Short: s.short,
			Long: s.long + fmt.Sprintf(`

The same as the binary %s: configured by AFTERCALL_… variables (aftercall config docs
lists them, aftercall config print %s shows what takes effect), ends at the first
SIGINT or SIGTERM with the work in hand finished. Exit status: 0 asked to end, 1
failed, 2 wrong settings.`, s.name, s.name),
			Example: "  " + s.needs + " \\\n      aftercall " + s.name + "\n  aftercall " + s.name + " health      # is the one that runs with these settings ready?",
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd, s.run, nil) },
		}
		cmd.AddCommand(&cobra.Command{
			Use:     "health",
			Short:   "Ask the " + s.name + " that runs whether it is ready",
			Long:    "Asks /readyz at AFTERCALL_OPS_LISTEN, for containers whose image holds nothing else that\ncould ask. Exit status: 0 ready, 1 not ready or not there, 2 wrong settings.",
			Example: "  aftercall " + s.name + " health",
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd, s.run, []string{"health"}) },
		})
		list = append(list, cmd)
	}
	return list
}

func run(cmd *cobra.Command, r runner, args []string) error {
	if status := r(cmd.Context(), args, cmd.OutOrStdout()); status != 0 {
		return &client.ExitError{Code: status} // why was said
	}
	return nil
}
