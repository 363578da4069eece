package importer

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is `aftercall import`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Make webhooks of another system's subscriptions",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(aspnetZero())
	return cmd
}

func aspnetZero() *cobra.Command {
	var (
		execute, dryRun         bool
		address, tokenFile      string
		tenant                  string
		allTenants, switchedOff bool
	)
	cmd := &cobra.Command{
		Use:   "aspnet-zero FILE",
		Short: "Make webhooks of the subscriptions of ASP.NET Zero (ASP.NET Boilerplate)",
		Long: `Makes webhooks of an export of the table AbpWebhookSubscriptions, as JSON or CSV (- is
standard input): columns Id, WebhookUri, Secret, IsActive, Webhooks, Headers, TenantId,
CreationTime. They get the payload format abp and their old secret, so that receivers
change nothing. See docs/migrating-from-aspnet-zero.md.

Without --execute it prints what it would do and changes nothing. With it, webhooks are
made through the API; one that was imported before is left as it is, so that the command
can be repeated. Secrets and the values of headers are never printed.

The command ends with status 1 when a row cannot be imported.`,
		Example: `  # See what would be made
  aftercall import aspnet-zero subscriptions.json

  # Make them, switched off until the old system stops sending
  aftercall import aspnet-zero subscriptions.json --execute --inactive \
    --api https://aftercall.example --token-file admin.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if execute && cmd.Flags().Changed("dry-run") && dryRun {
				return client.Usagef("--execute and --dry-run exclude each other")
			}
			o := options{allTenants: allTenants, inactive: switchedOff}
			if cmd.Flags().Changed("tenant") {
				if tenant == "host" {
					tenant = ""
				}
				o.tenant = &tenant
			}
			if execute && (address == "" || tokenFile == "") {
				return client.Usagef("--execute needs --api and --token-file")
			}
			var c *client.Client
			if execute {
				var err error
				if c, err = (&client.Flags{API: address, TokenFile: tokenFile}).Client(); err != nil {
					return err
				}
			}
			steps, err := load(args[0], cmd.InOrStdin(), o)
			if err != nil {
				return err
			}
			if !execute {
				return preview(cmd.OutOrStdout(), steps)
			}
			return run(cmd.Context(), cmd.OutOrStdout(), c, steps)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&dryRun, "dry-run", true, "print what would be made and change nothing")
	flags.BoolVar(&execute, "execute", false, "make the webhooks")
	flags.StringVar(&address, "api", "", "`URL` of Aftercall's API, such as https://aftercall.example")
	flags.StringVar(&tokenFile, "token-file", "", "`file` with an API token of scope write")
	flags.StringVar(&tenant, "tenant", "", "take the subscriptions of this `TenantId` only (host: those without one)")
	flags.BoolVar(&allTenants, "all-tenants", false, "take the subscriptions of all tenants: each gets every record")
	flags.BoolVar(&switchedOff, "inactive", false, "make them switched off (Is Active off)")
	return cmd
}

func load(file string, stdin io.Reader, o options) ([]step, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("reading the export: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the export: %w", err)
	}
	rows, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading the export: %w", err)
	}
	return plan(rows, o)
}

// preview prints what run would do.
func preview(out io.Writer, steps []step) error {
	var fresh, skipped, wrong int
	for _, s := range steps {
		switch {
		case s.wrong:
			wrong++
			say(out, "refused", s)
		case s.skip != "":
			skipped++
			say(out, "skipped", s)
		default:
			fresh++
			say(out, "would make", s)
		}
	}
	fmt.Fprintf(out, "\n%d to make, %d skipped, %d refused. Nothing was changed: make them with --execute.\n", fresh, skipped, wrong)
	if wrong > 0 {
		return fmt.Errorf("%d rows cannot be imported", wrong)
	}
	return nil
}

// run makes what is not there yet.
func run(ctx context.Context, out io.Writer, c *client.Client, steps []step) error {
	there, err := list(ctx, c)
	if err != nil {
		return err
	}
	var made, skipped, failed int
	for _, s := range steps {
		if s.skip == "" {
			for _, e := range there {
				if isImported(e.Name, s) {
					s.skip = "it is there already"
					break
				}
			}
		}
		switch {
		case s.wrong:
			failed++
			say(out, "refused", s)
		case s.skip != "":
			skipped++
			say(out, "skipped", s)
		default:
			if err := create(ctx, c, s.want); err != nil {
				if ctx.Err() != nil {
					return err
				}
				failed++
				s.skip = err.Error()
				say(out, "failed", s)
				continue
			}
			made++
			say(out, "made", s)
		}
	}
	fmt.Fprintf(out, "\n%d made, %d skipped, %d not made.\n", made, skipped, failed)
	if failed > 0 {
		return fmt.Errorf("%d rows could not be imported; the others are there, and the command can be repeated", failed)
	}
	return nil
}

// say prints one step, without a secret or a header's value.
func say(out io.Writer, what string, s step) {
	if s.skip != "" {
		fmt.Fprintf(out, "%-10s  %s: %s\n", what, printable(s.want.Name), printable(s.skip))
		return
	}
	state := "active"
	if !s.want.Active {
		state = "switched off"
	}
	fmt.Fprintf(out, "%-10s  %s\n            %s, %s\n", what, printable(s.want.Name), state, strings.Join(s.want.Events, ", "))
	if len(s.want.Headers) > 0 {
		names := []string{}
		for _, h := range s.want.Headers {
			names = append(names, h.Name)
		}
		fmt.Fprintf(out, "            headers %s\n", printable(strings.Join(names, ", ")))
	}
	for _, n := range s.notes {
		fmt.Fprintf(out, "            note: %s\n", printable(n))
	}
}

// printable keeps a file from writing to the terminal what is no text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
