package trigger

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/cdrclient"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is `aftercall trigger`.
func Command() *cobra.Command {
	var (
		brokers, sets, unsets    []string
		file, id, source, tenant string
		logged                   string
		asTest, printOnly        bool
	)
	cmd := &cobra.Command{
		Use:   "trigger EVENT_TYPE",
		Short: "Produce one CDR from the sample of an event type, with edits",
		Long: `Produces one CDR: the sample of an event type (or a file of yours), with edits.
It gets a CallId and a ScenarioId of its own and ends now, unless --set says
otherwise or it comes from a file; so each call is a new event.

EVENT_TYPE is App.QueueWebhook, App.IvrWebhook, App.AgentWebhook,
App.RecordingWebhook or App.TestWebhook, or short: queue, ivr, agent, recording,
test. The CDR itself is printed to standard output once it is acknowledged.

Connects by --brokers, or AFTERCALL_BROKERS, and AFTERCALL_KAFKA_… for TLS and SASL.

The command ends with status 0 when the CDR is acknowledged, with 1 when the router
would reject it (it is not sent then) or the broker does not take it.`,
		Example: `  # A queue call from another number
  aftercall trigger App.QueueWebhook --set CallerNumber=+15550123

  # The agent record of a call whose queue record was sent before
  aftercall trigger agent --set ScenarioId=7a1c2a60 --set ParentId=8f3c --set WrapupTime=30

  # See what would be sent
  aftercall trigger ivr --unset DataValue01 --print

  # To the test topic: its webhooks are marked as tests
  aftercall trigger queue --test

  # A CDR of yours, as it is
  aftercall trigger queue --file cdr.json`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: cdrschema.Types(),
		RunE: func(cmd *cobra.Command, args []string) error {
			eventType, err := Type(args[0])
			if err != nil {
				return client.Usage(err)
			}
			value, err := build(eventType, file, cmd.InOrStdin(), sets, unsets)
			if err != nil {
				return err
			}
			if printOnly {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", value)
				return err
			}
			log, err := broker.OpenLog(logged)
			if err != nil {
				return err
			}
			err = send(cmd.Context(), brokers, log.Note(), cdrclient.Message{
				CDR: cdrclient.Raw{Type: eventType, JSON: value}, ID: id, Source: source, Tenant: tenant, Test: asTest,
			})
			if closing := log.Close(); err == nil {
				err = closing
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", value)
			return err
		},
	}
	flags := cmd.Flags()
	broker.Flag(flags, &brokers)
	flags.StringArrayVar(&sets, "set", nil, "set a property, `NAME=VALUE`; may be repeated")
	flags.StringArrayVar(&unsets, "unset", nil, "take the property `NAME` out; may be repeated")
	flags.StringVar(&file, "file", "", "take the CDR from this `file` (- is standard input) instead of the sample")
	flags.StringVar(&id, "id", "", "ce_id of the record")
	broker.LogFlag(flags, &logged)
	flags.StringVar(&source, "source", "aftercall/trigger", "ce_source of the record")
	flags.StringVar(&tenant, "tenant", "", "tenant of the record")
	flags.BoolVar(&asTest, "test", false, "produce it to the test topic: its webhooks are marked as tests")
	flags.BoolVar(&printOnly, "print", false, "print the CDR and send nothing")
	return cmd
}

func build(eventType, file string, stdin io.Reader, sets, unsets []string) ([]byte, error) {
	var (
		text []byte
		err  error
	)
	switch {
	case file == "-":
		text, err = io.ReadAll(io.LimitReader(stdin, cdr.DefaultMaxBytes+1))
	case file != "":
		text, err = os.ReadFile(file)
	default:
		text, _ = cdrschema.Sample(eventType)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the CDR: %w", err)
	}
	if file != "" && len(sets)+len(unsets) == 0 {
		return text, nil // byte for byte
	}
	doc, err := Read(eventType, text)
	if err != nil {
		return nil, err
	}
	if file == "" {
		if err := doc.Renew(time.Now(), rand.Reader); err != nil {
			return nil, err
		}
	}
	for _, edit := range sets {
		if err := doc.Set(edit); err != nil {
			return nil, client.Usagef("--set: %w", err)
		}
	}
	for _, name := range unsets {
		if err := doc.Unset(name); err != nil {
			return nil, client.Usagef("--unset: %w", err)
		}
	}
	return doc.JSON(), nil
}

func send(ctx context.Context, brokers []string, acknowledged func(cdrclient.Acknowledgement), m cdrclient.Message) error {
	config, err := broker.Producer(ctx, brokers, "trigger")
	if err != nil {
		return err
	}
	config.Attempts, config.Acknowledged = 3, acknowledged
	producer, err := cdrclient.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err = producer.Send(ctx, m)
	if closing := producer.Close(); err == nil {
		err = closing
	}
	return err
}
