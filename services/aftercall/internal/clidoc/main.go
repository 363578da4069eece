// Command clidoc writes docs/cli.md: every command of the command line with its
// help, as it is printed.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/cli"
)

//go:generate go run . ../../../../docs/cli.md

const head = `# Command line

` + "`aftercall`" + ` is one program: everything in one process (` + "`dev`" + `), upstream's and receiver's side to try
with, and what operators need. Generated from the commands themselves; ` + "`--help`" + ` says the same.

Output is for people on a terminal and JSON lines in a pipe; what is said beside it goes to standard
error. Exit status:

| status | meaning |
| --- | --- |
| 0 | done |
| 1 | failed: the error says what, why and what to do |
| 2 | wrong usage: a command, flag or argument that is not there, or a value that cannot be meant; nothing was done |
| 3 | partly done: what was done stays so, the error says what is left |

A command with a meaning of its own for one of these says so below: ` + "`verify`" + `, ` + "`doctor`" + `, and the services.

Completion: ` + "`aftercall completion bash|zsh|fish|powershell --help`" + `, names of
subscriptions included.
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: clidoc FILE")
		os.Exit(2)
	}
	// Defaults must be those of nobody's machine.
	for _, name := range []string{"AFTERCALL_BROKERS", "AFTERCALL_API", "AFTERCALL_TOKEN"} {
		_ = os.Unsetenv(name)
	}
	var b strings.Builder
	b.WriteString(head)
	write(&b, cli.Root())
	if err := os.WriteFile(os.Args[1], []byte(b.String()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "clidoc:", err)
		os.Exit(1)
	}
}

// write writes the commands below one, those that do something themselves.
func write(out io.Writer, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.Runnable() {
			c.InitDefaultHelpFlag()
			text := c.Short + "."
			if c.Long != "" {
				text = c.Long
			}
			_, _ = fmt.Fprintf(out, "\n## %s\n\n%s\n\n```\n%s```\n", c.CommandPath(), strings.TrimSpace(text), c.UsageString())
		}
		write(out, c)
	}
}
