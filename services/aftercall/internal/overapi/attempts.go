package overapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// attempt is what is shown of an attempt.
type attempt struct {
	ID           string    `json:"attempt_id"`
	StartedAt    time.Time `json:"started_at"`
	Subscription string    `json:"subscription_name"`
	SubID        string    `json:"subscription_id"`
	EventType    string    `json:"event_type"`
	CallID       string    `json:"call_id"`
	DeliveryID   string    `json:"delivery_id"`
	Attempt      int       `json:"attempt"`
	Allowed      int       `json:"attempts_allowed"`
	Result       string    `json:"result"`
	State        string    `json:"state"`
	Status       int       `json:"http_status"`
	Error        string    `json:"error_class"`
	Reason       string    `json:"reason"`
	DurationMS   int64     `json:"duration_ms"`
}

// answer is the HTTP status, or the class of the error.
func (a attempt) answer() string {
	if a.Status > 0 {
		return strconv.Itoa(a.Status)
	}
	if a.Error != "" {
		return a.Error
	}
	return "-"
}

// filters are the API's, in the order of the help.
var filters = []struct {
	flag, query, usage string
	// words are all values that there are.
	words []string
}{
	{"subscription", "subscription", "`id` of a subscription", nil},
	{"event-type", "event_type", "such as App.QueueWebhook", nil},
	{"call", "call", "a CallId, ScenarioId or ParentId", nil},
	{"event", "event", "`id` of an event", nil},
	{"delivery", "delivery", "`id` of a delivery", nil},
	{"result", "result", "delivered, failed or not_sent", client.Results},
	{"state", "state", "of the delivery: queued, waiting, delivered, given_up or stopped", client.States},
	{"status", "status", "an HTTP status or a class of them, such as 5xx", nil},
	{"error", "error", "dns, connect, tls, timeout, reset, protocol, status or policy", client.Errors},
	{"cause", "cause", "call_ended, test, resend or replay", client.Causes},
	{"from", "from", "how long ago, such as -2h, or a time of RFC 3339", nil},
	{"to", "to", "the end, in the same words", nil},
}

// AttemptsCommand is `aftercall attempts`.
func AttemptsCommand() *cobra.Command {
	var (
		connect client.Flags
		limit   int
	)
	values := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "attempts",
		Short: "List attempts, newest first, over the API",
		Long: `Lists what was sent and how it ended, newest first: a table on a terminal, one JSON
object a line in a pipe. The token needs the scope read.`,
		Example: `  aftercall attempts --result failed --from -2h
  aftercall attempts --call 7a1c2a60 --limit 0 | jq .attempt_id`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for _, f := range filters {
				v := *values[f.flag]
				if v == "" {
					continue
				}
				var err error
				switch {
				case f.words != nil:
					err = client.OneOf(f.flag, v, f.words)
				case f.flag == "status":
					err = client.Status(f.flag, v)
				case f.flag == "from" || f.flag == "to":
					if v, err = moment(v, time.Now()); err != nil {
						err = client.Usagef("--%s: %w", f.flag, err)
					}
				}
				if err != nil {
					return err
				}
				q.Set(f.query, v)
			}
			if limit < 0 {
				return client.Usagef("--limit: %d is less than none; 0 is all", limit)
			}
			c, err := connect.Client()
			if err != nil {
				return err
			}
			if size := limit; size == 0 || size > 200 {
				q.Set("limit", "200")
			} else {
				q.Set("limit", strconv.Itoa(size))
			}
			out := cmd.OutOrStdout()
			if !client.Terminal(out) {
				return client.Each(cmd.Context(), c, "/attempts", q, limit, func(a json.RawMessage) error { return client.Line(out, a) })
			}
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "STARTED\tSUBSCRIPTION\tEVENT\tCALL\tTRY\tANSWER\tTOOK\tRESULT\tID")
			err = client.Each(cmd.Context(), c, "/attempts", q, limit, func(a attempt) error { return a.row(w) })
			if flushed := w.Flush(); err == nil {
				err = flushed
			}
			return err
		},
	}
	connect.Add(cmd)
	for _, f := range filters {
		values[f.flag] = cmd.Flags().String(f.flag, "", f.usage)
		if f.words != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.flag, cobra.FixedCompletions(f.words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	_ = cmd.RegisterFlagCompletionFunc("subscription", connect.CompleteIDs)
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most; 0 for all")
	return cmd
}

func (a attempt) row(w *tabwriter.Writer) error {
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d/%d\t%s\t%d ms\t%s\t%s\n", a.StartedAt.Local().Format(time.DateTime), client.Plain(a.Subscription),
		strings.TrimPrefix(client.Plain(a.EventType), "App."), client.Plain(a.CallID), a.Attempt, a.Allowed, a.answer(), a.DurationMS, a.Result, a.ID)
	return err
}

// moment makes RFC 3339 of now, of how long ago, or of itself.
func moment(s string, now time.Time) (string, error) {
	if s == "now" {
		return now.UTC().Format(time.RFC3339Nano), nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d.Abs()).UTC().Format(time.RFC3339Nano), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return "", fmt.Errorf("%q is no time: want now, how long ago, such as -2h, or 2026-01-31T08:00:00Z", s)
	}
	return t.UTC().Format(time.RFC3339Nano), nil
}
