package overapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

const pollEvery = 250 * time.Millisecond

// TestCommand is `aftercall test`.
func TestCommand() *cobra.Command {
	var (
		connect      client.Flags
		subscription string
		wait         time.Duration
	)
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Send a test webhook and wait for the answers",
		Long: `Sends the event App.TestWebhook to every active subscription that has it, or to the one
that --subscription names, whatever its events are, and waits for the first attempt of each.

Exit status: 0 when all were delivered, 1 when one failed, did not come in time, or
when there is no subscription to send to. The token needs the scope write.`,
		Example: `  aftercall test
  aftercall test --subscription sub_0199 --wait 1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wait <= 0 {
				return client.Usagef("--wait %s: it is how long to wait, such as 30s", wait)
			}
			c, err := connect.Client()
			if err != nil {
				return err
			}
			path := "/test-webhook"
			if subscription != "" {
				path = "/subscriptions/" + url.PathEscape(subscription) + "/test"
			}
			var sent struct {
				EventID       string   `json:"event_id"`
				Subscriptions []string `json:"subscription_ids"`
			}
			if err := c.Do(cmd.Context(), "POST", path, nil, &sent); err != nil {
				return fmt.Errorf("sending the test webhook: %w", err)
			}
			if len(sent.Subscriptions) == 0 && subscription != "" {
				return fmt.Errorf("subscription %s is not active: switch it on first", subscription)
			}
			if len(sent.Subscriptions) == 0 {
				return fmt.Errorf("no active subscription has the event App.TestWebhook: add it to one, or name one with --subscription")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return await(ctx, c, cmd.OutOrStdout(), sent.EventID, sent.Subscriptions)
		},
	}
	connect.Add(cmd)
	cmd.Flags().StringVar(&subscription, "subscription", "", "`id` of the one subscription to test")
	_ = cmd.RegisterFlagCompletionFunc("subscription", connect.CompleteIDs)
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the answers")
	return cmd
}

// await prints the first attempt of each subscription as it comes.
func await(ctx context.Context, c *client.Client, out io.Writer, event string, missing []string) error {
	failed := 0
	missing = slices.Clone(missing)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := client.Each(ctx, c, "/attempts", url.Values{"event": {event}}, 0, func(raw json.RawMessage) error {
			var a attempt
			if err := json.Unmarshal(raw, &a); err != nil {
				return fmt.Errorf("reading an attempt: %w", err)
			}
			i := slices.Index(missing, a.SubID)
			if i < 0 {
				return nil
			}
			missing = slices.Delete(missing, i, i+1)
			if a.Result != "delivered" {
				failed++
			}
			return tell(out, raw, func(out io.Writer) error {
				_, err := fmt.Fprintf(out, "%-10s %-7s %5d ms  %s  %s\n", a.Result, a.answer(), a.DurationMS, client.Plain(a.Subscription), client.Plain(a.Reason))
				return err
			})
		})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("asking for the attempts: %w", err)
		}
		if len(missing) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no attempt yet for %s: is the subscription paused, or Aftercall behind (aftercall lag)? See aftercall attempts --event %s", strings.Join(missing, ", "), event)
		case <-tick.C:
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the tests failed; see aftercall attempts --event %s", failed, event)
	}
	return nil
}
