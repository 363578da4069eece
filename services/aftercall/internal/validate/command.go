package validate

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
	"github.com/aftercall/aftercall/services/aftercall/internal/trigger"
)

// NotDeliverableError ends the command when a CDR would be rejected (or, with
// --strict, when anything was found). Its exit code is 1.
type NotDeliverableError struct {
	Files int
	// Strict: nothing need be rejected.
	Strict bool
}

func (e *NotDeliverableError) Error() string {
	what := "would be rejected"
	if e.Strict {
		what = "with findings"
	}
	if e.Files == 1 {
		return "1 CDR " + what
	}
	return fmt.Sprintf("%d CDRs %s", e.Files, what)
}

// ExitCode is 1.
func (e *NotDeliverableError) ExitCode() int { return 1 }

// Command is `aftercall validate`.
func Command() *cobra.Command {
	var (
		word           string
		strict, asJSON bool
		maxBytes       int
	)
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Say about a CDR in a file what the router would say",
		Long: `Looks at CDRs, one a file (- is standard input), as the router would, and then by
the JSON Schema of the event type. Nothing is sent and no broker is needed.

  rejected  the router puts the record aside, with this reason
  warning   the router delivers it, and shows this
  schema    it is delivered; a receiver that reads by the schema may be surprised

The event type is guessed from the properties unless --type names it. What record
headers do (ce_id, ce_type, …) is not looked at.

Exit status: 0 when every CDR would be delivered, whatever was found; 1 when one
would be rejected, or with --strict when anything was found.`,
		Example: `  aftercall validate cdr.json
  aftercall validate --type queue --strict exported/*.json
  aftercall trigger agent --print | aftercall validate -`,
		Args:         cobra.MinimumNArgs(1),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			eventType := ""
			if word != "" {
				var err error
				if eventType, err = trigger.Type(word); err != nil {
					return client.Usagef("--type: %w", err)
				}
			}
			if maxBytes < 1 {
				return client.Usagef("--max-bytes: %d is no size of a CDR", maxBytes)
			}
			out := cmd.OutOrStdout()
			show := text
			if asJSON || !isTerminal(out) {
				show = jsonLine
			}
			failed := 0
			for _, file := range args {
				report, err := checkFile(cmd.InOrStdin(), file, eventType, maxBytes)
				if err != nil {
					return err
				}
				if err := show(out, report); err != nil {
					return err
				}
				if !report.Deliverable() || strict && len(report.Findings) > 0 {
					failed++
				}
			}
			if failed > 0 {
				return &NotDeliverableError{failed, strict}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&word, "type", "", "the `event type`: App.QueueWebhook or queue, and so on")
	flags.BoolVar(&strict, "strict", false, "exit with status 1 when anything was found")
	flags.BoolVar(&asJSON, "json", false, "show JSON lines on a terminal too")
	flags.IntVar(&maxBytes, "max-bytes", cdr.DefaultMaxBytes, "cap on a CDR, as configured for the router")
	return cmd
}

func checkFile(stdin io.Reader, file, eventType string, maxBytes int) (Report, error) {
	in, name := stdin, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return Report{}, fmt.Errorf("reading the CDR: %w", err)
		}
		defer func() { _ = f.Close() }()
		in, name = f, file
	}
	value, err := io.ReadAll(in)
	if err != nil {
		return Report{}, fmt.Errorf("reading the CDR from %s: %w", name, err)
	}
	guessed := false
	if eventType == "" {
		if eventType, guessed = Guess(value); !guessed {
			if json.Valid(value) {
				return Report{}, fmt.Errorf("%s: the event type cannot be told from the properties; name it with --type", name)
			}
			// It is rejected under every type.
			eventType = "App.QueueWebhook"
		}
	}
	report, err := Check(eventType, value, maxBytes)
	if err != nil {
		return report, err
	}
	report.File, report.Guessed = name, guessed
	return report, nil
}

func text(out io.Writer, r Report) error {
	guessed := ""
	if r.Guessed {
		guessed = " (guessed)"
	}
	verdict := "would be delivered"
	if !r.Deliverable() {
		verdict = "would be rejected"
	}
	if _, err := fmt.Fprintf(out, "%s  %s%s  %s\n", r.File, r.EventType, guessed, verdict); err != nil {
		return err
	}
	for _, f := range r.Findings {
		where := f.Field
		if f.Code != "" {
			where = f.Code + " " + where
		}
		if where != "" {
			where += ": "
		}
		if _, err := fmt.Fprintf(out, "  %-8s  %s%s\n", f.Kind, where, f.Reason); err != nil {
			return err
		}
	}
	return nil
}

func jsonLine(out io.Writer, r Report) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
