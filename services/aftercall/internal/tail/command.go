package tail

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// tailer prints attempts.
type tailer struct {
	filter       filter
	out, errs    io.Writer
	json, colour bool
	// began is called once the end of the history is known: what is written from
	// then on is printed.
	began func()
}

// Command is `aftercall tail`.
func Command() *cobra.Command {
	var (
		connect client.Flags
		brokers []string
		output  string
		t       = tailer{began: func() {}}
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print attempts as they happen",
		Long: `Prints attempts from now on, as they happen, until Ctrl-C: lines for people on a
terminal, JSON objects as the API lists them in a pipe. A lost connection is taken up
again where it was: no attempt is missed, none comes twice.

Reads the API's live stream, with a token of the scope read; or Kafka itself, with
--brokers or when AFTERCALL_BROKERS is set and --api is not given (AFTERCALL_KAFKA_…
for TLS and SASL). Kafka needs neither admin nor the database.`,
		Example: `  aftercall tail
  aftercall tail --result failed --subscription CRM
  aftercall tail --status 5xx --output json | jq -r .attempt_id
  aftercall tail --brokers kafka-1:9092 --call 7a1c2a60`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.filter.check(); err != nil {
				return err
			}
			t.out, t.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
			switch output {
			case "", "text", "json":
				t.json = output == "json" || output == "" && !client.Terminal(t.out)
			default:
				return client.Usagef("--output is text or json, not %q", output)
			}
			t.colour = client.Terminal(t.out) && os.Getenv("NO_COLOR") == ""
			if cmd.Flags().Changed("brokers") || !cmd.Flags().Changed("api") && os.Getenv("AFTERCALL_BROKERS") != "" {
				c, err := broker.Config(brokers, "tail")
				if err != nil {
					return err
				}
				return t.read(cmd.Context(), c)
			}
			c, err := connect.Client()
			if err != nil {
				return err
			}
			if t.filter.Subscription != "" {
				if t.filter.Subscription, err = c.SubscriptionID(cmd.Context(), t.filter.Subscription); err != nil {
					return err
				}
			}
			return t.listen(cmd.Context(), c)
		},
	}
	connect.Add(cmd)
	f := cmd.Flags()
	broker.Flag(f, &brokers)
	f.StringVar(&t.filter.Result, "result", "", "delivered, failed or not_sent")
	f.StringVar(&t.filter.State, "state", "", "in which it leaves the delivery: queued, waiting, delivered, given_up or stopped")
	f.StringVar(&t.filter.EventType, "event-type", "", "such as App.QueueWebhook")
	f.StringVar(&t.filter.Event, "event", "", "`id` of an event")
	f.StringVar(&t.filter.Delivery, "delivery", "", "`id` of a delivery")
	f.StringVar(&t.filter.Subscription, "subscription", "", "`name` or id of a subscription")
	f.StringVar(&t.filter.Call, "call", "", "a CallId")
	f.StringVar(&t.filter.Status, "status", "", "an HTTP status or a class of them, such as 5xx")
	f.StringVar(&t.filter.Error, "error", "", "dns, connect, tls, timeout, reset, protocol, status or policy")
	f.StringVar(&t.filter.Cause, "cause", "", "call_ended, test, resend or replay")
	f.StringVarP(&output, "output", "o", "", "text or json (default text on a terminal, json in a pipe)")
	for name, words := range map[string][]string{
		"result": client.Results, "state": client.States, "error": client.Errors, "cause": client.Causes, "output": {"text", "json"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.RegisterFlagCompletionFunc("subscription", connect.CompleteNames)
	return cmd
}

// raw prints an attempt as the API wrote it.
func (t *tailer) raw(data []byte) error {
	var r row
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("reading an attempt: %w", err)
	}
	return t.print(&r, data)
}

// print prints a row; in JSON what it was made of, when that is known.
func (t *tailer) print(r *row, data json.RawMessage) error {
	switch {
	case !t.json:
		_, err := fmt.Fprintln(t.out, r.text(t.colour))
		return err
	case data != nil:
		return client.Line(t.out, data)
	}
	return client.Line(t.out, r)
}

func (t *tailer) say(text string) { _, _ = fmt.Fprintln(t.errs, "aftercall tail: "+client.Plain(text)) }
