package services

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// ConfigCommand is `aftercall config`.
func ConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show the services' settings: docs, print"}
	cmd.AddCommand(docsCommand(), printCommand())
	return cmd
}

func docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "docs",
		Short:   "Print every AFTERCALL_… variable of the services, as Markdown",
		Example: "  aftercall config docs | less",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return config.Docs(cmd.OutOrStdout(), Settings()...) },
	}
}

// setting is one with those that read it.
type setting struct {
	config.Effective
	Services []string `json:"services"`
}

func printCommand() *cobra.Command {
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	return &cobra.Command{
		Use:   "print [SERVICE]",
		Short: "Print the settings that a service would run with, and where each came from",
		Long: `Prints the settings of one service, or of all, as they take effect in this
environment: the value, secrets masked, and where it came from: default, environment,
the file that …_FILE names, or nowhere. A table on a terminal, JSON lines in a pipe.
Exit status 1 when a service would not start with them, and why.`,
		Example: `  aftercall config print sender
  aftercall config print | jq -r 'select(.from != "default") | .name'`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, failed := effective(args)
			if err := write(cmd.OutOrStdout(), list); err != nil {
				return err
			}
			return failed
		},
	}
}

// effective are the settings of the services chosen, each once.
func effective(chosen []string) ([]setting, error) {
	var list []setting
	var failed []error
	said := map[string]bool{}
	for _, s := range all {
		if len(chosen) > 0 && !slices.Contains(chosen, s.name) {
			continue
		}
		found, err := config.Effectives(s.settings())
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		for _, e := range found {
			i := slices.IndexFunc(list, func(have setting) bool { return have.Effective == e })
			switch {
			case i < 0:
				list = append(list, setting{e, []string{s.name}})
			case !slices.Contains(list[i].Services, s.name):
				list[i].Services = append(list[i].Services, s.name)
			}
		}
	}
	return list, errors.Join(failed...)
}

func write(out io.Writer, list []setting) error {
	if !client.Terminal(out) {
		for _, s := range list {
			if err := client.Line(out, s); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "VARIABLE\tVALUE\tFROM\tREAD BY")
	for _, s := range list {
		from := s.From
		if s.File != "" {
			from += " " + s.File
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, client.Plain(s.Value), client.Plain(from), strings.Join(s.Services, ", "))
	}
	return w.Flush()
}
