package verify

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// extent is the time between the first and the last of some records.
type extent struct{ first, last time.Time }

func (e *extent) add(t time.Time) {
	if e.first.IsZero() || t.Before(e.first) {
		e.first = t
	}
	if t.After(e.last) {
		e.last = t
	}
}

// query selects the extent. The API's answers end at milliseconds.
func (e *extent) query() url.Values {
	return url.Values{
		"from": {e.first.Add(-time.Second).UTC().Format(time.RFC3339)}, "to": {e.last.Add(2 * time.Second).UTC().Format(time.RFC3339)},
		"limit": {"1000"},
	}
}

// asked is I11 over the API, while everything runs: of what the projector has
// committed past, the store has each row, and none of its deliveries is behind.
// Rows may be ahead of the ledger.
func (c *checker) asked(ctx context.Context, api *client.Client) error {
	for _, step := range []func(context.Context, *client.Client) error{c.askedDeliveries, c.askedAttempts, c.askedEvents, c.askedRejections} {
		if err := step(ctx, api); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) projected(p Position) bool { return c.commits.finished(topic.GroupProjector, p) }

func (c *checker) askedDeliveries(ctx context.Context, api *client.Client) error {
	var all extent
	for _, d := range c.order {
		if !d.firstSeen.IsZero() {
			all.add(d.firstSeen)
		}
	}
	if all.first.IsZero() {
		return nil
	}
	type row struct {
		ID      string `json:"delivery_id"`
		EventID string `json:"event_id"`
		State   string `json:"state"`
		Attempt int32  `json:"attempt"`
		Cause   string `json:"cause"`
	}
	err := client.Each(ctx, api, "/deliveries", all.query(), 0, func(r row) error {
		d := c.deliveries[r.ID]
		if d == nil {
			// What was asked for since the look began is not in it.
			if e := c.byID[r.EventID]; e != nil && r.Cause == "call_ended" {
				c.report.fault("I11", "a delivery in the store that is in no topic", "%s of event %s", r.ID, r.EventID)
			}
			return nil
		}
		d.stored = true
		if !c.settled(d) {
			return nil
		}
		if want := store.StateWord(d.state()); d.ended() && r.State != want {
			c.report.fault("I11", "a delivery's state in the store is not the history's", "%s: %s, want %s", r.ID, r.State, want)
		}
		if r.Attempt < d.lastAttempt() {
			c.report.fault("I11", "a delivery's last attempt in the store is not the history's", "%s: %d, want %d", r.ID, r.Attempt, d.lastAttempt())
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range c.order {
		e := c.byID[d.event]
		if !d.stored && d.decided && e != nil && c.projected(e.record) {
			c.report.fault("I11", "a delivery is not in the store", "%s of event %s", d.id, d.event)
		}
	}
	return nil
}

// settled says whether the projector has passed all of a delivery's history.
func (c *checker) settled(d *delivery) bool {
	for i := range d.attempts {
		if !c.projected(d.attempts[i].record) {
			return false
		}
	}
	return true
}

func (c *checker) askedAttempts(ctx context.Context, api *client.Client) error {
	var all extent
	for _, d := range c.order {
		for i := range d.attempts {
			all.add(d.attempts[i].started)
		}
	}
	if all.first.IsZero() {
		return nil
	}
	type row struct {
		ID         string `json:"attempt_id"`
		DeliveryID string `json:"delivery_id"`
		Result     string `json:"result"`
		Status     int32  `json:"http_status"`
	}
	err := client.Each(ctx, api, "/attempts", all.query(), 0, func(r row) error {
		d := c.deliveries[r.DeliveryID]
		if d == nil {
			return nil
		}
		i := slices.IndexFunc(d.attempts, func(a attempt) bool { return a.id == r.ID })
		if i < 0 {
			return nil // made since the look began
		}
		a := &d.attempts[i]
		a.stored = true
		if want := store.ResultWord(a.result); r.Result != want || r.Status != a.status {
			c.report.fault("I11", "an attempt in the store is not the history's", "%s of %s: %s %d, want %s %d", a.id, d.id, r.Result, r.Status, want, a.status)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range c.order {
		for i := range d.attempts {
			if a := &d.attempts[i]; !a.stored && c.projected(a.record) {
				c.report.fault("I11", "an attempt of the history is not in the store", "%s of %s, at %v", a.id, d.id, a.record)
			}
		}
	}
	return nil
}

func (c *checker) askedEvents(ctx context.Context, api *client.Client) error {
	if c.occurred.first.IsZero() {
		return nil
	}
	type row struct {
		ID string `json:"event_id"`
	}
	err := client.Each(ctx, api, "/events", c.occurred.query(), 0, func(r row) error {
		if e := c.byID[r.ID]; e != nil {
			e.stored = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range c.events {
		if first := c.byID[e.id]; first == e && !e.stored && c.projected(e.record) {
			c.report.fault("I11", "an event is not in the store", "%s, at %v", e.id, e.record)
		}
	}
	return nil
}

func (c *checker) askedRejections(ctx context.Context, api *client.Client) error {
	if c.refused.first.IsZero() {
		return nil
	}
	type row struct {
		Position store.Position `json:"position"`
	}
	stored := map[Position]bool{}
	err := client.Each(ctx, api, "/rejected", c.refused.query(), 0, func(r row) error {
		stored[Position{r.Position.Topic, r.Position.Partition, r.Position.Offset}] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range c.rejections {
		if !stored[r.at] && c.projected(r.record) {
			c.report.fault("I11", "a rejection is not in the store", "%v, at %v", r.at, r.record)
		}
	}
	return nil
}
