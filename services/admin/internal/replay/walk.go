package replay

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/filter"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// Why something is skipped.
const (
	SkipWaiting   = "waiting"
	SkipDelivered = "delivered"
	SkipExpired   = "payload_expired"
	SkipDeleted   = "deleted"
	SkipInactive  = "inactive"
)

// candidate is one event for one webhook.
type candidate struct {
	deliveryID, subscriptionID string
	// skip is why it is not sent, "" when it is.
	skip string
	// sent: this replay has sent it already, before its cursor was saved.
	sent         bool
	event        *store.ReplayEvent
	subscription *subscription.Subscription
}

// walker goes through what a replay concerns, in a fixed order.
type walker struct {
	rows     Rows
	replay   *store.Replay
	payloads bool
	index    *subscription.Index
	live     map[string]*subscription.Subscription
	read     time.Time
}

func (s *Service) walker(r *store.Replay, payloads bool) *walker {
	return &walker{rows: s.Rows, replay: r, payloads: payloads, index: subscription.NewIndexWithSeparator(s.Separator), live: map[string]*subscription.Subscription{}}
}

// refresh reads the webhooks as they are now, once a second at most.
func (w *walker) refresh(ctx context.Context) error {
	if !w.read.IsZero() && time.Since(w.read) < time.Second {
		return nil
	}
	all, err := w.rows.Subscriptions(ctx, store.SubscriptionQuery{})
	if err != nil {
		return err
	}
	live := make(map[string]*subscription.Subscription, len(all))
	for _, sub := range all {
		if len(w.replay.Subscriptions) > 0 && !slices.Contains(w.replay.Subscriptions, sub.ID) {
			continue
		}
		live[sub.ID] = sub
		if old := w.live[sub.ID]; old == nil || old.Version != sub.Version {
			w.index.Put(sub)
		}
	}
	for id, old := range w.live {
		if live[id] == nil {
			w.index.Put(&subscription.Subscription{ID: id, Version: old.Version + 1, Deleted: true})
		}
	}
	w.live, w.read = live, time.Now()
	return nil
}

// next reads on after a cursor, and answers the one to go on from.
func (w *walker) next(ctx context.Context, after store.ReplayCursor, limit int) ([]candidate, store.ReplayCursor, bool, error) {
	if err := w.refresh(ctx); err != nil {
		return nil, after, false, err
	}
	if w.replay.Mode == store.ReplayBackfill {
		return w.backfill(ctx, after, limit)
	}
	return w.recover(ctx, after, limit)
}

func (w *walker) recover(ctx context.Context, after store.ReplayCursor, limit int) ([]candidate, store.ReplayCursor, bool, error) {
	r := w.replay
	rows, err := w.rows.Unsuccessful(ctx, r.From, r.To, r.Subscriptions, r.States, after, limit)
	if err != nil || len(rows) == 0 {
		return nil, after, err == nil, err
	}
	ids := make([]string, len(rows))
	for i, d := range rows {
		ids[i] = d.EventID
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	others, err := w.others(ctx, ids)
	if err != nil {
		return nil, after, false, err
	}
	read, err := w.rows.EventsByID(ctx, ids, w.payloads)
	if err != nil {
		return nil, after, false, err
	}
	events := make(map[string]*store.ReplayEvent, len(read))
	for i := range read {
		events[read[i].EventID] = &read[i]
	}
	var out []candidate
	for _, d := range rows {
		of := others[pair{d.EventID, d.SubscriptionID}]
		// One event may have ended without success several times for one webhook,
		// as by a resend: the first of them speaks for all.
		if slices.ContainsFunc(of, func(o store.DeliveryState) bool { return w.speaks(o) && before(o, d) }) {
			continue
		}
		out = append(out, w.candidate(d.EventID, d.SubscriptionID, events[d.EventID], of))
	}
	last := rows[len(rows)-1]
	return out, store.ReplayCursor{At: last.QueuedAt, ID: last.DeliveryID}, len(rows) < limit, nil
}

// speaks says whether a delivery is one that recover takes.
func (w *walker) speaks(d store.DeliveryState) bool {
	return d.Cause != store.CauseTest && slices.Contains(w.replay.States, d.State) && !d.QueuedAt.Before(w.replay.From) && d.QueuedAt.Before(w.replay.To)
}

func before(a, b store.DeliveryState) bool {
	if !a.QueuedAt.Equal(b.QueuedAt) {
		return a.QueuedAt.Before(b.QueuedAt)
	}
	return a.DeliveryID < b.DeliveryID
}

func (w *walker) backfill(ctx context.Context, after store.ReplayCursor, limit int) ([]candidate, store.ReplayCursor, bool, error) {
	var types []string
	filtered := false
	for _, sub := range w.live {
		filtered = filtered || sub.Filter != ""
		for _, name := range sub.Events {
			// Ours are about webhooks, never sent to the one concerned: not matched again.
			if !topic.IsSystem(name) && name != topic.TypeTest && !slices.Contains(types, name) {
				types = append(types, name)
			}
		}
	}
	if len(types) == 0 {
		return nil, after, true, nil
	}
	slices.Sort(types)
	if filtered {
		limit = min(limit, 64) // payloads are in memory
	}
	events, err := w.rows.EventsBetween(ctx, w.replay.From, w.replay.To, types, after, limit, w.payloads || filtered)
	if err != nil || len(events) == 0 {
		return nil, after, err == nil, err
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.EventID
	}
	others, err := w.others(ctx, ids)
	if err != nil {
		return nil, after, false, err
	}
	var out []candidate
	for i := range events {
		e := &events[i]
		var input *filter.Input
		for _, m := range w.index.Match(e.EventType, e.OUPath) {
			if m.FilterError != nil {
				continue
			}
			if m.Filter != nil && !e.PayloadExpired {
				if input == nil {
					input = filter.NewInput(e.Payload, filter.Envelope{Type: e.EventType, CallID: e.CallID, ScenarioID: e.ScenarioID, ParentID: e.ParentID,
						OUPath: e.OUPath, Source: e.Source, Tenant: e.Tenant, OccurredAt: e.OccurredAt})
				}
				if ok, err := m.Filter.Match(input); err != nil || !ok {
					continue
				}
			}
			out = append(out, w.candidate(e.EventID, m.Subscription.ID, e, others[pair{e.EventID, m.Subscription.ID}]))
		}
	}
	last := events[len(events)-1]
	return out, store.ReplayCursor{At: last.OccurredAt, ID: last.EventID}, len(events) < limit, nil
}

type pair struct{ event, subscription string }

// others are all deliveries of some events, by event and webhook.
func (w *walker) others(ctx context.Context, events []string) (map[pair][]store.DeliveryState, error) {
	all, err := w.rows.DeliveryStates(ctx, events)
	if err != nil {
		return nil, err
	}
	out := map[pair][]store.DeliveryState{}
	for _, d := range all {
		k := pair{d.EventID, d.SubscriptionID}
		out[k] = append(out[k], d)
	}
	return out, nil
}

// candidate decides about one event for one webhook, by what else became of it.
func (w *walker) candidate(eventID, subscriptionID string, e *store.ReplayEvent, others []store.DeliveryState) candidate {
	c := candidate{deliveryID: cdr.DeliveryID(eventID, subscriptionID, store.CauseReplay, w.replay.ID), subscriptionID: subscriptionID, event: e, subscription: w.live[subscriptionID]}
	waiting, delivered := false, false
	for _, o := range others {
		if o.DeliveryID == c.deliveryID {
			c.sent = true
			return c
		}
		if o.Cause == store.CauseTest {
			continue
		}
		waiting = waiting || o.State == store.StateQueued || o.State == store.StateWaiting
		delivered = delivered || o.State == store.StateDelivered
	}
	switch {
	case delivered:
		c.skip = SkipDelivered
	case waiting:
		c.skip = SkipWaiting
	case c.subscription == nil:
		c.skip = SkipDeleted
	case !c.subscription.Active:
		c.skip = SkipInactive
	case e == nil || e.PayloadExpired:
		c.skip = SkipExpired
	}
	return c
}

// Skips are the reasons, in the order in which people are told.
func Skips() []string {
	return []string{SkipWaiting, SkipDelivered, SkipExpired, SkipInactive, SkipDeleted}
}

// SkipText is a reason in words.
func SkipText(reason string) string {
	switch reason {
	case SkipWaiting:
		return "still waiting"
	case SkipDelivered:
		return "delivered since"
	case SkipExpired:
		return "payload expired"
	case SkipInactive:
		return "webhook not active"
	case SkipDeleted:
		return "webhook deleted"
	}
	return strings.ReplaceAll(reason, "_", " ")
}
