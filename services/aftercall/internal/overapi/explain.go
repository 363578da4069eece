package overapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

type (
	position struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
	}
	decision struct {
		SubID      string `json:"subscription_id"`
		Name       string `json:"subscription_name"`
		Outcome    string `json:"outcome"`
		DeliveryID string `json:"delivery_id"`
		Detail     string `json:"detail"`
	}
	callEvent struct {
		ID         string     `json:"event_id"`
		Type       string     `json:"event_type"`
		CallID     string     `json:"call_id"`
		Cause      string     `json:"cause"`
		OUPath     string     `json:"ou_path"`
		OccurredAt time.Time  `json:"occurred_at"`
		RoutedAt   time.Time  `json:"routed_at"`
		Position   position   `json:"position"`
		Depth      int        `json:"depth"`
		Duplicate  bool       `json:"duplicate"`
		Decisions  []decision `json:"decisions"`
	}
	delivery struct {
		ID      string     `json:"delivery_id"`
		EventID string     `json:"event_id"`
		SubID   string     `json:"subscription_id"`
		Name    string     `json:"subscription_name"`
		State   string     `json:"state"`
		Cause   string     `json:"cause"`
		Attempt int        `json:"attempt"`
		Allowed int        `json:"attempts_allowed"`
		Next    *time.Time `json:"next_attempt_at,omitempty"`
		Reason  string     `json:"reason"`
		// Deferrals are how often it was put off since its last attempt, or before
		// it where nothing came since: as far as the history says, which names the
		// first of several for one reason.
		Deferrals int        `json:"deferrals"`
		LastAt    *time.Time `json:"last_attempt_at,omitempty"`
		UpdatedAt time.Time  `json:"updated_at"`
		// counted says that Deferrals are all that there were.
		counted bool
	}
	hook struct {
		ID     string   `json:"id"`
		Name   string   `json:"name"`
		Active bool     `json:"active"`
		Events []string `json:"events"`
		Scope  string   `json:"ou_scope"`
	}
	call struct {
		Events     []callEvent `json:"events"`
		Deliveries []delivery  `json:"deliveries"`
		Attempts   []attempt   `json:"attempts"`
		Truncated  bool        `json:"truncated"`
	}
)

// ExplainCommand is `aftercall explain`.
func ExplainCommand() *cobra.Command {
	var (
		connect   client.Flags
		brokers   []string
		kafkaOnly bool
		since     time.Duration
	)
	cmd := &cobra.Command{
		Use:   "explain CALL_ID",
		Short: "Tell a call's whole path: records, events, webhooks and why not, attempts",
		Long: `Tells what became of a call, by its CallId, ScenarioId or ParentId: each record with
its place in Kafka, the event it became, every subscription with the state of its
delivery or the reason why there is none, and every attempt. In a pipe, the same as
one JSON object, as the API answers it. The token needs the scope read.

With --kafka the answer comes from Kafka alone; also when the API cannot be reached
and --brokers or AFTERCALL_BROKERS says where Kafka is (AFTERCALL_KAFKA_… for TLS and
SASL). What was written within --since is read, which takes a while where there is
much: events and deliveries whole, the history and the topics of what waits or was
given up by key.`,
		Example: `  aftercall explain 7a1c2a60
  aftercall explain 7a1c2a60 | jq '.events[].decisions'
  aftercall explain 7a1c2a60 --kafka --brokers kafka-1:9092 --since 2h`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if since <= 0 {
				return client.Usagef("--since %s: it is how long ago, such as 24h", since)
			}
			out := cmd.OutOrStdout()
			if !kafkaOnly {
				err := explainFromAPI(cmd.Context(), out, &connect, args[0])
				known := cmd.Flags().Changed("brokers") || os.Getenv("AFTERCALL_BROKERS") != ""
				if err == nil || !known || cmd.Context().Err() != nil || !errors.Is(err, errUnreached) {
					return err
				}
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "aftercall explain: %v. Asking Kafka alone\n", err)
			}
			c, err := broker.Config(brokers, "explain")
			if err != nil {
				return err
			}
			all, hooks, err := fromKafka(cmd.Context(), c, args[0], time.Now().Add(-since), progressOn(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if len(all.Events) == 0 {
				return fmt.Errorf("nothing of the call %q was written to Kafka within %s: has it ended, and was it produced (aftercall cat rejected)? Look further back with --since", args[0], since)
			}
			if !client.Terminal(out) {
				return client.Line(out, all)
			}
			return all.explain(out, hooks)
		},
	}
	connect.Add(cmd)
	broker.Flag(cmd.Flags(), &brokers)
	cmd.Flags().BoolVar(&kafkaOnly, "kafka", false, "read Kafka alone, and do not ask the API")
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back Kafka is read")
	return cmd
}

// errUnreached says that the API gave no answer about the call.
var errUnreached = errors.New("the API did not answer")

func explainFromAPI(ctx context.Context, out io.Writer, connect *client.Flags, id string) error {
	c, err := connect.Client()
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreached, err)
	}
	var raw json.RawMessage
	if err := c.Do(ctx, "GET", "/calls/"+url.PathEscape(id), nil, &raw); err != nil {
		var refused *client.RefusedError
		if errors.As(err, &refused) && refused.Status < 500 {
			return fmt.Errorf("asking for the call: %w", err)
		}
		return fmt.Errorf("%w: asking for the call: %w", errUnreached, err)
	}
	var all call
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("reading the call: %w", err)
	}
	if len(all.Events) == 0 && len(all.Deliveries) == 0 {
		return fmt.Errorf("nothing is known of the call %q: has it ended, and was it produced (aftercall cat rejected)? The history may also be behind (aftercall lag)", id)
	}
	if !client.Terminal(out) {
		return client.Line(out, raw)
	}
	var hooks []hook
	if err := client.Each(ctx, c, "/subscriptions", nil, 0, func(h hook) error { hooks = append(hooks, h); return nil }); err != nil {
		return fmt.Errorf("asking for the subscriptions: %w", err)
	}
	return all.explain(out, hooks)
}

// page collects lines; the first error of writing stays.
type page struct {
	out io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = client.Plain(s)
		}
	}
	_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
}

func (c call) explain(out io.Writer, hooks []hook) error {
	p := &page{out: out}
	for _, e := range c.Events {
		p.line("%s  call %s", e.Type, e.CallID)
		p.line("  record %s/%d@%d, ended %s", e.Position.Topic, e.Position.Partition, e.Position.Offset, e.OccurredAt.Local().Format(time.DateTime))
		if e.Duplicate {
			p.line("  came before: a repeat is sent to nobody")
			continue
		}
		p.line("  event %s, routed %s", e.ID, e.RoutedAt.Local().Format(time.DateTime))
		shown := map[string]bool{}
		for _, d := range e.Decisions {
			shown[d.SubID] = true
			if d.Outcome != "matched" {
				p.line("  - %s: not sent: %s %s", d.Name, why(d.Outcome), d.Detail)
			}
		}
		for _, d := range c.Deliveries {
			if d.EventID == e.ID {
				shown[d.SubID] = true
				c.tellDelivery(p, d)
			}
		}
		for _, d := range e.Decisions {
			if d.Outcome == "matched" && !slices.ContainsFunc(c.Deliveries, func(x delivery) bool { return x.ID == d.DeliveryID }) {
				p.line("  - %s: delivery %s, not in the history yet", d.Name, d.DeliveryID)
			}
		}
		for _, h := range hooks {
			if !shown[h.ID] {
				p.line("  - %s: not sent: %s", h.Name, h.whyNot(e))
			}
		}
	}
	if c.Truncated {
		p.line("There is more than fits here: see aftercall attempts --call.")
	}
	return p.err
}

func (c call) tellDelivery(p *page, d delivery) {
	tries := fmt.Sprintf("after %d of %d attempts", d.Attempt, d.Allowed)
	if d.Allowed == 0 {
		tries = "with no attempt on record" // the first one says how many there may be
	}
	text := ""
	switch {
	case d.Next == nil:
	case d.Next.After(time.Now()):
		text += ", next try " + d.Next.Local().Format(time.DateTime)
	default:
		// Of several times that it is put off for one reason, the history names the first.
		text += ", due since " + d.Next.Local().Format(time.DateTime) + " (about to be sent, or put off again)"
	}
	if d.Reason != "" {
		text += ", " + d.Reason
	}
	text += d.putOff()
	p.line("  - %s: %s %s%s (%s, %s)", d.Name, d.State, tries, text, d.ID, d.Cause)
	for _, a := range c.Attempts {
		if a.DeliveryID == d.ID {
			p.line("      %s  try %d  %s  %s  %d ms  %s", a.StartedAt.Local().Format(time.DateTime), a.Attempt, a.Result, a.answer(), a.DurationMS, a.ID)
		}
	}
}

// putOff says how often and since when the delivery was put off without a try.
func (d delivery) putOff() string {
	times := "once"
	if d.Deferrals > 1 {
		times = fmt.Sprintf("%d times", d.Deferrals)
	}
	switch {
	case d.Deferrals == 0 || d.UpdatedAt.IsZero():
		return ""
	case d.LastAt != nil && !d.UpdatedAt.After(*d.LastAt):
		return ", put off " + times + " before that try"
	case d.counted:
		return ", put off " + times + " since " + d.UpdatedAt.Local().Format(time.DateTime)
	}
	return ", put off since " + d.UpdatedAt.Local().Format(time.DateTime) + " (the history names the first time alone)"
}

// why says what the router's decision means.
func why(outcome string) string {
	switch outcome {
	case "inactive":
		return "the webhook was not active"
	case "filter_false":
		return "its filter says no"
	case "filter_error":
		return "its filter fails on this record:"
	}
	return outcome
}

// whyNot says why the router did not even decide about a webhook, as far as can
// be told from the webhook as it is now.
func (h hook) whyNot(e callEvent) string {
	switch {
	case !slices.Contains(h.Events, e.Type):
		return "it does not have the event " + e.Type
	case h.Scope != "":
		return fmt.Sprintf("%q is not within its organization unit %q", e.OUPath, h.Scope)
	case e.Cause != "" && e.Cause != "call_ended":
		return "the event was meant for others"
	}
	return "it was not there, or otherwise, when the event was routed"
}
