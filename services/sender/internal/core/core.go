package core

import (
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/sender/internal/tracker"
)

// Subscriptions is what is known of aftercall.subscriptions. Offset is
// exclusive: every change below it has been applied.
type Subscriptions interface {
	Get(id string) (*subscription.Subscription, bool)
	Offset() int64
	// Stopped says that somebody ended the retries of a delivery.
	Stopped(deliveryID string) bool
}

// Config sets the limits of a core. Zero values take the defaults.
type Config struct {
	// MaxInFlight bounds the requests under way, 512.
	MaxInFlight int
	// Budget bounds the bytes of unfinished records, 64 MiB.
	Budget int
	// Window bounds the received records above a partition's commit, 131,072.
	Window int
	// MaxRuns bounds the runs of the offset map, tracker.MaxRuns.
	MaxRuns int
	// PartitionOf tells the partition of a key in aftercall.deliveries.
	PartitionOf func(key string) int32
}

const (
	// behindWait is how long a record waits in memory for the subscriptions it
	// was routed with, before it is put off.
	behindWait = time.Second
	// longWait makes a queued record one that waits too long when there is
	// pressure.
	longWait = 5 * time.Second
	// presence is how long an endpoint counts as there after its last record.
	presence = time.Minute
	// fairShare is the part of a shared limit that one may hold while others
	// are there.
	fairShare = 8
)

// Core holds what a sender has taken in. See the package comment.
type Core struct {
	cfg         Config
	subs        Subscriptions
	assignments map[int32]*assignment
	endpoints   map[string]*endpoint
	// ring of endpoints that may have something to send, served in turn.
	ring     []*endpoint
	sleeping []*endpoint
	// undecided are jobs without a subscription's queue: records of an unknown
	// version, to be parked.
	undecided []*Job
	inFlight  int
	replays   int
	bytes     int
	paused    bool
	relieved  time.Time
	// epoch counts assignments and revocations: shares depend on them.
	epoch    int
	counters Counters
	actions  []Action
	changes  []Change
	// nextWake is the earliest of the sleeping, wokenAt the subscriptions offset
	// at the last look.
	nextWake time.Time
	wokenAt  int64
	// looked is when all that wait were last walked past with every slot taken.
	looked time.Time
}

// lookEvery is how often that is done.
const lookEvery = 50 * time.Millisecond

// Counters count since the start.
type Counters struct {
	Duplicates int64
	Diverted   int64
}

// New returns a core without partitions.
func New(cfg Config, subs Subscriptions) *Core {
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 512
	}
	if cfg.Budget == 0 {
		cfg.Budget = 64 << 20
	}
	if cfg.Window == 0 {
		cfg.Window = 131072
	}
	if cfg.MaxRuns == 0 {
		cfg.MaxRuns = tracker.MaxRuns
	}
	return &Core{cfg: cfg, subs: subs, assignments: map[int32]*assignment{}, endpoints: map[string]*endpoint{}}
}

// Assign takes a partition over at its committed offset, with the map of what
// was finished above it.
func (c *Core) Assign(partition int32, committed int64, finished tracker.Map, metadata string) {
	c.assignments[partition] = &assignment{
		partition: partition,
		tracker:   tracker.New(committed, finished),
		active:    map[identity]*Job{},
		committed: Commit{committed, metadata},
		fresh:     true,
	}
	c.epoch++
}

// Admit takes one record in. Records of a partition come in the order of their
// offsets. A nil delivery is a record that this build cannot read.
func (c *Core) Admit(j *Job, now time.Time) {
	a := c.assignments[j.Partition]
	if a == nil || a.revoking {
		return
	}
	if !a.tracker.Receive(j.Offset) {
		return
	}
	j.assignment, j.admitted, j.stage = a, now, queued
	c.bytes += j.Size
	if j.Delivery == nil {
		c.undecided = append(c.undecided, j)
		return
	}
	id := j.identity()
	if first := a.active[id]; first != nil {
		first.copies = append(first.copies, j)
		return
	}
	if a.recent.has(id) {
		c.counters.Duplicates++
		c.finish(j)
		return
	}
	a.active[id] = j
	e := c.endpoint(j.Delivery.GetSubscriptionId())
	j.endpoint, e.lastSeen = e, now
	e.bytes += j.Size
	e.push(j)
	c.ready(e)
}

func (c *Core) endpoint(id string) *endpoint {
	e := c.endpoints[id]
	if e == nil {
		e = &endpoint{id: id, queuedIn: map[int32]int{}}
		c.endpoints[id] = e
	}
	return e
}

// ready puts an endpoint with work into the ring, unless it sleeps.
func (c *Core) ready(e *endpoint) {
	if !e.ready && e.sleepUntil.IsZero() && e.queued() > 0 {
		e.ready = true
		c.ring = append(c.ring, e)
	}
}

func (c *Core) sleep(e *endpoint, until time.Time) {
	e.sleepUntil = until
	c.sleeping = append(c.sleeping, e)
	if c.nextWake.IsZero() || until.Before(c.nextWake) {
		c.nextWake = until
	}
}

// Pause stops Next from starting anything: no outcome could be kept, or the
// group's health is in doubt. What is held stays.
func (c *Core) Pause(paused bool) { c.paused = paused }

// Next says what to do now. The slice is valid until the next call.
func (c *Core) Next(now time.Time) []Action {
	clear(c.actions)
	c.actions = c.actions[:0]
	if c.paused {
		return nil
	}
	for _, j := range c.undecided {
		c.take(j)
		c.act(Action{Kind: Park, Job: j, Reason: "record version unknown"})
	}
	c.undecided = c.undecided[:0]
	c.wake(now)
	c.relieve(now)
	// Who stands in the ring while every slot is taken can get none; what else may
	// be done for it (to end, to put off) is looked for now and then. Otherwise each
	// answer would walk past all that wait.
	look := !now.Before(c.looked.Add(lookEvery))
	for passed := 0; len(c.ring) > 0 && passed < len(c.ring); {
		if c.full() {
			if !look {
				break
			}
			c.looked = now
		}
		e := c.ring[0]
		c.ring[0] = nil
		c.ring = c.ring[1:]
		e.ready = false
		switch {
		case c.serve(e, now):
			passed = 0
		case e.ready:
			passed++
		}
	}
	return c.actions
}

// wake returns sleeping endpoints whose time has come.
func (c *Core) wake(now time.Time) {
	offset := c.subs.Offset()
	if len(c.sleeping) == 0 || now.Before(c.nextWake) && offset == c.wokenAt {
		return
	}
	before := c.wokenAt
	c.wokenAt, c.nextWake = offset, time.Time{}
	kept := c.sleeping[:0]
	for _, e := range c.sleeping {
		// Any change of a subscription may be one of what it sleeps for.
		if now.Before(e.sleepUntil) && offset == before {
			kept = append(kept, e)
			if c.nextWake.IsZero() || e.sleepUntil.Before(c.nextWake) {
				c.nextWake = e.sleepUntil
			}
			continue
		}
		e.sleepUntil = time.Time{}
		c.ready(e)
	}
	clear(c.sleeping[len(kept):])
	c.sleeping = kept
}

// full says whether every slot is taken.
func (c *Core) full() bool { return c.inFlight >= c.cfg.MaxInFlight }

// Wake is when Next has something to do at the latest, zero when only an event
// can bring something.
func (c *Core) Wake() time.Time {
	if c.full() && len(c.ring) > 0 {
		if look := c.looked.Add(lookEvery); c.nextWake.IsZero() || look.Before(c.nextWake) {
			return look
		}
	}
	return c.nextWake
}

func (c *Core) act(a Action) { c.actions = append(c.actions, a) }
