package simulate

import (
	"strconv"
	"time"
)

// variants tell how a call of each kind goes. What the reference leaves open (the
// words of LeaveReason and TransferType) is made up.
var variants = map[string]func(*making){
	Answered:    answered,
	Transferred: transferred,
	Missed:      offeredInVain,
	Abandoned:   abandoned,
	Overflow:    overflow,
	Callback:    callback,
	Voicemail:   voicemail,
	SelfService: func(c *making) { c.menu(supportMenu, nil) },
	Direct:      called,
}

// inbound is the way into a queue.
func (c *making) inbound() (q queue, menu string) {
	q = queues[c.g.rand.IntN(len(queues))]
	return q, c.menu(q.ivr, &q)
}

func (c *making) waits() time.Duration {
	return c.g.about(25*time.Second, 2*time.Second, 8*time.Minute)
}

func (c *making) talks() time.Duration {
	return c.g.about(4*time.Minute, 15*time.Second, 50*time.Minute)
}

// serve is a queue call that somebody takes, after it rang in vain at so many.
func (c *making) serve(q queue, parent, from string, vain int) (queueID, agentID string, by agent) {
	begun := c.now
	c.now += c.waits()
	var tried []agent
	var rings []rang
	for range vain {
		a := c.g.agent(tried...)
		tried = append(tried, a)
		r := rang{a: a, q: &q, begun: c.now, took: c.g.between(8*time.Second, 20*time.Second), state: missed}
		if c.g.chance(30) {
			r.state, r.took = rejected, c.g.between(time.Second, 5*time.Second)
		}
		c.now += r.took
		rings = append(rings, r)
	}
	wait, talk := c.now-begun, c.talks()
	by = c.g.agent(tried...)
	queueID = c.queue(begun, queued{q: q, parent: parent, from: from, wait: wait, talk: talk, answered: &by, reason: "Answered"})
	for _, r := range rings {
		r.parent = queueID
		c.agent(r)
	}
	agentID = c.agent(rang{a: by, q: &q, parent: queueID, begun: c.now, took: talk, state: connected})
	c.now += talk
	return queueID, agentID, by
}

func answered(c *making) {
	q, menu := c.inbound()
	c.serve(q, menu, q.ivr.name, 0)
}

// offeredInVain rings at one or two agents who do not answer, before one does.
func offeredInVain(c *making) {
	q, menu := c.inbound()
	c.serve(q, menu, q.ivr.name, 1+c.g.rand.IntN(2))
}

// transferred goes from an agent to another queue, now and then further to a third.
func transferred(c *making) {
	q, menu := c.inbound()
	parent, from := menu, q.ivr.name
	hops := 1
	if c.g.chance(20) {
		hops = 2
	}
	for range hops {
		begun, to := c.now, c.g.other(q)
		wait, talk := c.waits(), c.g.about(90*time.Second, 10*time.Second, 10*time.Minute)
		a := c.g.agent()
		id := c.queue(begun, queued{q: q, parent: parent, from: from, wait: wait, talk: talk, answered: &a, reason: "Transferred"})
		here := q
		parent = c.agent(rang{a: a, q: &here, parent: id, begun: begun + wait, took: talk, state: connected, transferring: true})
		from, q = q.name, to
		c.now = begun + wait + talk
	}
	c.serve(q, parent, from, 0)
}

// abandoned hangs up while it waits; it may have rung somewhere.
func abandoned(c *making) {
	q, menu := c.inbound()
	begun, wait := c.now, c.g.about(70*time.Second, 4*time.Second, 15*time.Minute)
	id := c.queue(begun, queued{q: q, parent: menu, from: q.ivr.name, wait: wait, reason: "Abandoned"})
	if rings := 15 * time.Second; wait > 2*rings && c.g.chance(40) {
		c.agent(rang{a: c.g.agent(), q: &q, parent: id, begun: begun + wait - rings, took: rings, state: missed})
	}
	c.now += wait
}

const tooLong = 3 * time.Minute

// overflow waits for too long, and is taken by another queue.
func overflow(c *making) {
	q, menu := c.inbound()
	to := c.g.other(q)
	id := c.queue(c.now, queued{q: q, parent: menu, from: q.ivr.name, wait: tooLong, reason: "TimedOut", transfer: "Queue", toID: to.id, toName: to.name})
	c.now += tooLong
	c.serve(to, id, q.name, c.g.rand.IntN(2))
}

func voicemail(c *making) {
	q, menu := c.inbound()
	c.queue(c.now, queued{q: q, parent: menu, from: q.ivr.name, wait: tooLong, reason: "TimedOut", transfer: "Voicemail", toName: q.name})
	c.now += tooLong + c.g.between(5*time.Second, 90*time.Second)
}

// callback leaves its number and is called when somebody is free.
func callback(c *making) {
	q, menu := c.inbound()
	wait := c.g.between(40*time.Second, tooLong)
	request := strconv.Itoa(9000 + c.g.rand.IntN(1000))
	id := c.queue(c.now, queued{q: q, parent: menu, from: q.ivr.name, wait: wait, reason: "CallbackRequested", callback: request})
	c.now += wait + c.g.about(12*time.Minute, time.Minute, time.Hour)
	talk := c.talks()
	c.agent(rang{a: c.g.agent(), q: &q, parent: id, begun: c.now, took: talk, state: connected, outbound: true})
	c.now += talk
}

// called calls an agent by number, who may not answer.
func called(c *making) {
	r := rang{a: c.g.agent(), took: c.talks(), state: connected}
	if c.g.chance(25) {
		r.state, r.took = missed, c.g.between(10*time.Second, 30*time.Second)
	}
	c.agent(r)
	c.now += r.took
}
