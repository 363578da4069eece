package core

import (
	"container/heap"
	"flag"
	"fmt"
	"runtime"
	"sort"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
	"github.com/aftercall/aftercall/services/sender/internal/tracker"
)

var (
	oneSeed = flag.Uint64("sim.seed", 0, "run only this seed of the simulation")
	seeds   = flag.Int("sim.seeds", seedsToRun, "seeds of the simulation to run")
)

func TestAnySimulatedWorldKeepsTheInvariants(t *testing.T) {
	first, n := uint64(1), *seeds
	if *oneSeed != 0 {
		first, n = *oneSeed, 1
	}
	if testing.Short() {
		n = min(n, 100)
	}
	// As many walk through the seeds as there are cores.
	var next atomic.Uint64
	next.Store(first)
	for i := range min(n, runtime.GOMAXPROCS(0)) {
		t.Run("walk "+strconv.Itoa(i+1), func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1) - 1; seed < first+uint64(n); seed = next.Add(1) - 1 {
				w := newWorld(seed)
				if err := w.run(); err != nil {
					t.Fatalf("seed %d: %v\nrun it again: go test ./services/sender/internal/core -run Simulated -sim.seed=%d -v\nplan: %s", seed, err, seed, w.plan)
				}
				if *oneSeed != 0 {
					t.Logf("plan: %s\n%s", w.plan, w.summary())
				}
			}
		})
	}
}

// member is one sender of the group.
type member struct {
	w       *world
	name    string
	core    *Core
	epoch   int
	polling bool
	commits bool
	ticking bool
	// sinceCommit counts settled jobs that no durable commit tells of.
	sinceCommit int
}

func (w *world) run() error {
	w.join()
	w.traffic()
	w.trouble()
	horizon := start.Add(80 * time.Hour)
	for len(w.agenda) > 0 && w.failed == nil {
		e := heap.Pop(&w.agenda).(event)
		if e.at.After(horizon) {
			w.now = e.at
			w.fail("still busy after 80 hours")
			break
		}
		w.now = e.at
		w.events++
		if w.events > 2_000_000 {
			w.fail("two million events")
			break
		}
		e.do()
	}
	if w.failed == nil {
		w.audit()
	}
	return w.failed
}

// join deals the partitions out.
func (w *world) join() {
	for _, m := range w.members {
		m.begin()
	}
	for p := range w.logs {
		w.members[p%len(w.members)].take(int32(p))
	}
}

// traffic makes the router's deliveries over the first minutes.
func (w *world) traffic() {
	n := 20 + w.rng.IntN(200)
	span := w.between(time.Second, 10*time.Minute)
	for i := range n {
		sub := w.subs[fmt.Sprintf("sub-%d", w.rng.IntN(len(w.subs)))]
		cause := aftercallv1.Cause_CAUSE_CALL_ENDED
		if w.rng.IntN(10) == 0 {
			cause = aftercallv1.Cause_CAUSE_REPLAY
		}
		id := fmt.Sprintf("dlv-%d", i)
		w.after(w.between(0, span), func() {
			d := &aftercallv1.Delivery{
				DeliveryId: id, EventId: "evt-" + id, SubscriptionId: sub.ID, Attempt: 1, Cause: cause,
				FirstQueuedAt: timestamppb.New(w.now),
			}
			w.book[id] = &ledger{
				deadline: w.now.Add(progressOf(d, sub).Schedule.MaxAge), sub: sub.ID, posts: map[int32]int{},
				ends: map[aftercallv1.DeliveryState]int{}, due: map[int32]time.Time{1: w.now},
			}
			w.append(record.ShardKey(d, sub.MaxConcurrency), d)
			if w.rng.IntN(30) == 0 {
				// The router's batch was torn and repeated.
				w.append(record.ShardKey(d, sub.MaxConcurrency), proto.CloneOf(d))
			}
		})
	}
}

// trouble plans crashes, rebalances, pauses and edits.
func (w *world) trouble() {
	for range w.rng.IntN(6) {
		m := w.members[w.rng.IntN(len(w.members))]
		at := w.between(0, 30*time.Minute)
		switch w.rng.IntN(4) {
		case 0:
			w.plan += fmt.Sprintf("; %s crashes at %s", m.name, at)
			w.after(at, m.crash)
		case 1:
			other := w.members[w.rng.IntN(len(w.members))]
			w.plan += fmt.Sprintf("; %s hands over to %s at %s", m.name, other.name, at)
			w.after(at, func() { m.handOver(other) })
		case 2:
			w.plan += fmt.Sprintf("; %s loses its partitions at %s", m.name, at)
			w.after(at, m.lose)
		case 3:
			id := fmt.Sprintf("sub-%d", w.rng.IntN(len(w.subs)))
			w.plan += fmt.Sprintf("; %s is edited at %s", id, at)
			how := w.rng.IntN(5)
			w.after(at, func() { w.edit(id, how) })
		}
	}
}

func (w *world) edit(id string, how int) {
	old := w.subs[id]
	if old == nil {
		return
	}
	s := *old
	s.Version++
	switch how {
	case 0:
		s.Active = false
	case 1:
		s.PausedUntil = w.now.Add(w.between(time.Minute, 4*time.Hour))
	case 2:
		s.DiscardBefore = w.now
	case 3:
		s.Endpoint += "moved"
		w.tempers[id] = w.temper()
	case 4:
		delete(w.subs, id)
		w.offset++
		return
	}
	w.subs[id] = &s
	w.offset++
}

func (m *member) begin() {
	m.epoch++
	m.core = New(Config{
		MaxInFlight: 40, Budget: 60_000, MaxRuns: 60, Window: 4000, PartitionOf: m.w.partitionOf,
	}, m.w)
	m.polling, m.commits, m.ticking, m.sinceCommit = false, false, false, 0
}

// later runs do unless the member has crashed meanwhile.
func (m *member) later(d time.Duration, do func()) {
	epoch := m.epoch
	m.w.after(d, func() {
		if m.epoch == epoch {
			do()
		}
	})
}

func (m *member) take(p int32) {
	l := m.w.logs[p]
	finished, err := tracker.DecodeMap(l.committed.Offset, l.committed.Metadata)
	if err != nil {
		m.w.fail("partition %d: %v", p, err)
		return
	}
	l.owner, l.paused, l.fetch = m, false, 0
	l.fetch = sort.Search(len(l.entries), func(i int) bool { return l.entries[i].offset >= l.committed.Offset })
	m.core.Assign(p, l.committed.Offset, finished, l.committed.Metadata)
	m.wantPoll()
}

func (m *member) wantPoll() {
	if !m.polling {
		m.polling = true
		m.later(m.w.between(time.Millisecond, 20*time.Millisecond), m.poll)
	}
}

func (m *member) poll() {
	m.polling = false
	more := false
	for p, l := range m.w.logs {
		if l.owner != m || l.paused {
			continue
		}
		for n := 0; n < 50 && l.fetch < len(l.entries) && !m.core.Full(); n++ {
			e := l.entries[l.fetch]
			l.fetch++
			m.core.Admit(&Job{Delivery: e.delivery, Key: []byte(e.key), Partition: int32(p), Offset: e.offset, Size: 700}, m.w.now)
		}
		more = more || l.fetch < len(l.entries)
	}
	m.step()
	if more && !m.core.Full() {
		m.wantPoll()
	}
}

// step does what the core says.
func (m *member) step() {
	full := m.core.Full()
	actions := append([]Action(nil), m.core.Next(m.w.now)...)
	pause, resume := m.core.Intake()
	for _, p := range pause {
		m.w.logs[p].paused = true
	}
	for _, p := range resume {
		m.w.logs[p].paused = false
	}
	if len(resume) > 0 || full && !m.core.Full() {
		m.wantPoll()
	}
	for _, a := range actions {
		switch a.Kind {
		case Post:
			m.post(a)
		case Divert:
			d := proto.CloneOf(a.Job.Delivery)
			d.Deferrals++
			d.WaitReason = a.Reason
			m.settle(a.Job, func() { m.w.wait(a.Tier, string(a.Job.Key), d) })
		case End:
			m.settle(a.Job, func() { m.w.end(a.Job.Delivery, a.State) })
		case Park:
			m.w.fail("a readable record was parked")
		}
	}
	m.core.Changes()
	if m.core.Stats().Held > 0 && !m.ticking {
		m.ticking = true
		wait := time.Second
		if wake := m.core.Wake(); !wake.IsZero() {
			wait = min(wait, max(wake.Sub(m.w.now), time.Millisecond))
		}
		m.later(wait, func() { m.ticking = false; m.step() })
	}
}

func (m *member) post(a Action) {
	w, d := m.w, a.Job.Delivery
	l := w.book[d.GetDeliveryId()]
	if due := l.due[d.GetAttempt()]; due.IsZero() || w.now.Before(due) {
		w.fail("%s attempt %d before it is due", d.GetDeliveryId(), d.GetAttempt())
	}
	l.posts[d.GetAttempt()]++
	if int(d.GetAttempt()) > a.Progress.Schedule.Attempts() {
		w.fail("%s attempt %d of %d", d.GetDeliveryId(), d.GetAttempt(), a.Progress.Schedule.Attempts())
	}
	if w.now.After(l.deadline) {
		w.fail("%s sent beyond its maximum age", d.GetDeliveryId())
	}
	flight := fmt.Sprint(m.name, m.epoch, "/", d.GetSubscriptionId())
	w.inFlight[flight]++
	if w.inFlight[flight] > a.Subscription.MaxConcurrency {
		w.fail("%d requests at once to %s", w.inFlight[flight], d.GetSubscriptionId())
	}
	answer, took := w.tempers[d.GetSubscriptionId()].answer(w.now)
	epoch := m.epoch
	w.after(took, func() {
		w.inFlight[flight]--
		accepted := answer.Status >= 200 && answer.Status <= 299
		if accepted {
			l.accepted++
		}
		if m.epoch != epoch {
			return
		}
		if a.Job.Lost() {
			m.core.Abandoned(a.Job)
			m.step()
			return
		}
		v := outcome.Decide(answer, a.Progress, w.now)
		m.core.Answered(a.Job, a.Subscription, answer, v, w.now)
		m.settle(a.Job, func() {
			if v.State == outcome.StateWaiting {
				next := proto.CloneOf(d)
				next.Attempt++
				next.Deferrals, next.WaitReason = 0, ""
				w.wait(v.Wait, string(a.Job.Key), next)
				return
			}
			if v.State == outcome.StateDelivered && l.accepted == 0 {
				w.fail("%s delivered without a 2xx", d.GetDeliveryId())
			}
			w.end(d, v.State)
		})
		m.step()
	})
}

// settle makes an outcome durable after a while, and tells the core a little
// later. A crash in between leaves it durable and untold.
func (m *member) settle(j *Job, durable func()) {
	m.later(m.w.between(0, 15*time.Millisecond), func() {
		durable()
		m.w.finish(j)
		m.later(m.w.between(0, 5*time.Millisecond), func() {
			for _, c := range j.copies {
				m.w.finish(c)
			}
			m.core.Settled(j)
			m.sinceCommit++
			if !m.commits {
				m.commits = true
				m.later(m.w.between(5*time.Millisecond, 250*time.Millisecond), func() { m.commits = false; m.commit() })
			}
			m.step()
		})
	})
}

// commit says whether the broker knows what is finished.
func (m *member) commit() bool {
	commits := m.core.Commits()
	if m.w.rng.IntN(20) == 0 {
		// It times out and never lands; the next one says it all.
		m.commits = true
		m.later(50*time.Millisecond, func() { m.commits = false; m.commit() })
		return false
	}
	for p, c := range commits {
		l := m.w.logs[p]
		if l.owner != m {
			continue
		}
		if c.Offset < l.committed.Offset {
			m.w.fail("the commit of partition %d goes back from %d to %d", p, l.committed.Offset, c.Offset)
		}
		if len(c.Metadata) > tracker.MaxMetadata {
			m.w.fail("%d bytes of metadata", len(c.Metadata))
		}
		finished, err := tracker.DecodeMap(c.Offset, c.Metadata)
		if err != nil {
			m.w.fail("the map of partition %d: %v", p, err)
		}
		check := func(i int) {
			if e := l.entries[i]; !e.settled && !m.w.done[(&Job{Delivery: e.delivery}).identity()] {
				m.w.fail("partition %d: offset %d is committed over and not finished", p, e.offset)
			}
		}
		for ; l.checked < len(l.entries) && l.entries[l.checked].offset < c.Offset; l.checked++ {
			check(l.checked)
		}
		for _, run := range finished {
			for o := run.From; o <= run.To; o++ {
				if i, ok := l.at[o]; ok {
					check(i)
				}
			}
		}
		l.committed = c
	}
	m.core.Committed(commits)
	m.sinceCommit = 0
	return true
}

// crash kills a member; it is back, or its partitions go to another, after a
// session.
func (m *member) crash() {
	w := m.w
	w.broken++
	w.repeatsAllowed += m.core.Stats().InFlight + m.settling() + m.sinceCommit
	m.begin()
	m.regain()
}

// settling counts jobs whose outcome may be durable and is not told yet.
func (m *member) settling() int {
	n := 0
	for _, a := range m.core.assignments {
		n += a.busy
	}
	return n
}

// regain gives the member's partitions back after a while, to it or to another.
func (m *member) regain() {
	w := m.w
	var mine []int32
	for p, l := range w.logs {
		if l.owner == m {
			l.owner = nil
			mine = append(mine, int32(p))
		}
	}
	next := w.members[w.rng.IntN(len(w.members))]
	w.after(w.between(0, 10*time.Second), func() {
		for _, p := range mine {
			if w.logs[p].owner == nil {
				next.take(p)
			}
		}
	})
}

// lose takes a living member's partitions away, as after a missed session.
func (m *member) lose() {
	w := m.w
	w.broken++
	w.repeatsAllowed += m.core.Stats().InFlight + m.settling() + m.sinceCommit
	for p, l := range w.logs {
		if l.owner == m {
			m.core.Forget(int32(p))
		}
	}
	m.regain()
}

// handOver gives the partitions to another, cleanly.
func (m *member) handOver(other *member) {
	w := m.w
	if other == m {
		return
	}
	var mine []int32
	for p, l := range w.logs {
		if l.owner == m {
			mine = append(mine, int32(p))
			m.core.Revoke(int32(p))
			l.paused = true
		}
	}
	var try func()
	try = func() {
		for _, p := range mine {
			if m.core.Busy(p) > 0 {
				m.later(100*time.Millisecond, try)
				return
			}
		}
		// As the engine does, it does not take one refusal for an answer.
		for !m.commit() {
		}
		for _, p := range mine {
			if w.logs[p].owner != m {
				continue
			}
			m.core.Forget(p)
			other.take(p)
		}
		m.step()
	}
	try()
}
