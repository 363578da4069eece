package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// Outage is what happens when an endpoint comes back for which much waits, and
// somebody presses "send waiting now".
type Outage struct {
	// Beside compares the others' live calls before with those after the return.
	Beside
	Waiting int64
	// Limit is the endpoint's max concurrency, AtOnce what it saw at most.
	Limit, AtOnce int64
	// Delivered of what waited, Repeated beyond that, and how long it took.
	Delivered, Repeated int64
	Took                time.Duration
	// Ramp is how many were held with each of the first requests after the return.
	Ramp []int64
}

const (
	downGroup   = "down"
	othersGroup = "others"
	others      = 3
	downLimit   = 16
	// backDelay is how long the endpoint takes for each request once it is back,
	// and backRate its rate limit, which paces what is sent again: less than what
	// its concurrency could do.
	backDelay = 10 * time.Millisecond
	backRate  = 1000
)

// afterOutage fills the delay topics for one endpoint that answers 503, mends it,
// sends what waits and watches it and its neighbours.
func (o Options) afterOutage(ctx context.Context, r *receiver, at place) (Outage, error) {
	out := Outage{Limit: downLimit}
	out.Name, out.What = at.name, fmt.Sprintf("%d endpoints at %d/s each, then beside one for which %d wait and which is back", others, o.Rate/others, o.Waiting)
	o.say("%s: after an outage", at.name)
	down, err := r.open(downGroup, 1, behaviour{Status: http.StatusServiceUnavailable}, true)
	if err != nil {
		return out, err
	}
	urls, err := r.open(othersGroup, others, behaviour{}, true)
	if err != nil {
		return out, err
	}
	p, err := prepare(ctx, at)
	if err != nil {
		return out, err
	}
	ill := subscriptionTo("sub_down", down[0])
	ill.Events, ill.MaxConcurrency, ill.RateLimit = []string{topic.TypeAgent}, downLimit, backRate
	subs := []*subscription.Subscription{ill}
	for i, url := range urls {
		subs = append(subs, subscriptionTo(fmt.Sprintf("sub_%d", i), url))
	}
	// Sending what waits is admin's: it knows the subscriptions from the store.
	who := store.Actor{Name: "bench", Kind: "system"}
	for _, s := range subs {
		s.CreatedAt, s.UpdatedAt = time.Now(), time.Now()
		if err := p.seal(s); err != nil {
			return out, err
		}
		if err := at.store.CreateSubscription(ctx, s, who); err != nil {
			return out, err
		}
	}
	if err := p.publish(ctx); err != nil {
		return out, err
	}
	p.run(ctx, true)
	offer := steady{rate: max(o.Rate/others, 1), seconds: o.ReplaySeconds, payload: payloadOf(o.Payload, 1), group: othersGroup, endpoints: others, settle: o.settle}
	if out.Alone, err = offer.measure(ctx, p, r); err != nil {
		return out, fmt.Errorf("alone: %w", err)
	}
	if err := p.produce(ctx, topic.CDRAgent, payloadOf(o.Payload, 1), o.Waiting); err != nil {
		return out, err
	}
	if err := p.waiting(ctx, int64(o.Waiting)); err != nil {
		return out, err
	}
	out.Waiting = int64(o.Waiting)

	back := time.Now()
	if err := r.behave(downGroup, behaviour{Delay: backDelay}); err != nil {
		return out, err
	}
	// What the console's button does.
	if err := at.store.CreateSendWaiting(ctx, &store.SendWaiting{ID: "snd_bench", SubscriptionID: ill.ID, RequestedBy: who.Name}); err != nil {
		return out, err
	}
	if out.Beside.Beside, err = offer.measure(ctx, p, r); err != nil {
		return out, fmt.Errorf("after the return: %w", err)
	}
	g, err := r.count(downGroup)
	if err != nil {
		return out, err
	}
	out.Done = g.Answered
	if err := p.arrived(ctx, r, downGroup, out.Waiting); err != nil {
		return out, err
	}
	out.Took = time.Since(back)
	f, err := r.read()
	if err != nil {
		return out, err
	}
	g = f.Groups[downGroup]
	out.AtOnce, out.Delivered, out.Repeated, out.Opened = g.Peak, g.Answered-g.Repeated, g.Repeated, g.Opened
	out.Ramp = g.First
	out.compare()
	return out, p.stop()
}
