package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// plan notes from where to where each delay partition is to be read: from what
// the movers have not moved yet, and was not sent again before. The longest tiers
// come first: what waits in the short ones is moved before its turn comes.
func (r *Runner) plan(ctx context.Context, w *store.SendWaiting, sub *subscription.Subscription) error {
	topics := topic.DelayTopics()
	slices.Reverse(topics)
	adm := kadm.NewClient(r.client)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("listing starts: %w", err)
	}
	moved, err := movedBy(ctx, adm)
	if err != nil {
		return err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("listing ends: %w", err)
	}
	w.Partitions, w.Total, w.Scanned = nil, 0, 0
	for _, t := range topics {
		ids := make([]int32, 0, len(ends[t]))
		for id := range ends[t] {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			p := store.SendPartition{Topic: t, Partition: id, End: ends[t][id].Offset}
			if o, ok := starts.Lookup(t, id); ok {
				p.Next = o.Offset
			}
			if o, ok := moved.Lookup(t, id); ok && o.Err == nil {
				p.Next = max(p.Next, o.At)
			}
			for _, have := range sub.Released {
				if have.Topic == t && have.Partition == id {
					p.Next = max(p.Next, have.Offset)
				}
			}
			if p.Next < p.End {
				w.Total += p.End - p.Next
				w.Partitions = append(w.Partitions, p)
			}
		}
	}
	w.Planned = true
	return nil
}

// moved is the offset below which the movers have moved everything.
func (r *Runner) moved(ctx context.Context, p *store.SendPartition) (int64, error) {
	committed, err := movedBy(ctx, kadm.NewClient(r.client))
	if err != nil {
		return 0, err
	}
	if o, ok := committed.Lookup(p.Topic, p.Partition); ok && o.Err == nil {
		return o.At, nil
	}
	return 0, nil
}

// movedBy are the offsets that the movers have committed: none before the first
// sender has been there.
func movedBy(ctx context.Context, adm *kadm.Client) (kadm.OffsetResponses, error) {
	moved, err := adm.FetchOffsets(ctx, topic.GroupMover)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil //nolint:nilnil // no offsets are offsets too
	}
	if err != nil {
		return nil, fmt.Errorf("listing what was moved: %w", err)
	}
	return moved, nil
}
