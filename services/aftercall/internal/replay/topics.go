package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

// States by the history topic.
const (
	delivered = "delivered"
	waiting   = "waiting"
	givenUp   = "given_up"
	stopped   = "stopped"
	unknown   = "unknown"
)

// job is one replay from topics: what the state file holds.
type job struct {
	ID            string          `json:"id"`
	Brokers       []string        `json:"brokers"`
	Topic         string          `json:"topic"`
	From          time.Time       `json:"from"`
	To            time.Time       `json:"to"`
	Start         map[int32]int64 `json:"start"`
	End           map[int32]int64 `json:"end"`
	Next          map[int32]int64 `json:"next"`
	Subscriptions []string        `json:"subscriptions,omitempty"`
	States        []string        `json:"states,omitempty"`
	Rate          int             `json:"rate"`
	Sent          int64           `json:"sent"`
	Done          bool            `json:"done"`
}

// counts of one plan by subscription: how many are sent, or why not.
type counts map[string]map[string]int64

func (c counts) add(subscription, what string) {
	if c[subscription] == nil {
		c[subscription] = map[string]int64{}
	}
	c[subscription][what]++
}

type pair struct{ event, subscription string }

// place finds the offsets of the job's span.
func (j *job) place(ctx context.Context, client *kgo.Client) error {
	adm := kadm.NewClient(client)
	ends, err := adm.ListCommittedOffsets(ctx, j.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("finding the end of %s: %w", j.Topic, err)
	}
	at := func(t time.Time) (map[int32]int64, error) {
		found, err := adm.ListOffsetsAfterMilli(ctx, t.UnixMilli(), j.Topic)
		if err == nil {
			err = found.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("finding %s in %s: %w", t.Format(time.RFC3339), j.Topic, err)
		}
		out := map[int32]int64{}
		ends.Each(func(end kadm.ListedOffset) {
			out[end.Partition] = end.Offset
			if o, ok := found.Lookup(j.Topic, end.Partition); ok && o.Offset >= 0 {
				out[end.Partition] = min(o.Offset, end.Offset)
			}
		})
		return out, nil
	}
	if j.Start, err = at(j.From); err != nil {
		return err
	}
	if j.End, err = at(j.To); err != nil {
		return err
	}
	j.Next = maps.Clone(j.Start)
	return nil
}

// chosen goes through the span once and answers the offsets to be sent, and the
// counts of all.
func (j *job) chosen(ctx context.Context, c kafka.Config) (map[int32][]int64, counts, error) {
	state, of, err := j.history(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	first := map[pair]bool{}
	out, n := map[int32][]int64{}, counts{}
	err = broker.ReadRange(ctx, c, j.Topic, j.Start, j.End, func(r *kgo.Record) error {
		d, err := record.OpenAs[*aftercallv1.Delivery](r)
		if err != nil {
			return nil //nolint:nilerr // what cannot be read is not ours to send again
		}
		p := pair{d.GetEventId(), d.GetSubscriptionId()}
		if d.GetRequestId() == j.ID || d.GetCause() == aftercallv1.Cause_CAUSE_TEST || first[p] || len(j.Subscriptions) > 0 && !slices.Contains(j.Subscriptions, p.subscription) {
			return nil
		}
		first[p] = true
		what := unknown
		if j.Topic == topic.GivenUp {
			what = givenUp
		}
		if s := state[d.GetDeliveryId()]; s != "" {
			what = s
		}
		if of[p][delivered] {
			what = delivered
		} else if of[p][waiting] {
			what = waiting
		}
		switch {
		case what == delivered || what == waiting:
		case len(j.States) > 0 && !slices.Contains(j.States, what):
			what = "not chosen: " + what
		default:
			out[r.Partition] = append(out[r.Partition], r.Offset)
			what = "send"
		}
		n.add(p.subscription, what)
		return nil
	})
	return out, n, err
}

// history is the last state of each delivery, and those that the deliveries of
// one event for one webhook are in. What this replay itself has sent is left out.
func (j *job) history(ctx context.Context, c kafka.Config) (map[string]string, map[pair]map[string]bool, error) {
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	starts, err := adm.ListStartOffsets(ctx, topic.History)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the start of %s: %w", topic.History, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic.History)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the end of %s: %w", topic.History, err)
	}
	from, to := map[int32]int64{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { to[o.Partition] = o.Offset })
	starts.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	state, where := map[string]string{}, map[string]pair{}
	words := map[aftercallv1.DeliveryState]string{aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED: delivered, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP: givenUp,
		aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED: stopped, aftercallv1.DeliveryState_DELIVERY_STATE_WAITING: waiting}
	rank := map[string]int{waiting: 1, stopped: 2, givenUp: 2, delivered: 3}
	err = broker.ReadRange(ctx, c, topic.History, from, to, func(r *kgo.Record) error {
		m, err := record.Open(r)
		if err != nil {
			return nil //nolint:nilerr // a newer kind says nothing of deliveries' ends
		}
		var id, now string
		var p pair
		switch m := m.(type) {
		case *aftercallv1.Attempt:
			if m.GetRequestId() == j.ID {
				return nil
			}
			id, now, p = m.GetDeliveryId(), words[m.GetState()], pair{m.GetEventId(), m.GetSubscriptionId()}
		case *aftercallv1.Deferral:
			id, now, p = m.GetDeliveryId(), waiting, where[m.GetDeliveryId()]
		default:
			return nil
		}
		if rank[now] >= rank[state[id]] {
			state[id] = now
		}
		if p != (pair{}) {
			where[id] = p
		}
		return nil
	})
	of := map[pair]map[string]bool{}
	for id, p := range where {
		if of[p] == nil {
			of[p] = map[string]bool{}
		}
		of[p][state[id]] = true
	}
	return state, of, err
}

// send produces what is left of the job, at its rate. moved is called after every
// acknowledgement, with how many were sent; save after each that counts.
func (j *job) send(ctx context.Context, c kafka.Config, offsets map[int32][]int64, save func() error, moved func(n int)) error {
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	size := max(1, min(64, j.Rate/4))
	for _, partition := range slices.Sorted(maps.Keys(offsets)) {
		pick := map[int64]bool{}
		for _, o := range offsets[partition] {
			if o >= j.Next[partition] {
				pick[o] = true
			}
		}
		var batch []*kgo.Record
		flush := func(next int64) error {
			start := time.Now()
			if err := ctx.Err(); err != nil {
				return err
			}
			// What has begun is finished: the file then says what was sent.
			finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := client.ProduceSync(finish, batch...).FirstErr(); err != nil {
				return fmt.Errorf("producing deliveries: %w", err)
			}
			n := len(batch)
			batch, j.Next[partition] = nil, next
			j.Sent += int64(n)
			if err := save(); err != nil {
				return err
			}
			moved(n)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(n)*time.Second/time.Duration(j.Rate) - time.Since(start)):
			}
			return nil
		}
		if len(pick) == 0 {
			continue
		}
		err := broker.ReadRange(ctx, c, j.Topic, map[int32]int64{partition: j.Next[partition]}, map[int32]int64{partition: j.End[partition]}, func(r *kgo.Record) error {
			if !pick[r.Offset] {
				return nil
			}
			d, err := record.OpenAs[*aftercallv1.Delivery](r)
			if err != nil {
				return err
			}
			now := time.Now().UTC()
			d.DeliveryId, d.Cause, d.RequestId = cdr.DeliveryID(d.GetEventId(), d.GetSubscriptionId(), "replay", j.ID), aftercallv1.Cause_CAUSE_REPLAY, j.ID
			d.Attempt, d.Deferrals, d.SingleTry, d.WaitReason, d.FirstQueuedAt = 1, 0, false, "", timestamppb.New(now)
			// The key it had is one of the webhook's shards.
			batch = append(batch, record.New(topic.Deliveries, string(r.Key), d, now))
			if len(batch) < size {
				return nil
			}
			return flush(r.Offset + 1)
		})
		if err != nil {
			return err
		}
		if err := flush(j.End[partition]); err != nil {
			return err
		}
	}
	j.Done = true
	return save()
}

// save writes the job's file whole, or not at all.
func (j *job) save(path string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".replay-*")
	if err != nil {
		return fmt.Errorf("keeping the place: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keeping the place: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func load(path string) (*job, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the place: %w", err)
	}
	j := &job{}
	if err := json.Unmarshal(b, j); err != nil || j.ID == "" || j.Rate < 1 {
		return nil, fmt.Errorf("%s is no file of a replay", path)
	}
	return j, nil
}

func newClient(c kafka.Config) (*kgo.Client, error) { return kgo.NewClient(c.Opts()...) }
