// Package cli is the command line: the root of all commands, and how they end.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/services/aftercall/internal/bench"
	"github.com/aftercall/aftercall/services/aftercall/internal/cat"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
	"github.com/aftercall/aftercall/services/aftercall/internal/dev"
	"github.com/aftercall/aftercall/services/aftercall/internal/doctor"
	"github.com/aftercall/aftercall/services/aftercall/internal/importer"
	"github.com/aftercall/aftercall/services/aftercall/internal/keyset"
	"github.com/aftercall/aftercall/services/aftercall/internal/lag"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/overapi"
	"github.com/aftercall/aftercall/services/aftercall/internal/replay"
	"github.com/aftercall/aftercall/services/aftercall/internal/services"
	"github.com/aftercall/aftercall/services/aftercall/internal/simulate"
	"github.com/aftercall/aftercall/services/aftercall/internal/subscriptions"
	"github.com/aftercall/aftercall/services/aftercall/internal/tail"
	"github.com/aftercall/aftercall/services/aftercall/internal/topics"
	"github.com/aftercall/aftercall/services/aftercall/internal/trigger"
	"github.com/aftercall/aftercall/services/aftercall/internal/validate"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// Exit statuses. A command may have more of its own (client.ExitError).
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Run runs a command line and returns the exit status.
func Run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := Root()
	strict(root)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	var own *client.ExitError
	if errors.As(err, &own) {
		if own.Err != nil {
			_, _ = fmt.Fprintf(errs, "aftercall: %v\n", err)
		}
		return own.Code
	}
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return ExitOK
	}
	_, _ = fmt.Fprintf(errs, "aftercall: %v\n", err)
	var wrong *client.UsageError
	if errors.As(err, &wrong) || isUsage(err) {
		return ExitUsage
	}
	return ExitFailed
}

// Root is the aftercall command.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "aftercall",
		Short: "Call-ended records on Kafka become webhooks that arrive",
		Long: `Aftercall takes call detail records (CDRs) from Kafka, POSTs each to the webhook
subscriptions that want it until it is taken, and keeps a history of every attempt.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 partly done.`,
		Example: `  aftercall dev                          # everything in one process, to try it out
  aftercall trigger App.QueueWebhook     # one CDR
  aftercall listen                       # a receiver on this machine
  aftercall explain CALL_ID              # why a call's webhooks did (not) arrive
  aftercall cat aftercall.history        # what happened, as JSON lines`,
		Version:       telemetry.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd, err)
	})
	root.AddCommand(
		dev.Command(), simulate.Command(), trigger.Command(), validate.Command(),
		listen.Command(), cat.Command(), keyset.Command(), importer.Command(), replay.Command(), bench.Command(), bench.ReceiverCommand(), topics.Command(),
		subscriptions.Command(), tail.Command(),
		overapi.AttemptsCommand(), overapi.ExplainCommand(), overapi.ResendCommand(), overapi.TestCommand(), overapi.LoginCommand(), lag.Command(), verify.Command(), doctor.Command(),
	)
	root.AddCommand(services.ConfigCommand())
	root.AddCommand(services.Commands()...)
	return root
}
