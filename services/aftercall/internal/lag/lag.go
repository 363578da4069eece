// Package lag is `aftercall lag`: how far each part of the pipeline is behind, and
// what waits for a next attempt. It needs Kafka alone.
package lag

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Row is what one group has yet to read of a topic.
type Row struct {
	Group string `json:"group"`
	Topic string `json:"topic"`
	// Records that were written and not yet committed. Of a delay topic they are
	// what waits; elsewhere they include what is in hand.
	Records    int64 `json:"records"`
	Partitions int   `json:"partitions"`
	// Members of the group, none when nobody works.
	Members int `json:"members"`
}

// groups in the order of the flow, with the topics that each reads.
var groups = []struct {
	name   string
	topics []string
}{
	{topic.GroupRouter, []string{topic.CDRQueue, topic.CDRIvr, topic.CDRAgent, topic.CDRRecording, topic.CDRTest, topic.CDRSystem}},
	{topic.GroupSender, []string{topic.Deliveries}},
	{topic.GroupMover, topic.DelayTopics()},
	{topic.GroupProjector, []string{topic.Events, topic.Rejected, topic.History}},
}

// Measure asks Kafka. Further topics of CDRs are the router's too; one that is not
// there yet has no partitions.
func Measure(ctx context.Context, c kafka.Config, further ...string) ([]Row, error) {
	if err := kafka.Ping(ctx, c); err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var rows []Row
	for _, g := range groups {
		own := len(g.topics)
		if g.name == topic.GroupRouter {
			further = slices.DeleteFunc(slices.Clone(further), func(name string) bool { return slices.Contains(g.topics, name) })
			g.topics = slices.Concat(g.topics, further)
		}
		starts, err := adm.ListStartOffsets(ctx, g.topics...)
		if err != nil {
			return nil, fmt.Errorf("asking where logs begin: %w", err)
		}
		ends, err := adm.ListCommittedOffsets(ctx, g.topics...)
		if err != nil {
			return nil, fmt.Errorf("asking where logs end: %w", err)
		}
		members, commits := 0, kadm.OffsetResponses{}
		if described, err := adm.DescribeGroups(ctx, g.name); err == nil {
			members = len(described[g.name].Members)
			// A group that has never run has no offsets either.
			commits, _ = adm.FetchOffsets(ctx, g.name)
		}
		for i, name := range g.topics {
			row := Row{Group: g.name, Topic: name, Members: members}
			if _, there := ends[name]; i >= own && (!there || errors.Is(ends[name][-1].Err, kerr.UnknownTopicOrPartition)) {
				rows = append(rows, row)
				continue
			} else if !there {
				return nil, fmt.Errorf("topic %s does not exist: aftercall topics makes it", name)
			}
			for id, end := range ends[name] {
				if end.Err != nil {
					return nil, fmt.Errorf("asking where %s/%d ends: %w; aftercall topics makes topics that are missing", name, id, end.Err)
				}
				start, _ := starts.Lookup(name, id)
				at := start.Offset
				if o, ok := commits.Lookup(name, id); ok && o.Err == nil && o.At > at {
					at = o.At
				}
				row.Partitions++
				row.Records += max(end.Offset-at, 0)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// Command is aftercall lag.
func Command() *cobra.Command {
	var brokers []string
	cmd := &cobra.Command{
		Use:   "lag",
		Short: "Show how far router, senders and projector are behind, and what waits",
		Long: `Shows of each consumer group and topic how many records are not committed yet, and
how many members the group has. Of the delay topics (aftercall-mover) these are the
deliveries that wait for their next attempt. At rest the end of a transaction may stay
in each partition: it counts as a record.

Connects by --brokers, or AFTERCALL_BROKERS, and AFTERCALL_KAFKA_… for TLS and SASL.
Topics of AFTERCALL_SOURCES are looked at as the router reads them.`,
		Example: `  aftercall lag
  aftercall lag --brokers kafka-1:9092 | jq 'select(.records > 1000)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := broker.Config(brokers, "lag")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer cancel()
			further, err := broker.Sources()
			if err != nil {
				return err
			}
			rows, err := Measure(ctx, c, further...)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), rows)
		},
	}
	broker.Flag(cmd.Flags(), &brokers)
	return cmd
}

// write prints a table on a terminal, and JSON lines elsewhere.
func write(out io.Writer, rows []Row) error {
	if !client.Terminal(out) {
		for _, r := range rows {
			if err := client.Line(out, r); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(t, "GROUP\tMEMBERS\tTOPIC\tRECORDS")
	for _, r := range rows {
		members := fmt.Sprint(r.Members)
		if r.Members == 0 {
			members = "none"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", r.Group, members, r.Topic, r.Records)
	}
	return t.Flush()
}
