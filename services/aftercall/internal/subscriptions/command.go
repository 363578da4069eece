package subscriptions

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is `aftercall subscriptions`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "subscriptions", Aliases: []string{"subs"},
		Short: "Keep subscriptions in a file: list, get, export, apply",
	}
	cmd.AddCommand(listCommand(), getCommand(), exportCommand(), applyCommand())
	return cmd
}

func listCommand() *cobra.Command {
	var connect client.Flags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List subscriptions",
		Long: `Lists the subscriptions: a table on a terminal, the API's objects as JSON lines in a
pipe. The token needs the scope read.`,
		Example: `  aftercall subscriptions list
  aftercall subscriptions list | jq -r 'select(.active | not) | .name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect.Client()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if !client.Terminal(out) {
				return client.Each(cmd.Context(), c, "/subscriptions", nil, 0, func(raw json.RawMessage) error { return client.Line(out, raw) })
			}
			there, err := fetch(cmd.Context(), c)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "NAME\tACTIVE\tENDPOINT\tEVENTS\tID")
			for _, e := range there {
				active := "yes"
				if e.Active != nil && !*e.Active {
					active = "no"
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", client.Plain(e.Name), active, client.Plain(e.Endpoint), client.Plain(strings.Join(e.Events, ", ")), e.ID)
			}
			return w.Flush()
		},
	}
	connect.Add(cmd)
	return cmd
}

func getCommand() *cobra.Command {
	var connect client.Flags
	cmd := &cobra.Command{
		Use:   "get NAME|ID",
		Short: "Show one subscription",
		Long: `Shows one subscription, by its name or id: as it would stand in a file on a terminal,
the API's object as JSON in a pipe. The token needs the scope read.`,
		Example: `  aftercall subscriptions get CRM
  aftercall subscriptions get CRM | jq .endpoint`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return connect.CompleteNames(cmd, args, text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect.Client()
			if err != nil {
				return err
			}
			var found []json.RawMessage
			var names []existing
			err = client.Each(cmd.Context(), c, "/subscriptions", nil, 0, func(raw json.RawMessage) error {
				var e existing
				if err := json.Unmarshal(raw, &e); err != nil {
					return fmt.Errorf("reading a subscription: %w", err)
				}
				if e.ID == args[0] || e.Name == args[0] {
					found, names = append(found, raw), append(names, e)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("asking for the subscriptions: %w", err)
			}
			if len(found) == 0 {
				return fmt.Errorf("there is no subscription with the name or id %q: see aftercall subscriptions list", args[0])
			}
			out := cmd.OutOrStdout()
			for i, e := range names {
				if !client.Terminal(out) {
					if err := client.Line(out, found[i]); err != nil {
						return err
					}
					continue
				}
				if _, err := fmt.Fprintf(out, "# %s, version %d, changed %s\n", e.ID, e.Version, e.UpdatedAt.Local().Format("2006-01-02 15:04:05")); err != nil {
					return err
				}
				if err := write(out, []existing{e}, "yaml"); err != nil {
					return err
				}
			}
			return nil
		},
	}
	connect.Add(cmd)
	return cmd
}

func exportCommand() *cobra.Command {
	var connect client.Flags
	format := "yaml"
	cmd := &cobra.Command{
		Use:   "export [NAME…]",
		Short: "Print subscriptions as a file that apply takes",
		Long: `Prints all subscriptions, or those named, as a file that aftercall subscriptions
apply takes: applied as it is, it changes nothing. Secrets are not in it: a secret
header is there without its value, which stays as it is. The token needs the scope
read.`,
		Example: `  aftercall subscriptions export > subscriptions.yaml
  aftercall subscriptions export CRM --output json`,
		ValidArgsFunction: connect.CompleteNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "yaml" && format != "json" {
				return client.Usagef("--output is yaml or json, not %q", format)
			}
			c, err := connect.Client()
			if err != nil {
				return err
			}
			there, err := fetch(cmd.Context(), c)
			if err != nil {
				return err
			}
			chosen := there
			if len(args) > 0 {
				chosen = nil
				for _, name := range args {
					i := slices.IndexFunc(there, func(e existing) bool { return e.Name == name })
					if i < 0 {
						return fmt.Errorf("there is no subscription named %q: see aftercall subscriptions list", name)
					}
					chosen = append(chosen, there[i])
				}
			}
			for i, e := range chosen {
				if slices.ContainsFunc(there, func(x existing) bool { return x.Name == e.Name && x.ID != e.ID }) || slices.ContainsFunc(chosen[:i], func(x existing) bool { return x.ID == e.ID }) {
					return fmt.Errorf("more than one subscription is named %q: rename all but one, names tell them apart", e.Name)
				}
			}
			return write(cmd.OutOrStdout(), chosen, format)
		},
	}
	connect.Add(cmd)
	cmd.Flags().StringVarP(&format, "output", "o", format, "yaml or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// write writes a file.
func write(out io.Writer, all []existing, format string) error {
	doc := struct {
		Subscriptions []hook `yaml:"subscriptions" json:"subscriptions"`
	}{[]hook{}}
	for i := range all {
		doc.Subscriptions = append(doc.Subscriptions, all[i].exported())
	}
	if format == "json" {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(doc)
	}
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	return e.Close()
}

// fetch reads all subscriptions, by name.
func fetch(ctx context.Context, c *client.Client) ([]existing, error) {
	var all []existing
	if err := client.Each(ctx, c, "/subscriptions", nil, 0, func(e existing) error { all = append(all, e); return nil }); err != nil {
		return nil, fmt.Errorf("asking for the subscriptions: %w", err)
	}
	slices.SortStableFunc(all, func(a, b existing) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func applyCommand() *cobra.Command {
	var (
		connect                   client.Flags
		path, secretsOut          string
		prune, yes, dryRun, again bool
	)
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Bring subscriptions into agreement with a file",
		Long: `Compares a file (YAML or JSON, as export prints it) with the subscriptions that are
there, by name, shows what would be created, updated and left as it is, asks, and
does it. Of a subscription in the file, fields left out have their defaults; one that
is not in the file stays, unless --prune is given. In a pipe nobody can be asked:
--yes is needed, and each subscription becomes a JSON line. The token needs the scopes
read and write.

Secrets do not stand in the file, which says where they are: signing_secret_file or
signing_secret_env, abp_secret_file or abp_secret_env, and of a header value_file or
value_env. Files are relative to the one that names them. A signing secret is used
when the subscription is created; later it is rotated. A header whose value is stored
keeps it: --update-secrets sends it again. A signing secret that is not given is made,
and shown once: on the terminal, or into --secrets-out.

What somebody changed since the plan was made is not overwritten. Exit status: 0 all
is as the file has it, 1 nothing was changed, 3 some was changed and some failed.`,
		Example: `  aftercall subscriptions apply -f subscriptions.yaml
  aftercall subscriptions apply -f subscriptions.yaml --dry-run
  aftercall subscriptions export | ssh other aftercall subscriptions apply -f - --yes

  # subscriptions.yaml
  subscriptions:
    - name: CRM
      endpoint: https://crm.example.com/hooks
      events: [App.QueueWebhook, App.AgentWebhook]
      signing_secret_file: secrets/crm
      headers:
        - {name: X-Api-Key, value_env: CRM_API_KEY}
        - {name: X-Team, value: sales, secret: false}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect.Client()
			if err != nil {
				return err
			}
			f, err := read(path, cmd.InOrStdin())
			if err != nil {
				return err
			}
			there, err := fetch(cmd.Context(), c)
			if err != nil {
				return err
			}
			steps, err := plan(f, there, prune, again)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			do := &changer{client: c, file: f, out: out, terminal: client.Terminal(out)}
			if do.terminal {
				err = show(out, steps)
			} else {
				err = do.lines(steps, dryRun)
			}
			work := pending(steps)
			if err != nil || dryRun || len(work) == 0 {
				return err
			}
			asks := do.terminal && path != "-" && client.TerminalIn(cmd.InOrStdin())
			if err := agreed(cmd, yes, asks); err != nil {
				return err
			}
			if secretsOut != "" {
				if do.secrets, err = secretsFile(secretsOut); err != nil {
					return err
				}
				defer func() { _ = do.secrets.Close() }()
			} else if i := slices.IndexFunc(work, step.makesSecret); i >= 0 && !do.terminal {
				return fmt.Errorf("%s gets a secret that is shown once: name a file for it with --secrets-out, or give it one (signing_secret_file, signing_secret_env; abp_secret_… with the format abp)", work[i].name)
			}
			return do.apply(cmd.Context(), work)
		},
	}
	connect.Add(cmd)
	f := cmd.Flags()
	f.StringVarP(&path, "file", "f", "", "the `file`; - is standard input")
	f.BoolVar(&prune, "prune", false, "delete subscriptions that are not in the file")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "show the plan and change nothing")
	f.BoolVar(&again, "update-secrets", false, "send values of secret headers again, and secrets of the format abp")
	f.StringVar(&secretsOut, "secrets-out", "", "new `file` for secrets that are made, as JSON lines")
	_ = cmd.MarkFlagRequired("file")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	return cmd
}

// lines prints what is not to be changed, all of it in a dry run.
func (c *changer) lines(steps []step, all bool) error {
	for _, s := range steps {
		r := s.report()
		if r.Done = s.action == actionUnchanged; !r.Done && !all {
			continue
		}
		if err := client.Line(c.out, r); err != nil {
			return err
		}
	}
	return nil
}

// agreed asks whether the plan is to be carried out.
func agreed(cmd *cobra.Command, yes, asks bool) error {
	if yes {
		return nil
	}
	if !asks {
		return errors.New("nobody can be asked here: look at the plan with --dry-run, and agree with --yes; nothing was changed")
	}
	if _, err := fmt.Fprint(os.Stderr, "Do it? [y/N] "); err != nil {
		return err
	}
	text, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(text)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
