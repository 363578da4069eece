package replay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

type flags struct {
	brokers               []string
	api                   client.Flags
	topic                 string
	from, to, mode, rate  string
	subscriptions, states []string
	why, file             string
	execute               bool
}

// Command is `aftercall replay`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Send events of the past once more: plan, run, resume, cancel",
		Long: `Sends events of the past to their webhooks once more. What was delivered, and what
still waits for an attempt, is left out. Live calls go first.

Without --topic the API does it (recover: deliveries that ended without success;
backfill: events matched again with the webhooks as they are now). With --topic
Kafka alone is needed, neither database nor API.

Times are now, a duration ago (-2h), RFC 3339, a day, Unix milliseconds, or both
ends as --from @t1:t2.`,
		Example: `  # What would be sent, from the store
  aftercall replay plan --from -2h --state given_up

  # The same, sent at 50 a second
  aftercall replay run --from -2h --state given_up --rate 50/s --execute

  # From the topics alone
  aftercall replay run --topic aftercall.deliveries --from -2h --to now --rate 200/s --execute

  # Interrupted? Go on where it was
  aftercall replay resume aftercall-replay-rpl_0199.json`,
	}
	cmd.AddCommand(planCommand(), runCommand(), resumeCommand(), cancelCommand(), listCommand())
	return cmd
}

func (f *flags) connect(cmd *cobra.Command) {
	broker.Flag(cmd.Flags(), &f.brokers)
	f.api.Add(cmd)
}

func (f *flags) choose(cmd *cobra.Command) {
	f.connect(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.topic, "topic", "", "read deliveries from this `topic` (aftercall.deliveries or aftercall.deliveries.given-up) instead of asking the API")
	fs.StringVar(&f.from, "from", "", "start of the span (required)")
	fs.StringVar(&f.to, "to", "now", "end of the span")
	fs.StringSliceVar(&f.subscriptions, "subscription", nil, "`id` of a webhook; several with commas; all when left out")
	fs.StringSliceVar(&f.states, "state", nil, "given_up, stopped; with --topic also unknown (no history)")
	fs.StringVar(&f.mode, "mode", "recover", "recover or backfill, over the API")
	fs.StringVar(&f.why, "why", "", "kept with the replay, over the API")
	_ = cmd.MarkFlagRequired("from")
}

func (f *flags) job() (*job, error) {
	from, to, err := Span(f.from, f.to, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	asked := f.topic
	switch {
	case asked == "given-up":
		f.topic = topic.GivenUp
	case !strings.HasPrefix(asked, "aftercall."):
		f.topic = "aftercall." + asked
	}
	if f.topic != topic.Deliveries && f.topic != topic.GivenUp {
		return nil, client.Usagef("--topic: no deliveries stand in %q: write deliveries or given-up", asked)
	}
	if err := f.chosen(givenUp, stopped, unknown); err != nil {
		return nil, err
	}
	id := uuid.Must(uuid.NewV7())
	return &job{ID: "rpl_" + hex.EncodeToString(id[:]), Brokers: f.brokers, Topic: f.topic, From: from, To: to, Subscriptions: f.subscriptions, States: f.states}, nil
}

// chosen refuses states that are none of words.
func (f *flags) chosen(words ...string) error {
	for _, s := range f.states {
		if err := client.OneOf("state", s, words); err != nil {
			return err
		}
	}
	return nil
}

// overAPI refuses what the API would.
func (f *flags) overAPI() error {
	if f.from != "" {
		if _, _, err := Span(f.from, f.to, time.Now().UTC()); err != nil {
			return err
		}
	}
	if err := client.OneOf("mode", f.mode, []string{"recover", "backfill"}); err != nil {
		return err
	}
	return f.chosen(givenUp, stopped)
}

// ready answers a job's offsets and counts.
func (j *job) ready(ctx context.Context) (map[int32][]int64, counts, error) {
	c, err := broker.Config(j.Brokers, "replay")
	if err != nil {
		return nil, nil, err
	}
	if err := kafka.Ping(ctx, c); err != nil {
		return nil, nil, err
	}
	if j.Start == nil {
		client, err := newClient(c)
		if err != nil {
			return nil, nil, err
		}
		defer client.Close()
		if err := j.place(ctx, client); err != nil {
			return nil, nil, err
		}
	}
	return j.chosen(ctx, c)
}

func (f *flags) planned(ctx context.Context, a *client.Client) (*row, error) {
	from, to, err := Span(f.from, f.to, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	ask := map[string]any{"mode": f.mode, "from": from, "to": to, "why": f.why}
	if len(f.subscriptions) > 0 {
		ask["subscriptions"] = f.subscriptions
	}
	if len(f.states) > 0 {
		ask["states"] = f.states
	}
	r := &row{}
	return r, a.Do(ctx, "POST", "/replays", ask, r)
}

func (r *row) print(out io.Writer) error {
	return tell(out, r, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s  %s  %s  %d of %d (%d sent, %d skipped)  %s to %s  %s %s\n", r.ID, r.Mode, r.State, r.Sent+r.Skipped, r.Total, r.Sent, r.Skipped,
			r.From.Format(time.RFC3339), r.To.Format(time.RFC3339), r.CreatedBy, r.Why)
		for _, p := range r.Plan {
			if r.State == "planned" {
				_ = printPlans(w, []plan{{p.SubscriptionID, p.Send, p.Skip}})
			}
		}
	})
}

func planCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{Use: "plan", Short: "Count what would be sent; nothing is sent", Args: cobra.NoArgs,
		Example: `  aftercall replay plan --from -2h --state given_up
  aftercall replay plan --topic aftercall.deliveries --from @-2h:-1h | jq .send`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.topic != "" {
				j, err := f.job()
				if err != nil {
					return err
				}
				_, n, err := j.ready(cmd.Context())
				if err != nil {
					return err
				}
				return printPlans(cmd.OutOrStdout(), n.plans())
			}
			if err := f.overAPI(); err != nil {
				return err
			}
			a, err := f.connected()
			if err != nil {
				return err
			}
			r, err := f.planned(cmd.Context(), a)
			if err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout())
		}}
	f.choose(cmd)
	return cmd
}

func runCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{Use: "run [REPLAY]", Short: "Plan, and with --execute send; or run a planned replay by its id", Args: cobra.MaximumNArgs(1),
		Example: `  aftercall replay run --topic aftercall.deliveries --from -2h --rate 200/s --execute
  aftercall replay run rpl_0199a000 --rate 50/s --execute`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rate, err := perSecond(f.rate)
			if err != nil {
				return err
			}
			if len(args) == 0 && f.from == "" {
				return client.Usagef("say from when on (--from -2h), or which planned replay to run")
			}
			if f.topic != "" {
				return f.runTopic(cmd, rate)
			}
			if err := withinAPI(rate); err != nil {
				return err
			}
			if err := f.overAPI(); err != nil {
				return err
			}
			if len(args) == 1 && !f.execute {
				return client.Usagef("nothing is sent without --execute")
			}
			a, err := f.connected()
			if err != nil {
				return err
			}
			var id string
			if len(args) == 1 {
				id = args[0]
			} else {
				r, err := f.planned(cmd.Context(), a)
				if err != nil {
					return err
				}
				if !f.execute {
					_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Nothing is sent without --execute.")
					return r.print(cmd.OutOrStdout())
				}
				id = r.ID
			}
			return follow(cmd, a, id, rate)
		}}
	f.choose(cmd)
	cmd.Flags().Lookup("from").Annotations = nil // a planned one has its span
	cmd.Flags().StringVar(&f.rate, "rate", "50/s", "deliveries a second")
	cmd.Flags().BoolVar(&f.execute, "execute", false, "send; without it the plan is printed")
	cmd.Flags().StringVar(&f.file, "state-file", "", "`file` that keeps the place, with --topic (default aftercall-replay-ID.json)")
	return cmd
}

func (f *flags) runTopic(cmd *cobra.Command, rate int) error {
	j, err := f.job()
	if err != nil {
		return err
	}
	j.Rate = rate
	offsets, n, err := j.ready(cmd.Context())
	if err != nil {
		return err
	}
	if err := printPlans(cmd.OutOrStdout(), n.plans()); err != nil {
		return err
	}
	if !f.execute {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Nothing is sent without --execute.")
		return nil
	}
	if f.file == "" {
		f.file = "aftercall-replay-" + j.ID + ".json"
	}
	if err := j.save(f.file); err != nil {
		return err
	}
	return j.carry(cmd, offsets, f.file)
}

func (j *job) carry(cmd *cobra.Command, offsets map[int32][]int64, file string) error {
	left := int64(0)
	for p, all := range offsets {
		for _, o := range all {
			if o >= j.Next[p] {
				left++
			}
		}
	}
	b := bar(cmd.ErrOrStderr(), j.Sent+left, j.Sent)
	c, err := broker.Config(j.Brokers, "replay")
	if err != nil {
		return err
	}
	err = j.send(cmd.Context(), c, offsets, func() error { return j.save(file) }, func(n int) { _ = b.Add(n) })
	_ = b.Exit()
	if err != nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "\nInterrupted after %d. Go on with: aftercall replay resume %s\n", j.Sent, file)
		if cmd.Context().Err() != nil {
			// Asked to end, but a script must not take it for done. Why was said.
			return &client.ExitError{Code: client.ExitPartly}
		}
		return err
	}
	return tell(cmd.OutOrStdout(), map[string]any{"replay": j.ID, "sent": j.Sent, "done": true}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Sent %d. %s can be deleted.\n", j.Sent, file)
	})
}

func resumeCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{Use: "resume FILE|REPLAY", Short: "Go on with an interrupted or cancelled replay", Args: cobra.ExactArgs(1),
		Example: `  aftercall replay resume aftercall-replay-rpl_0199.json
  aftercall replay resume rpl_0199a000 --rate 20/s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rate, err := perSecond(f.rate)
			if err != nil {
				return err
			}
			if _, err := os.Stat(args[0]); err != nil && strings.HasPrefix(args[0], "rpl_") {
				if err := withinAPI(rate); err != nil {
					return err
				}
				a, err := f.connected()
				if err != nil {
					return err
				}
				if !cmd.Flags().Changed("rate") {
					before := &row{}
					if err := a.Do(cmd.Context(), "GET", "/replays/"+args[0], nil, before); err != nil {
						return err
					}
					if before.Rate > 0 {
						rate = before.Rate
					}
				}
				return follow(cmd, a, args[0], rate)
			}
			j, err := load(args[0])
			if err != nil {
				return err
			}
			if j.Done {
				return fmt.Errorf("this replay is done: %d were sent", j.Sent)
			}
			if cmd.Flags().Changed("rate") {
				j.Rate = rate
			}
			if cmd.Flags().Changed("brokers") {
				j.Brokers = f.brokers
			}
			offsets, _, err := j.ready(cmd.Context())
			if err != nil {
				return err
			}
			return j.carry(cmd, offsets, args[0])
		}}
	f.connect(cmd)
	cmd.Flags().StringVar(&f.rate, "rate", "50/s", "deliveries a second; left out, as before")
	return cmd
}

// follow runs a replay over the API and shows how it comes along. Interrupted, the
// replay goes on in admin.
func follow(cmd *cobra.Command, a *client.Client, id string, rate int) error {
	ctx := cmd.Context()
	r := &row{}
	if err := a.Do(ctx, "POST", "/replays/"+id+"/run", map[string]int{"rate": rate}, r); err != nil {
		return err
	}
	before := r.Sent + r.Skipped
	b := bar(cmd.ErrOrStderr(), r.Total, before)
	for r.State == "running" {
		select {
		case <-ctx.Done():
			_ = b.Exit()
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "\nIt goes on without this command. End it with: aftercall replay cancel %s\n", id)
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		next := &row{}
		if err := a.Do(ctx, "GET", "/replays/"+id, nil, next); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return err
		}
		r = next
		_ = b.Set64(r.Sent + r.Skipped - before) // a display
	}
	_ = b.Exit()
	if err := r.print(cmd.OutOrStdout()); err != nil {
		return err
	}
	if r.State == "failed" {
		return errors.New(r.Fault)
	}
	return nil
}

func cancelCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{Use: "cancel REPLAY", Short: "Cancel a replay that admin runs", Args: cobra.ExactArgs(1), Example: "  aftercall replay cancel rpl_0199a000",
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := f.connected()
			if err != nil {
				return err
			}
			r := &row{}
			if err := a.Do(cmd.Context(), "POST", "/replays/"+args[0]+"/cancel", nil, r); err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout())
		}}
	f.connect(cmd)
	return cmd
}

func listCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{Use: "list", Short: "Replays that admin knows, newest first", Args: cobra.NoArgs, Example: "  aftercall replay list | jq 'select(.state==\"running\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := f.connected()
			if err != nil {
				return err
			}
			var page struct{ Items []*row }
			if err := a.Do(cmd.Context(), "GET", "/replays", nil, &page); err != nil {
				return err
			}
			for _, r := range page.Items {
				if err := r.print(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		}}
	f.connect(cmd)
	return cmd
}
