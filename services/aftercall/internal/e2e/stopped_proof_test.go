//go:build proof

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// frozen is longer than a session of a group: others take over what the process
// has, and it does not know when it goes on.
const frozen = 15 * time.Second

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// TestProofThatAFrozenServiceDoesNotDoubleWhatOthersTookOver stops one of two
// routers, then one of two senders (SIGSTOP), for longer than its session.
func TestProofThatAFrozenServiceDoesNotDoubleWhatOthersTookOver(t *testing.T) {
	for _, victim := range []string{"router", "sender"} {
		t.Run(victim, func(t *testing.T) {
			s := onReal(t)
			r := newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})
			u := newUpstream(t, s.kafka)
			s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
			env := map[string][]string{"sender": open}
			s.start("router")
			s.start("projector")
			s.start("sender", open...)
			second := s.start(victim, append([]string{"AFTERCALL_INSTANCE=" + victim + "-1"}, env[victim]...)...)
			stop := u.sustain(topic.CDRQueue, 200)
			n, limit := kills(t, 10), 0
			var back recovery
			for range n {
				moment(3 * time.Second)
				limit += inFlight + int(float64(rate(r.since(5*time.Second)))*(2*commitEvery).Seconds())
				second.signal(syscall.SIGSTOP)
				<-time.After(frozen)
				second.signal(syscall.SIGCONT)
				before := r.requests()
				back.until(t, "a request after it goes on", func() bool { return r.requests() > before })
			}
			total := stop()
			s.settled(r, total)
			if victim == "router" {
				limit = 0
			}
			report := s.judge(u, r, limit)
			note(t, proven{"one of two " + victim + "s frozen for 15 s (SIGSTOP), then on its way again", "real Kafka, PostgreSQL", n, total, lost(report), report.Repeats, limit, back.String()})
		})
	}
}
