package listen

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is `aftercall listen`. It runs until its context ends.
func Command() *cobra.Command {
	var (
		addr, fail, logFile string
		delay               time.Duration
		secrets             []string
		asJSON              bool
	)
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive webhooks on this machine and show what came",
		Long: `Receives webhooks on this machine, verifies their signatures and shows one line
for each request (JSON lines when the output is not a terminal). It can misbehave
on purpose.

` + help,
		Example: `  # Take everything
  aftercall listen

  # Verify signatures with the secret that was shown when the webhook was added
  aftercall listen --secret whsec_…

  # Fail twice for each webhook, then take it; each answer after 200 ms
  aftercall listen --fail 503:2 --delay 200ms

  # Keep every request, with headers and body
  aftercall listen --log requests.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := Options{Delay: delay}
			var err error
			if o.Fail, err = ParseFail(fail); err != nil {
				return client.Usagef("--fail: %w", err)
			}
			if delay < 0 {
				return client.Usagef("--delay: %s is negative", delay)
			}
			for _, s := range secrets {
				raw, err := webhook.ParseSecret(s)
				if err != nil {
					return client.Usagef("--secret: %w", err)
				}
				o.Secrets = append(o.Secrets, raw)
			}
			if err := client.Address("listen", addr); err != nil {
				return err
			}
			if logFile != "" {
				// It holds callers' data: for its owner only.
				f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				if err != nil {
					return fmt.Errorf("--log: %w", err)
				}
				defer func() { _ = f.Close() }()
				o.Log = f
			}
			out := cmd.OutOrStdout()
			o.OnRequest = Printer(out, asJSON || !isTerminal(out))
			ln, err := Listen(cmd.Context(), addr, "--listen")
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Receiver  http://%s   /ok  /flaky (503 once)  /broken (500)  /slow?ms=…\n", ln.Addr())
			if len(o.Secrets) == 0 {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Signatures are not checked: give the webhook's secret with --secret whsec_…")
			}
			return Serve(cmd.Context(), ln, Handler(o))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&addr, "listen", DefaultAddr, "address to listen on")
	flags.StringVar(&fail, "fail", "", "answer with this status: `503:2` to the first two requests of each webhook, 503 to all")
	flags.DurationVar(&delay, "delay", 0, "wait before each answer, such as 200ms")
	flags.StringArrayVar(&secrets, "secret", nil, "verify signatures with this secret, `whsec_…` (may be repeated)")
	flags.StringVar(&logFile, "log", "", "append every request to this `file`, as JSON lines with headers and body")
	flags.BoolVar(&asJSON, "json", false, "show JSON lines on a terminal too")
	return cmd
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
