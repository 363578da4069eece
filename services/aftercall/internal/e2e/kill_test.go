package e2e

import (
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

const (
	calls     = 5000
	perSecond = 2000
)

// commitEvery is the longest pause between two commits of a sender.
const commitEvery = 250 * time.Millisecond

// bound is I6 for one kill: what is in flight, and what a commit interval brings.
// The interval is from what one commit knew to the answer of the next: the pause
// and two commits, as long as they really took. Outcomes that the broker has not
// acknowledged are in flight, too, for about as long as a commit.
func bound(t *testing.T, sender *process, rate int) int {
	t.Helper()
	took := longest(t, sender, "aftercall_sender_commit_duration_seconds")
	interval := commitEvery + 3*took
	n := inFlight + int(float64(rate)*interval.Seconds())
	t.Logf("bound of repeats: %d in flight + (%s + 3 × %s of a commit) × %d/s = %d", inFlight, commitEvery, took, rate, n)
	return n
}

// pipeline is router, sender and projector with one subscription, under load.
type pipeline struct {
	*stage
	calls                     int
	receiver                  *receiver
	upstream                  *upstream
	router, sender, projector *process
	produced                  <-chan struct{}
}

func underLoad(t *testing.T, s *stage, senderEnv ...string) *pipeline {
	t.Helper()
	p := &pipeline{stage: s, calls: calls, upstream: newUpstream(t, s.kafka), receiver: newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})}
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: p.receiver.URL + "/ok"})
	p.router = s.begin("router")
	p.sender = s.begin("sender", append(senderEnv, open...)...)
	p.projector = s.begin("projector")
	for _, service := range []*process{p.router, p.sender, p.projector} {
		service.ready()
	}
	p.produced = p.upstream.send(topic.CDRQueue, p.calls, perSecond)
	return p
}

// midway waits until the work is well under way, and sees to it that it is not over
// soon.
func (p *pipeline) midway(done func() int) {
	p.t.Helper()
	wait(p.t, "the middle of the work", func() bool { return done() >= p.calls*2/5 })
	p.more()
}

// more keeps the load up, however long a busy machine takes for what a test does.
func (p *pipeline) more() {
	if p.calls-p.receiver.delivered() < 1500 {
		p.further(2000)
	}
}

// further sends so many calls more, once the others are acknowledged.
func (p *pipeline) further(calls int) {
	<-p.produced
	p.calls += calls
	p.produced = p.upstream.send(topic.CDRQueue, calls, perSecond)
}

// finish waits for the end and judges.
func (p *pipeline) finish(repeats int) *verify.Report {
	p.t.Helper()
	<-p.produced
	wait(p.t, "every delivery", func() bool { return p.receiver.delivered() >= p.calls })
	rest(p.t, p.kafka, p.store)
	return p.judge(p.upstream, p.receiver, repeats)
}

// judge checks a run at rest whose CDRs all go to sub_a.
func (s *stage) judge(u *upstream, r *receiver, repeats int) *verify.Report {
	s.t.Helper()
	return check(s.t, s.kafka, s.store, u, r.log(), func(run *verify.Run) {
		run.Wants = func(verify.CDR) []string { return []string{"sub_a"} }
		run.Secrets["sub_a"] = [][]byte{rawSecret(s.t, signingSecret)}
		run.Repeats = repeats
	})
}

// rest waits until every delivery's end is in the store, once all of them are: what
// is not on record yet is being written.
func rest(t *testing.T, c kafka.Config, db *store.DB) {
	t.Helper()
	projected(t, c, db)
	wait(t, "every delivery's end in the store", func() bool {
		rows, _, err := db.Deliveries(t.Context(), store.DeliveryQuery{State: store.StateQueued, Page: store.Page{Limit: 1}})
		return err == nil && len(rows) == 0
	})
}

func TestAKilledRouterLosesNothingAndRepeatsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		p := underLoad(t, s)
		p.midway(p.receiver.delivered)
		p.router.kill()
		killed := time.Now()
		p.router = s.begin("router")
		p.finish(0)
		t.Logf("silence at the receiver around the kill %s", silence(p.receiver.log(), killed).Round(time.Millisecond))
	})
}

func TestAKilledProjectorLosesNothingAndProjectsNothingTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		p := underLoad(t, s)
		p.midway(func() int {
			rows, err := s.store.ProjectedOffsets(t.Context())
			if err != nil {
				return 0
			}
			n := 0
			for _, offset := range rows[topic.History] {
				n += int(offset)
			}
			return n
		})
		p.projector.kill()
		p.projector = s.start("projector")
		p.finish(0)
	})
}

func TestAKilledSenderLosesNothingAndRepeatsWhatWasInItsHands(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		p := underLoad(t, s, "AFTERCALL_STATIC_INSTANCE=true")
		p.midway(p.receiver.delivered)
		limit := bound(t, p.sender, rate(p.receiver.log()))
		p.sender.kill()
		killed := time.Now()
		before := p.receiver.requests()
		p.sender = s.begin("sender", append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...)...)
		p.further(1000) // it has work to do, though the kill may have come late
		wait(t, "a request of the new sender", func() bool { return p.receiver.requests() > before })
		report := p.finish(limit)
		quiet := silence(p.receiver.log(), killed)
		t.Logf("%d repeated requests of at most %d; silence around the kill %s", report.Repeats, limit, quiet.Round(time.Millisecond))
		// From its own start on: a busy machine may take its time to start a process.
		if joined := p.sender.between("service.started", "partition.assigned"); joined > 5*time.Second {
			t.Errorf("a sender that came back under its name joined in %s: it waited for its own session to end", joined)
		}
	})
}
