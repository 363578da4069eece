package core

// A simulated world around the core: no network, no broker, no real time.
// Real: the core, the tracker and its map, outcomes, breaker, limits. Modelled:
// partitions with gaps, delay topics, groups of senders that crash, are revoked
// and come back, endpoints of every temper. The ledger outside the core decides
// whether what was promised was kept.

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

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

func (a *agenda) Push(x any) { *a = append(*a, x.(event)) }

func (a *agenda) Pop() any { e := (*a)[len(*a)-1]; *a = (*a)[:len(*a)-1]; return e }

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
