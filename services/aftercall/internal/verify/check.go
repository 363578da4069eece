package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Check evaluates the invariants.
func Check(run *Run) *Report {
	c := newChecker(run)
	for _, cdr := range run.Acknowledged {
		c.upstream[cdr.Topic] = true
	}
	for _, r := range run.Records {
		c.record(r)
	}
	for i := range run.Requests {
		c.request(&run.Requests[i])
	}
	c.judge()
	if run.Store != nil {
		c.store(run.Store)
	}
	return c.report
}

// checker judges what its ledger holds by what the run says is in order.
type checker struct {
	*ledger
	run    *Run
	report *Report
}

func newChecker(run *Run) *checker {
	return &checker{ledger: newLedger(run.Commits), run: run, report: &Report{CDRs: len(run.Acknowledged)}}
}

// judge evaluates everything that needs no store, once all is taken in.
func (c *checker) judge() {
	c.intake()
	c.routing()
	c.ends()
	c.answers()
	c.repeats()
	c.due()
}

// intake is I1.
func (c *checker) intake() {
	for _, e := range c.events {
		c.report.Events++
		if e.duplicate {
			c.report.Duplicates++
		}
		f := c.fate(e.at)
		if f.event != nil && !(c.run.BrokerKilled && f.event.id == e.id) {
			c.report.fault("I1", "a CDR became two events", "%v: %s, %s", e.at, f.event.id, e.id)
		}
		// Of a torn transaction's CDR the repeat may be recognised: what counts is
		// the event that was matched.
		if f.event == nil || f.event.duplicate {
			f.event = e
		}
		if !f.there {
			c.report.fault("I1", "an event of no CDR", "%s at %v", e.id, e.at)
		} else if f.payload != e.payload {
			c.report.fault("I1", "an event whose payload is not the CDR's, byte for byte", "%s at %v", e.id, e.at)
		}
	}
	for _, r := range c.rejections {
		if f := c.cdrs[r.at]; f == nil || !f.there {
			// Of an internal record: sender and projector reject damaged ones.
			continue
		}
		c.report.Rejections++
		if c.fate(r.at).rejected && !c.run.BrokerKilled {
			c.report.fault("I1", "a CDR was rejected twice", "%v", r.at)
		}
		for at := r.at; at.Offset <= r.last; at.Offset++ {
			if f := c.cdrs[at]; f != nil {
				f.rejected = true
			}
		}
		if c.fate(r.at).event != nil {
			c.report.fault("I1", "a CDR is both an event and rejected", "%v", r.at)
		}
	}
	for _, cdr := range c.run.Acknowledged {
		c.acknowledged(Position{cdr.Topic, cdr.Partition, cdr.Offset}, sum(cdr.Value))
	}
	if c.inScope == nil {
		return
	}
	// Whatever stands in a topic of CDRs was acknowledged.
	var open []Position
	for at, f := range c.cdrs {
		if !f.there {
			continue
		}
		c.report.CDRs++
		switch {
		case f.event != nil || f.rejected:
		case c.commits.finished(topic.GroupRouter, at):
			open = append(open, at)
		default:
			c.report.Unrouted++
		}
	}
	slices.SortFunc(open, Position.Compare)
	for _, at := range open {
		c.report.fault("I1", "a CDR that the router has passed is neither an event nor rejected", "%v", at)
	}
}

// acknowledged judges a CDR that a producer says was acknowledged.
func (c *checker) acknowledged(at Position, payload digest) {
	f := c.cdrs[at]
	if f == nil || !f.there {
		c.report.fault("I1", "an acknowledged CDR is not in its topic", "%v", at)
	} else if f.payload != payload {
		c.report.fault("I1", "an acknowledged CDR is another in its topic", "%v", at)
	}
	if c.inScope == nil && (f == nil || f.event == nil && !f.rejected) {
		c.report.fault("I1", "an acknowledged CDR is neither an event nor rejected", "%v", at)
	}
}

// routing is I2, and what the test wanted to be routed.
func (c *checker) routing() {
	for _, e := range c.events {
		if e.duplicate && len(e.matched) > 0 {
			c.report.fault("I2", "a recognised repeat has deliveries", "%s", e.id)
		}
	}
	c.pairs()
	for _, d := range c.order {
		switch {
		case d.decided && !d.queued:
			c.report.fault("I2", "a matched delivery is not in the deliveries topic", "%s of event %s", d.id, d.event)
		case !d.decided && !d.asked:
			c.report.fault("I2", "a delivery that no event decided on", "%s, last at %v", d.id, d.last)
		}
		if e := c.byID[d.event]; d.queued && e != nil && d.payload != e.payload {
			c.report.fault("I2", "a delivery whose payload is not its event's", "%s, last at %v", d.id, d.last)
		}
	}
	if c.run.Wants == nil {
		return
	}
	for _, cdr := range c.run.Acknowledged {
		var got []string
		if f := c.cdrs[Position{cdr.Topic, cdr.Partition, cdr.Offset}]; f != nil && f.event != nil {
			e := f.event
			if e.duplicate {
				// A broker that died between writing and answering is sent it again, and
				// acknowledges the second: it is the first that was matched.
				e = c.byID[e.id]
			}
			for _, m := range e.matched {
				got = append(got, m.subscription)
			}
		}
		want := c.run.Wants(cdr)
		for _, s := range want {
			if !slices.Contains(got, s) {
				c.report.fault("I2", "a CDR was not matched to a subscription that wants it", "%s/%d@%d, %s", cdr.Topic, cdr.Partition, cdr.Offset, s)
			}
		}
		for _, s := range got {
			if !slices.Contains(want, s) {
				c.report.fault("I2", "a CDR was matched to a subscription that does not want it", "%s/%d@%d, %s", cdr.Topic, cdr.Partition, cdr.Offset, s)
			}
		}
	}
}

// pairs looks for two delivery ids of one event for one subscription.
func (c *checker) pairs() {
	for _, e := range c.events {
		first := c.byID[e.id]
		for i, m := range e.matched {
			for _, other := range append(slices.Clone(e.matched[:i]), first.matched...) {
				if other.subscription == m.subscription && other.delivery != m.delivery {
					c.report.fault("I2", "an event has two delivery ids for one subscription", "%s, %s: %s, %s", e.id, m.subscription, other.delivery, m.delivery)
					break
				}
			}
		}
	}
}

// ends is I3, I4 and, where the groups' commits are known, I9.
func (c *checker) ends() {
	r := c.report
	for _, d := range c.order {
		r.Deliveries++
		r.Attempts += len(d.attempts)
		r.Deferrals += d.deferrals
		state := d.state()
		if c.commits != nil && !d.ended() && !d.unfinished && d.queued {
			r.fault("I9", "a delivery has not ended, and the groups have committed past all of its records", "%s, last at %v", d.id, d.last)
		}
		switch state {
		case aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED:
			r.Delivered++
		case aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP:
			r.GivenUp++
			if !d.givenUp {
				r.fault("I3", "a delivery was given up, and is not in the given-up topic", "%s", d.id)
			}
		case aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED:
			r.Stopped++
		case aftercallv1.DeliveryState_DELIVERY_STATE_WAITING:
			r.Waiting++
			r.wait(d.due)
			if c.commits == nil && d.delayed <= d.lastAttempt() {
				r.fault("I3", "a delivery waits, and its next attempt is in no delay topic", "%s", d.id)
			}
		default:
			r.Queued++
			if !c.run.Running {
				r.fault("I3", "a delivery neither ended nor waits, and nothing is running", "%s", d.id)
			}
		}
	}
	if ended := r.Delivered + r.GivenUp + r.Stopped; r.Deliveries != ended+r.Waiting+r.Queued {
		r.fault("I4", "deliveries are not ended + waiting + queued", "%d ≠ %d + %d + %d", r.Deliveries, ended, r.Waiting, r.Queued)
	}
}

// due is I8.
func (c *checker) due() {
	for _, d := range c.order {
		for _, n := range d.numbers() {
			earliest := time.Time{}
			for i := range d.attempts {
				if a := &d.attempts[i]; a.n == n-1 && !a.next.IsZero() && (earliest.IsZero() || a.next.Before(earliest)) {
					earliest = a.next
				}
			}
			if earliest.IsZero() {
				continue
			}
			for _, at := range d.times(n) {
				if now, ok := c.run.SentNow[d.subscription]; ok && !at.Before(now) || c.maySendEarly(d, n, at) {
					continue
				}
				if at.Add(c.run.Skew).Before(earliest) {
					c.report.fault("I8", "an attempt before it was due", "%s attempt %d: %s early", d.id, n, earliest.Sub(at))
				}
			}
		}
	}
}

// times are when a try was made: by the receiver's clock where there is one.
func (d *delivery) times(n int32) []time.Time {
	var out []time.Time
	for _, q := range d.requests {
		if q.attempt == n {
			out = append(out, q.time)
		}
	}
	if len(out) > 0 {
		return out
	}
	for i := range d.attempts {
		if a := &d.attempts[i]; a.n == n && a.result != aftercallv1.Attempt_RESULT_NOT_SENT {
			out = append(out, a.started)
		}
	}
	return out
}

// numbers are the numbers of the tries that either side knows, ascending.
func (d *delivery) numbers() []int32 {
	var all []int32
	for i := range d.attempts {
		all = append(all, d.attempts[i].n)
	}
	for _, q := range d.requests {
		all = append(all, q.attempt)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Position is where a record stands.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (p Position) String() string {
	if p.Topic == "" {
		return "no record"
	}
	return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset)
}

// Compare orders positions.
func (p Position) Compare(o Position) int {
	if n := strings.Compare(p.Topic, o.Topic); n != 0 {
		return n
	}
	if p.Partition != o.Partition {
		return int(p.Partition) - int(o.Partition)
	}
	switch {
	case p.Offset < o.Offset:
		return -1
	case p.Offset > o.Offset:
		return 1
	}
	return 0
}
