package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// costs are the rows that show how the cost of a delivery depends on what is
// around it. Each series varies one thing; its first row is what the others are
// compared with.
func (o Options) costs(ctx context.Context, receiver func(context.Context) (*receiver, error)) ([]Row, error) {
	var rows []Row
	add := func(name string, c circumstances) error {
		r, err := receiver(ctx)
		if err != nil {
			return err
		}
		defer r.stop()
		o.say("%s", name)
		return o.at(ctx, onEmbedded, func(ctx context.Context, at place) error {
			row, err := o.cost(ctx, r, at, c)
			row.Name = name
			rows = append(rows, row)
			return err
		})
	}
	usual := circumstances{fanOut: 1, payload: o.Payload, subscriptions: 10}
	for _, n := range []int{1, 3, 10} {
		c := usual
		c.fanOut = n
		if err := add(fmt.Sprintf("fan-out %d", n), c); err != nil {
			return nil, err
		}
	}
	for _, n := range []int{1200, 20_000} {
		c := usual
		c.payload = n
		if err := add(fmt.Sprintf("payload of %d bytes", n), c); err != nil {
			return nil, err
		}
	}
	for _, n := range []int{10, 1000, 10_000} {
		c := usual
		c.subscriptions = n
		if err := add(fmt.Sprintf("%d subscriptions", n), c); err != nil {
			return nil, err
		}
	}
	for _, n := range []int{1000, 100_000} {
		c := usual
		c.waiting = n
		if err := add(fmt.Sprintf("%d waiting", n), c); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// circumstances of a row: each CDR is wanted by fanOut of the subscriptions, all
// in turn; so many deliveries wait for another one.
type circumstances struct {
	fanOut, payload, subscriptions, waiting int
}

func (o Options) cost(ctx context.Context, r *receiver, at place, c circumstances) (Row, error) {
	urls, err := r.open(mainGroup, 1, behaviour{}, false)
	if err != nil {
		return Row{}, err
	}
	units := max(c.subscriptions/c.fanOut, 1)
	subs := make([]*subscription.Subscription, 0, c.subscriptions+1)
	for i := range c.subscriptions {
		s := subscriptionTo("sub_"+strconv.Itoa(i), urls[0])
		s.OUScope, s.MaxConcurrency = unit(i%units), o.Concurrency
		subs = append(subs, s)
	}
	paused := subscriptionTo("sub_paused", urls[0])
	paused.Events, paused.PausedUntil = []string{topic.TypeAgent}, time.Now().Add(24*time.Hour)
	p, err := startPipeline(ctx, at, append(subs, paused)...)
	if err != nil {
		return Row{}, err
	}
	payload := payloadOf(c.payload, units)
	if c.waiting > 0 {
		if err := p.produce(ctx, topic.CDRAgent, payload, c.waiting); err != nil {
			return Row{}, err
		}
		if err := p.waiting(ctx, int64(c.waiting)); err != nil {
			return Row{}, err
		}
		if err := p.projected(ctx); err != nil {
			return Row{}, err
		}
	}
	deliveries := o.Deliveries / c.fanOut * c.fanOut
	if err := o.burst(ctx, p, r, payload, max(deliveries/c.fanOut/10, 1), c.fanOut); err != nil {
		return Row{}, fmt.Errorf("warming up: %w", err)
	}
	row, err := measure(Row{}, deliveries, r, true, "", func() error { return o.burst(ctx, p, r, payload, deliveries/c.fanOut, c.fanOut) })
	if err != nil {
		return Row{}, err
	}
	return row, p.stop()
}
