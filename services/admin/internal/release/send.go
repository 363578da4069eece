package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
)

// partition reads one partition to its end and produces what is the
// subscription's.
func (r *Runner) partition(ctx context.Context, w *store.SendWaiting, p *store.SendPartition, told *time.Time) error {
	// Retention may have passed what was planned.
	starts, err := kadm.NewClient(r.client).ListStartOffsets(ctx, p.Topic)
	if err != nil {
		return err
	}
	from := p.Next
	if o, ok := starts.Lookup(p.Topic, p.Partition); ok {
		from = min(max(from, o.Offset), p.End)
	}
	r.advance(w, p, from)
	if from >= p.End {
		return r.rows.SaveSendWaiting(ctx, w)
	}
	reader, err := kgo.NewClient(append(r.kafka.Opts(), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.Topic: {p.Partition: kgo.NewOffset().At(from)}}))...)
	if err != nil {
		return fmt.Errorf("creating reader client: %w", err)
	}
	defer reader.Close()
	prefix := w.SubscriptionID + "/"
	for p.Next < p.End && w.State != store.SendCancelling {
		fetches := reader.PollRecords(ctx, 2000)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading: %w", e.Err)
		}
		var due []*kgo.Record
		next := p.Next
		fetches.EachRecord(func(rec *kgo.Record) {
			if rec.Offset >= p.End {
				next = p.End
				return
			}
			next = rec.Offset + 1
			if !rec.Attrs.IsControl() && strings.HasPrefix(string(rec.Key), prefix) {
				due = append(due, rec)
			}
		})
		if err := r.send(ctx, w, p, due, told); err != nil {
			return err
		}
		if w.State != store.SendCancelling {
			r.advance(w, p, next)
			w.Fault = ""
			if err := r.rows.SaveSendWaiting(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Runner) advance(w *store.SendWaiting, p *store.SendPartition, next int64) {
	if next > p.Next {
		w.Scanned += next - p.Next
		p.Next = next
	}
}

// send produces records at the pace of the subscription as it is now, and keeps
// after each acknowledged slice how far it has come.
func (r *Runner) send(ctx context.Context, w *store.SendWaiting, p *store.SendPartition, due []*kgo.Record, told *time.Time) error {
	for len(due) > 0 {
		sub, err := r.rows.Subscription(ctx, w.SubscriptionID)
		if errors.Is(err, store.ErrNotFound) {
			w.State = store.SendCancelling
			return nil
		}
		if err != nil {
			return err
		}
		rate := sub.RateLimit
		if rate <= 0 {
			rate = DefaultRate
		}
		n := min(max(int(rate*slice.Seconds()), 1), len(due))
		began := time.Now()
		moved, err := r.moved(ctx, p)
		if err != nil {
			return err
		}
		var out []*kgo.Record
		for _, rec := range due[:n] {
			// A mover was faster.
			if rec.Offset >= moved {
				out = append(out, &kgo.Record{Topic: topic.Deliveries, Key: rec.Key, Value: rec.Value, Headers: rec.Headers, Timestamp: began})
			}
		}
		if len(out) > 0 {
			if err := r.client.ProduceSync(ctx, out...).FirstErr(); err != nil {
				return fmt.Errorf("producing: %w", err)
			}
		}
		w.Sent += int64(len(out))
		p.Found += int64(n)
		r.advance(w, p, due[n-1].Offset+1)
		due = due[n:]
		if err := r.rows.SaveSendWaiting(ctx, w); err != nil {
			return err
		}
		if w.State == store.SendCancelling {
			return nil
		}
		if time.Since(*told) >= tellEvery {
			if err := r.tell(ctx, w); err != nil {
				return err
			}
			*told = time.Now()
		}
		if len(out) == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(began.Add(time.Duration(float64(len(out)) / rate * float64(time.Second))))):
		}
	}
	return nil
}
