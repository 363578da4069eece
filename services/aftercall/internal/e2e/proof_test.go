//go:build proof

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// proven is one line of docs/reliability.md.
type proven struct {
	Fault     string `json:"fault"`
	Engine    string `json:"engine"`
	Runs      int    `json:"runs"`
	CDRs      int    `json:"cdrs"`
	Lost      int    `json:"lost"`
	Repeated  int    `json:"repeated"`
	Bound     int    `json:"bound"`
	Recovered string `json:"recovered"`
}

// note writes the line where AFTERCALL_TEST_PROOF_RESULTS says, for tools/reliability.
func note(t *testing.T, p proven) {
	t.Helper()
	t.Logf("%+v", p)
	path := os.Getenv("AFTERCALL_TEST_PROOF_RESULTS")
	if path == "" || t.Failed() {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(p); err != nil {
		t.Fatal(err)
	}
}

// lost counts the CDRs that the report finds without their end.
func lost(r *verify.Report) int {
	n := 0
	for _, v := range r.Violations {
		if v.Invariant == "I1" || v.Invariant == "I2" || v.Invariant == "I3" {
			n += v.Count
		}
	}
	return n
}

// sustain produces at a rate until it is stopped, which answers how many it were.
func (u *upstream) sustain(topicName string, perSecond int) (stop func() int) {
	end, ended := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-end:
				ended <- n
				return
			default:
				n += perSecond / 2
				<-u.send(topicName, perSecond/2, perSecond)
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		close(end)
		return <-ended
	})
	// A proof that fails ends the load too, before its clients are closed.
	u.t.Cleanup(func() { stop() })
	return stop
}

// since are the requests of the last while.
func (r *receiver) since(d time.Duration) []listen.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, _ := slices.BinarySearchFunc(r.times, time.Now().Add(-d), time.Time.Compare)
	out := make([]listen.Entry, 0, len(r.times)-first)
	for _, at := range r.times[first:] {
		out = append(out, listen.Entry{Time: at})
	}
	return out
}

// moment waits for some time of the work, drawn anew for each kill: what is under
// way then is what differs between two kills.
func moment(most time.Duration) {
	<-time.After(time.Duration(rand.Int64N(int64(most))))
}

// kills of a proof that promises so many: fewer where AFTERCALL_TEST_PROOF_SHARE says,
// to try the proof itself.
func kills(t *testing.T, n int) int {
	t.Helper()
	text := os.Getenv("AFTERCALL_TEST_PROOF_SHARE")
	if text == "" {
		return n
	}
	var share float64
	if _, err := fmt.Sscan(text, &share); err != nil {
		t.Fatalf("AFTERCALL_TEST_PROOF_SHARE is %q: %v", text, err)
	}
	return max(2, int(float64(n)*share))
}

// recovery is the longest of what was measured.
type recovery struct{ longest time.Duration }

// until measures how long cond takes to come true.
func (r *recovery) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	began := time.Now()
	wait(t, what, cond)
	r.longest = max(r.longest, time.Since(began))
}

func (r *recovery) String() string { return r.longest.Round(10 * time.Millisecond).String() }

func TestProofThatKillsOfTheOneProcessLoseNothing(t *testing.T) {
	n := kills(t, 300)
	d, p := newOneProcess(t, filepath.Join(t.TempDir(), "data"), topic.TypeIvr, listen.Options{Delay: 2 * time.Millisecond})
	stop := d.upstream.sustain(topic.CDRIvr, 100)
	limit := 0
	var back recovery
	for kill := range n {
		moment(1500 * time.Millisecond)
		limit += inFlight + int(float64(rate(d.receiver.since(5*time.Second)))*(2*commitEvery).Seconds())
		p.kill()
		before := d.receiver.requests()
		p = d.begin()
		if kill%4 == 3 {
			continue // the next kill comes while it starts
		}
		back.until(t, "a request after the kill", func() bool { return d.receiver.requests() > before })
	}
	total := stop()
	d.ready(p)
	report := d.judge(total, limit)
	note(t, proven{"kill −9 of the whole process at any moment, while it starts too", "one process", n, total, lost(report), report.Repeats, limit, back.String()})
}

// TestProofThatKillsOfAnyServiceLoseNothing kills one service after the other
// within one running load on a real Kafka and PostgreSQL.
func TestProofThatKillsOfAnyServiceLoseNothing(t *testing.T) {
	for _, victim := range []string{"router", "sender", "projector", "admin"} {
		t.Run(victim, func(t *testing.T) {
			s := onReal(t)
			r := newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})
			u := newUpstream(t, s.kafka)
			s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
			env := map[string][]string{"sender": append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...), "admin": open}
			running := map[string]*process{}
			for _, name := range []string{"router", "sender", "projector", victim} {
				if running[name] == nil {
					running[name] = s.begin(name, env[name]...)
				}
			}
			for _, p := range running {
				p.ready()
			}
			stop := u.sustain(topic.CDRQueue, 400)
			n, limit := kills(t, 50), 0
			var back recovery
			for kill := range n {
				moment(1200 * time.Millisecond)
				if victim == "sender" {
					limit += inFlight + int(float64(rate(r.since(5*time.Second)))*(3*commitEvery).Seconds())
				}
				running[victim].kill()
				before := r.requests()
				running[victim] = s.begin(victim, env[victim]...)
				switch {
				case kill%4 == 3: // the next kill comes while it starts
				case victim == "projector" || victim == "admin":
					back.until(t, victim+" to be ready", func() bool { _, ok := running[victim].said("service.started"); return ok })
					running[victim].ready()
				default:
					back.until(t, "a request after the kill", func() bool { return r.requests() > before })
				}
			}
			total := stop()
			s.settled(r, total)
			report := s.judge(u, r, limit)
			note(t, proven{"kill −9 of " + victim, "real Kafka, PostgreSQL", n, total, lost(report), report.Repeats, limit, back.String()})
		})
	}
}

func TestProofThatEndlessRebalancesRepeatNothing(t *testing.T) {
	s := onReal(t)
	r := newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})
	u := newUpstream(t, s.kafka)
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
	for _, name := range []string{"router", "projector"} {
		s.start(name)
	}
	s.start("sender", open...)
	stop := u.sustain(topic.CDRQueue, 300)
	n := kills(t, 300) // every 2 s, for 10 minutes
	for range n {
		other := s.begin("sender", append([]string{"AFTERCALL_INSTANCE=sender-1"}, open...)...)
		other.says("partition.assigned")
		moment(time.Second)
		other.stop()
	}
	total := stop()
	s.settled(r, total)
	report := s.judge(u, r, 0)
	note(t, proven{"a second sender joins and leaves (SIGTERM), again and again", "real Kafka, PostgreSQL", n, total, lost(report), report.Repeats, 0, "no pause asked for"})
}

// settled waits until all that was produced has its end, at the receiver and in
// the store.
func (s *stage) settled(r *receiver, produced int) {
	s.t.Helper()
	wait(s.t, "every delivery", func() bool { return r.delivered() >= produced })
	rest(s.t, s.kafka, s.store)
}
