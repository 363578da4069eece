package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// The neighbourhood: as many subscriptions, of which some get bad.
const (
	neighbours = 20
	holes      = 4
	slow       = 2
	slowFor    = 10 * time.Second
)

const (
	healthyGroup = "healthy"
	turningGroup = "turning bad"
	holeGroup    = "holes"
	slowGroup    = "slow"
)

// badNeighbours measures the healthy of twenty subscriptions while all are
// healthy, and then while the others are bad, at the same rate.
func (o Options) badNeighbours(ctx context.Context, r *receiver, at place) (Beside, error) {
	out := Beside{Name: at.name, What: fmt.Sprintf("%d subscriptions at %d events/s each, then %d of them never answer and %d take %s", neighbours, o.NeighbourRate, holes, slow, slowFor)}
	o.say("%s: bad neighbours", at.name)
	healthy, err := r.open(healthyGroup, neighbours-holes-slow, behaviour{}, true)
	if err != nil {
		return out, err
	}
	turning, err := r.open(turningGroup, holes+slow, behaviour{}, false)
	if err != nil {
		return out, err
	}
	bad, err := r.open(holeGroup, holes, behaviour{Never: true}, false)
	if err != nil {
		return out, err
	}
	late, err := r.open(slowGroup, slow, behaviour{Delay: slowFor}, false)
	if err != nil {
		return out, err
	}
	bad = append(bad, late...)
	subs := make([]*subscription.Subscription, 0, neighbours)
	for i, url := range append(healthy[:len(healthy):len(healthy)], turning...) {
		subs = append(subs, subscriptionTo(fmt.Sprintf("sub_%02d", i), url))
	}
	p, err := startPipeline(ctx, at, subs...)
	if err != nil {
		return out, err
	}
	offer := steady{rate: o.NeighbourRate, seconds: o.NeighbourSeconds, payload: payloadOf(o.Payload, 1), group: healthyGroup, endpoints: len(healthy), settle: o.settle}
	if out.Alone, err = offer.measure(ctx, p, r); err != nil {
		return out, fmt.Errorf("with all healthy: %w", err)
	}
	turned := subs[len(healthy):]
	for i, s := range turned {
		s.Version, s.Endpoint = 2, bad[i]
	}
	if err := p.subscribe(ctx, turned...); err != nil {
		return out, err
	}
	if out.Beside, err = offer.measure(ctx, p, r); err != nil {
		return out, fmt.Errorf("beside bad ones: %w", err)
	}
	f, err := r.read()
	if err != nil {
		return out, err
	}
	h, s := f.Groups[holeGroup], f.Groups[slowGroup]
	if h.Answered > 0 {
		return out, fmt.Errorf("the holes answered %d requests", h.Answered)
	}
	out.Done, out.Opened = h.Requests+s.Requests, h.Opened+s.Opened
	out.compare()
	// What they hold is let go, so that the pipeline need not wait for it.
	for _, g := range []string{holeGroup, slowGroup} {
		if err := r.behave(g, behaviour{Status: http.StatusServiceUnavailable}); err != nil {
			return out, err
		}
	}
	return out, p.stop()
}
