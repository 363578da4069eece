package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// stable is a sender that comes back under its name at once.
var stable = append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...)

// counted waits until so many deliveries are in a state. Counting takes a while, so
// it is not done all the time.
func (s *stage) counted(what, state string, want int) {
	s.t.Helper()
	var last time.Time
	wait(s.t, what, func() bool {
		if time.Since(last) < 200*time.Millisecond {
			return false
		}
		n := 0
		all(s.t, func(p store.Page) (next string, err error) {
			rows, next, err := s.store.Deliveries(s.t.Context(), store.DeliveryQuery{State: state, Page: p})
			n += len(rows)
			return next, err
		})
		last = time.Now()
		return n == want
	})
}

// webhook adds one that is signed with signingSecret.
func (a *api) webhook(endpoint string, events []string, change map[string]any) string {
	a.t.Helper()
	body := map[string]any{"name": endpoint, "endpoint": endpoint, "events": events, "signing_secret": signingSecret, "max_concurrency": inFlight}
	for name, value := range change {
		body[name] = value
	}
	return a.subscription(body)
}

func TestSendWaitingNowLosesNothingWhenSenderAndAdminAreKilled(t *testing.T) {
	const perSecond = 200
	onEach(t, func(t *testing.T, s *stage) {
		r, mend := newBrokenReceiver(t, listen.Options{Delay: 2 * time.Millisecond})
		u := newUpstream(t, s.kafka)
		admin := s.start("admin", open...)
		a := apiOf(t, admin)
		id := a.webhook(r.URL, []string{topic.TypeQueue}, map[string]any{"rate_limit": perSecond})
		s.start("router")
		sender := s.start("sender", stable...)
		s.start("projector")
		<-u.send(topic.CDRQueue, manyWaiting, calls)
		s.counted("all to wait", store.StateWaiting, manyWaiting)

		mend()
		began := time.Now()
		if status := a.do(http.MethodPost, "/subscriptions/"+id+"/send-waiting", nil, nil); status != http.StatusAccepted {
			t.Fatalf("sending what waits was answered %d", status)
		}
		wait(t, "it to be well under way", func() bool { return r.delivered() >= manyWaiting/8 })
		var half struct{ State string }
		a.do(http.MethodGet, "/subscriptions/"+id+"/send-waiting", nil, &half)
		// A quarter of a second's worth is what admin has produced and not noted.
		limit := bound(t, sender, perSecond) + perSecond/4
		sender.kill()
		admin.kill()
		if n := r.delivered(); n >= manyWaiting || half.State != store.SendRunning {
			t.Fatalf("%d were sent before the kill, it was %s", n, half.State)
		}
		before, killed := r.requests(), time.Now()
		admin = s.begin("admin", open...)
		sender = s.begin("sender", stable...)
		wait(t, "a request after the kill", func() bool { return r.requests() > before })
		back := time.Since(killed)
		wait(t, "every delivery", func() bool { return r.delivered() >= manyWaiting })
		took := time.Since(began)
		wait(t, "its end", func() bool {
			last, err := s.store.LastSendWaiting(t.Context(), id)
			return err == nil && last.State == store.SendDone
		})
		s.counted("every end in the store", store.StateDelivered, manyWaiting)
		requests := r.log()
		report := check(t, s.kafka, s.store, u, requests, func(run *verify.Run) {
			run.Wants = func(verify.CDR) []string { return []string{id} }
			run.Secrets[id] = [][]byte{rawSecret(t, signingSecret)}
			run.Repeats, run.Unrecorded = limit, limit
			run.SentNow = map[string]time.Time{id: began}
		})
		if report.Deliveries != manyWaiting || report.Delivered != manyWaiting {
			t.Errorf("%d deliveries of %d events, %d delivered", report.Deliveries, manyWaiting, report.Delivered)
		}
		// A token bucket may be full when a sender begins: twice a second's worth.
		var sent []listen.Entry
		for _, e := range requests {
			if e.Time.After(began) {
				sent = append(sent, e)
			}
		}
		if most := rate(sent); most > 2*perSecond+inFlight {
			t.Errorf("%d requests in a second, at a limit of %d", most, perSecond)
		}
		sender.ready()
		admin.ready()
		noteMany(t, s, "kill −9 of sender and admin while what waits is sent now", manyWaiting, report, limit, back)
		t.Logf("%d in %s, %d in the busiest second, %d repeated of at most %d", manyWaiting, took.Round(time.Millisecond), rate(sent), report.Repeats, limit)
	})
}
