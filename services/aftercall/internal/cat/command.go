package cat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is `aftercall cat`.
func Command() *cobra.Command {
	var (
		brokers  []string
		from, to string
		callID   string
		follow   bool
	)
	cmd := &cobra.Command{
		Use:   "cat TOPIC",
		Short: "Print records of a topic as JSON lines, personal data and secrets masked",
		Long: `Prints the committed records of a topic, one JSON object a line. Internal records
are decoded; of CDRs, the properties that can hold data about a person are masked,
and so are secrets, bodies of answers and queries of URLs.

TOPIC is a topic's name; "aftercall." may be left out. Records of different
partitions come in any order. Nothing is committed: cat disturbs nobody.`,
		Example: `  # What happened in the last two hours
  aftercall cat aftercall.history --from -2h

  # All that the router decided about one call, by its CallId, ScenarioId or ParentId
  aftercall cat events --call 7a1c2a60

  # What cannot be a CDR, as it comes
  aftercall cat rejected --from now --follow`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: names(),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := reader{topic: args[0], callID: callID, follow: follow, out: cmd.OutOrStdout()}
			if !strings.HasPrefix(r.topic, "aftercall.") && known("aftercall."+r.topic) {
				r.topic = "aftercall." + r.topic
			}
			now := time.Now()
			var err error
			if r.from, err = parsePosition(from, now); err != nil {
				return client.Usagef("--from: %w", err)
			}
			if r.to, err = parsePosition(to, now); err != nil {
				return client.Usagef("--to: %w", err)
			}
			if follow && cmd.Flags().Changed("to") {
				return client.Usagef("--follow has no end: leave --to out")
			}
			c, err := broker.Config(brokers, "cat")
			if err != nil {
				return err
			}
			return r.run(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	broker.Flag(flags, &brokers)
	flags.StringVar(&from, "from", "start", "where to begin: start, now, an offset, a time, or how long ago, such as -2h")
	flags.StringVar(&to, "to", "now", "where to end, in the same words")
	flags.StringVar(&callID, "call", "", "only records of the call with this CallId, ScenarioId or ParentId")
	flags.BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted")
	return cmd
}

func names() []string {
	var all []string
	for _, s := range topic.All() {
		all = append(all, s.Name)
	}
	return all
}

func known(name string) bool {
	for _, n := range names() {
		if n == name {
			return true
		}
	}
	return false
}

// reader prints a part of a topic.
type reader struct {
	topic    string
	from, to position
	callID   string
	follow   bool
	out      io.Writer
}

func (r *reader) run(ctx context.Context, c kafka.Config) error {
	if err := kafka.Ping(ctx, c); err != nil {
		return err
	}
	client, err := kgo.NewClient(append(c.Opts(), kgo.KeepControlRecords(), kgo.MaxDecompressBatchBytes(256<<20))...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	first, err := r.from.offsets(ctx, adm, r.topic)
	if err != nil {
		return err
	}
	end, err := r.to.offsets(ctx, adm, r.topic)
	if err != nil {
		return err
	}
	start := map[int32]kgo.Offset{}
	for p, o := range first {
		if r.follow || o < end[p] {
			start[p] = kgo.NewOffset().At(o)
		}
	}
	if len(start) == 0 {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: start})
	encoder := json.NewEncoder(r.out)
	encoder.SetEscapeHTML(false)
	for len(start) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		var failed error
		fetches.EachRecord(func(rec *kgo.Record) {
			if _, reading := start[rec.Partition]; !reading || failed != nil {
				return
			}
			inside := r.follow || rec.Offset < end[rec.Partition]
			if inside && !rec.Attrs.IsControl() && (r.callID == "" || ofCall(rec, r.callID)) {
				failed = encoder.Encode(lineOf(rec))
			}
			if !r.follow && rec.Offset >= end[rec.Partition]-1 {
				delete(start, rec.Partition)
			}
		})
		if failed != nil {
			return fmt.Errorf("printing: %w", failed)
		}
	}
	return nil
}
