package verify

import (
	"slices"

	"github.com/aftercall/aftercall/pkg/store"
)

// store is I11: whether the store says what the history and the receivers say, at
// rest.
func (c *checker) store(s *Store) {
	attempts := map[string]*store.Attempt{}
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if attempts[a.AttemptID] != nil {
			c.report.fault("I11", "an attempt is in the store twice", "%s", a.AttemptID)
		}
		attempts[a.AttemptID] = a
	}
	known := 0
	for _, d := range c.order {
		for i := range d.attempts {
			a := &d.attempts[i]
			row := attempts[a.id]
			if row == nil {
				c.report.fault("I11", "an attempt of the history is not in the store", "%s of %s", a.id, d.id)
				continue
			}
			known++
			if row.DeliveryID != d.id || row.EventID != a.event || row.SubscriptionID != a.subscription || row.CallID != a.call ||
				row.Attempt != a.n || row.HTTPStatus != a.status || row.Result != store.ResultWord(a.result) || row.State != store.StateWord(a.state) {
				c.report.fault("I11", "an attempt in the store is not the history's", "%s: %+v", a.id, *row)
			}
		}
	}
	if known < len(attempts) {
		c.report.fault("I11", "attempts in the store that the history does not have", "%d", len(attempts)-known)
	}
	rows := map[string]*store.Delivery{}
	for i := range s.Deliveries {
		rows[s.Deliveries[i].DeliveryID] = &s.Deliveries[i]
	}
	for _, d := range c.order {
		row := rows[d.id]
		if row == nil {
			c.report.fault("I11", "a delivery is not in the store", "%s", d.id)
			continue
		}
		delete(rows, d.id)
		if want := store.StateWord(d.state()); row.State != want {
			c.report.fault("I11", "a delivery's state in the store is not the history's", "%s: %s, want %s", d.id, row.State, want)
		}
		if row.Attempt != d.lastAttempt() {
			c.report.fault("I11", "a delivery's last attempt in the store is not the history's", "%s: %d, want %d", d.id, row.Attempt, d.lastAttempt())
		}
		if row.State == store.StateDelivered && !c.run.Unseen[d.subscription] && !slices.ContainsFunc(d.requests, func(q request) bool { return success(q.status) }) {
			c.report.fault("I11", "delivered in the store, without a 2xx at the receiver", "%s", d.id)
		}
	}
	for id := range rows {
		c.report.fault("I11", "a delivery in the store that is in no topic", "%s", id)
	}
	events := map[string]bool{}
	for _, e := range s.Events {
		events[e.EventID] = true
	}
	for id := range c.byID {
		if !events[id] {
			c.report.fault("I11", "an event is not in the store", "%s", id)
		}
		delete(events, id)
	}
	for id := range events {
		c.report.fault("I11", "an event in the store that is in no topic", "%s", id)
	}
	rejections := map[Position]bool{}
	for _, r := range s.Rejections {
		rejections[Position{r.Position.Topic, r.Position.Partition, r.Position.Offset}] = true
	}
	for _, r := range c.rejections {
		if !rejections[r.at] {
			c.report.fault("I11", "a rejection is not in the store", "%v", r.at)
		}
	}
}
