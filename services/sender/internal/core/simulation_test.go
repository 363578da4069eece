package core

// A simulated world around the core: no network, no broker, no real time.
// Real: the core, the tracker and its map, outcomes, breaker, limits. Modelled:
// partitions with gaps, delay topics, groups of senders that crash, are revoked
// and come back, endpoints of every temper. The ledger outside the core decides
// whether what was promised was kept.

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sort"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
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

// event of the world's clock.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type agenda []event

func (a *agenda) Len() int { return len(*a) }
func (a *agenda) Less(i, j int) bool {
	x, y := (*a)[i], (*a)[j]
	return x.at.Before(y.at) || x.at.Equal(y.at) && x.seq < y.seq
}
func (a *agenda) Swap(i, j int) { (*a)[i], (*a)[j] = (*a)[j], (*a)[i] }
func (a *agenda) Push(x any)    { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any      { e := (*a)[len(*a)-1]; *a = (*a)[:len(*a)-1]; return e }

// entry of a partition's log.
type entry struct {
	offset   int64
	key      string
	delivery *aftercallv1.Delivery
	settled  bool
}

type log struct {
	entries []entry
	// at finds an entry by its offset; below checked all are finished.
	at        map[int64]int
	checked   int
	next      int64
	committed Commit
	// position of the current owner's next fetch, an index into entries.
	fetch  int
	owner  *member
	paused bool
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

// ledger is what happened to one delivery, as seen from outside.
type ledger struct {
	deadline time.Time
	sub      string
	posts    map[int32]int
	accepted int
	ends     map[aftercallv1.DeliveryState]int
	endedAt  time.Time
	due      map[int32]time.Time
	waiting  int
}

// temper of an endpoint.
type temper struct {
	name string
	// answer tells what comes after how long.
	answer func(now time.Time) (outcome.Answer, time.Duration)
}

type world struct {
	rng     *rand.Rand
	plan    string
	now     time.Time
	agenda  agenda
	seq     int
	logs    []*log
	members []*member
	subs    map[string]*subscription.Subscription
	offset  int64
	tempers map[string]temper
	book    map[string]*ledger
	failed  error
	// broken counts crashes and lost partitions; repeatsAllowed what they may cost.
	broken         int
	repeatsAllowed int
	inFlight       map[string]int
	// done holds the tries whose outcome is durable: copies need no other.
	done   map[identity]bool
	events int
}

// Get and Offset make the world the core's view of subscriptions.
func (w *world) Get(id string) (*subscription.Subscription, bool) { s, ok := w.subs[id]; return s, ok }

// Offset of the subscriptions known.
func (w *world) Offset() int64 { return w.offset }

// Stopped is nobody's wish here.
func (w *world) Stopped(string) bool { return false }

func newWorld(seed uint64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 7)), now: start, subs: map[string]*subscription.Subscription{},
		tempers: map[string]temper{}, book: map[string]*ledger{}, inFlight: map[string]int{}, done: map[identity]bool{},
	}
	w.logs = make([]*log, 1+w.rng.IntN(4))
	for i := range w.logs {
		w.logs[i] = &log{at: map[int64]int{}}
	}
	for i := range 1 + w.rng.IntN(3) {
		w.members = append(w.members, &member{w: w, name: fmt.Sprintf("sender-%d", i)})
	}
	for i := range 1 + w.rng.IntN(6) {
		id := fmt.Sprintf("sub-%d", i)
		s := &subscription.Subscription{
			ID: id, Version: 1, Active: true, Endpoint: "https://" + id + ".example/",
			MaxConcurrency: []int{1, 3, 8, 20}[w.rng.IntN(4)], Schedule: []string{"once", "1h", "72h", "72h"}[w.rng.IntN(4)],
		}
		if w.rng.IntN(5) == 0 {
			s.RateLimit = []float64{0.5, 5, 50}[w.rng.IntN(3)]
		}
		w.subs[id] = s
		w.tempers[id] = w.temper()
		w.plan += fmt.Sprintf("%s %s c=%d %s r=%v; ", id, w.tempers[id].name, s.MaxConcurrency, s.Schedule, s.RateLimit)
	}
	w.plan += fmt.Sprintf("%d partitions, %d senders", len(w.logs), len(w.members))
	return w
}

func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)+1))
}

func (w *world) temper() temper {
	ok := outcome.Answer{Status: 200}
	bad := outcome.Answer{Status: []int{500, 503, 404, 400}[w.rng.IntN(4)], Class: aftercallv1.Attempt_ERROR_CLASS_STATUS}
	quick := func() time.Duration { return w.between(time.Millisecond, 80*time.Millisecond) }
	switch w.rng.IntN(8) {
	case 0:
		return temper{"dead", func(time.Time) (outcome.Answer, time.Duration) {
			return outcome.Answer{Class: aftercallv1.Attempt_ERROR_CLASS_CONNECT, Error: "refused"}, quick()
		}}
	case 1:
		return temper{"hole", func(time.Time) (outcome.Answer, time.Duration) {
			return outcome.Answer{Class: aftercallv1.Attempt_ERROR_CLASS_TIMEOUT, Error: "nothing"}, 20 * time.Second
		}}
	case 2:
		back := start.Add(w.between(time.Minute, 8*time.Hour))
		return temper{"down until " + back.Format(time.TimeOnly), func(now time.Time) (outcome.Answer, time.Duration) {
			if now.Before(back) {
				return bad, quick()
			}
			return ok, quick()
		}}
	case 3:
		return temper{"flapping", func(now time.Time) (outcome.Answer, time.Duration) {
			if now.Unix()/90%2 == 0 {
				return bad, quick()
			}
			return ok, quick()
		}}
	case 4:
		return temper{"throttling", func(time.Time) (outcome.Answer, time.Duration) {
			if w.rng.IntN(3) == 0 {
				return outcome.Answer{Status: 429, RetryAfter: fmt.Sprint(w.rng.IntN(900)), Class: aftercallv1.Attempt_ERROR_CLASS_STATUS}, quick()
			}
			return ok, quick()
		}}
	case 5:
		share := w.rng.IntN(100)
		return temper{fmt.Sprintf("fails %d%%", share), func(time.Time) (outcome.Answer, time.Duration) {
			if w.rng.IntN(100) < share {
				return bad, quick()
			}
			return ok, quick()
		}}
	case 6:
		return temper{"slow", func(time.Time) (outcome.Answer, time.Duration) { return ok, w.between(time.Second, 14*time.Second) }}
	}
	return temper{"healthy", func(time.Time) (outcome.Answer, time.Duration) { return ok, quick() }}
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.agenda, event{w.now.Add(d), w.seq, do})
}

func (w *world) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = fmt.Errorf(format+" (at %s)", append(args, w.now.Sub(start))...)
	}
}

func (w *world) partitionOf(key string) int32 {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return int32(h % uint32(len(w.logs)))
}

// append puts a delivery into its partition, sometimes behind a gap.
func (w *world) append(key string, d *aftercallv1.Delivery) {
	p := w.partitionOf(key)
	l := w.logs[p]
	if w.rng.IntN(10) == 0 {
		l.next += 1 + w.rng.Int64N(3)
	}
	l.at[l.next] = len(l.entries)
	l.entries = append(l.entries, entry{offset: l.next, key: key, delivery: d})
	l.next++
	if l.owner != nil {
		l.owner.wantPoll()
	}
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

// finish notes that a record's outcome is durable.
func (w *world) finish(j *Job) {
	l := w.logs[j.Partition]
	l.entries[l.at[j.Offset]].settled = true
	w.done[j.identity()] = true
}

func (w *world) wait(tier topic.Tier, key string, d *aftercallv1.Delivery) {
	l := w.book[d.GetDeliveryId()]
	if due := w.now.Add(tier.Dwell); l.due[d.GetAttempt()].IsZero() || due.Before(l.due[d.GetAttempt()]) {
		l.due[d.GetAttempt()] = due
	}
	l.waiting++
	w.after(tier.Dwell+w.between(0, 20*time.Millisecond), func() {
		l.waiting--
		w.append(key, d)
	})
}

func (w *world) end(d *aftercallv1.Delivery, state aftercallv1.DeliveryState) {
	l := w.book[d.GetDeliveryId()]
	l.ends[state]++
	if l.endedAt.IsZero() {
		l.endedAt = w.now
	}
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

// audit looks at the books when nothing moves any more.
func (w *world) audit() {
	repeats := 0
	for id, l := range w.book {
		if len(l.ends) == 0 {
			w.fail("%s has no end: posts %v, %d waiting", id, l.posts, l.waiting)
			return
		}
		if w.broken == 0 && len(l.ends) > 1 {
			w.fail("%s has two ends without a crash: %v", id, l.ends)
		}
		if slack := 5 * time.Minute; l.endedAt.After(l.deadline.Add(slack)) {
			w.fail("%s ended %v after its maximum age", id, l.endedAt.Sub(l.deadline))
		}
		for attempt, n := range l.posts {
			repeats += n - 1
			if attempt > 1 && l.posts[attempt-1] == 0 {
				w.fail("%s skipped attempt %d", id, attempt-1)
			}
		}
	}
	// What is repeated once is repeated over the attempts that remain.
	if allowed := w.repeatsAllowed * 13; repeats > allowed {
		w.fail("%d repeats, %d allowed", repeats, allowed)
	}
	for _, m := range w.members {
		if s := m.core.Stats(); s.Held != 0 || s.Bytes != 0 || s.InFlight != 0 {
			w.fail("%s still holds %+v", m.name, s)
		}
	}
	for p, l := range w.logs {
		if l.owner == nil {
			continue
		}
		for !l.owner.commit() {
		}
		if len(l.entries) > 0 && l.committed.Offset <= l.entries[len(l.entries)-1].offset {
			w.fail("partition %d: committed %d of %d", p, l.committed.Offset, l.next)
		}
	}
}

func (w *world) summary() string {
	ends, posts := map[aftercallv1.DeliveryState]int{}, 0
	for _, l := range w.book {
		for s, n := range l.ends {
			ends[s] += n
		}
		for _, n := range l.posts {
			posts += n
		}
	}
	return fmt.Sprintf("%d deliveries, %d posts, ends %v, %d broken, %d events, %v simulated", len(w.book), posts, ends, w.broken, w.events, w.now.Sub(start))
}
