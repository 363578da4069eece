package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// replayed is what the API tells of a replay.
type replayed struct {
	ID, State            string
	Total, Sent, Skipped int
}

func TestAReplayWhoseRunnerIsKilledSendsEachOnceMoreAndNothingThatWaits(t *testing.T) {
	const perSecond, waiting = 300, 40
	onEach(t, func(t *testing.T, s *stage) {
		r := newReceiver(t, listen.Options{Delay: 2 * time.Millisecond})
		u := newUpstream(t, s.kafka)
		admin := s.start("admin", open...)
		a := apiOf(t, admin)
		// Everything of the first ends when it is switched off. What goes to the second
		// fails, and waits.
		ended := a.webhook(r.URL+"/ok", []string{topic.TypeQueue}, nil)
		waits := a.webhook(r.URL+"/broken", []string{topic.TypeIvr}, nil)
		s.start("router")
		s.start("projector")
		<-u.send(topic.CDRQueue, manyReplayed, calls)
		<-u.send(topic.CDRIvr, waiting, calls)
		s.counted("all to be queued", store.StateQueued, manyReplayed+waiting)
		a.active(ended, false)
		sender := s.start("sender", stable...)
		s.counted("the end of the ones", store.StateStopped, manyReplayed)
		s.counted("the others to wait", store.StateWaiting, waiting)
		a.active(ended, true)

		var plan replayed
		request := map[string]any{"mode": store.ReplayRecover, "from": time.Now().Add(-time.Hour), "why": "it was off"}
		if status := a.do(http.MethodPost, "/replays", request, &plan); status != http.StatusCreated || plan.Total != manyReplayed {
			t.Fatalf("planning was answered %d: %+v", status, plan)
		}
		if status := a.do(http.MethodPost, "/replays/"+plan.ID+"/run", map[string]any{"rate": perSecond}, nil); status != http.StatusAccepted {
			t.Fatalf("running was answered %d", status)
		}
		wait(t, "it to be well under way", func() bool { return r.delivered() >= manyReplayed/5 })
		admin.kill()
		killed := time.Now()
		at, err := s.store.Replay(t.Context(), plan.ID)
		if err != nil || at.State != store.ReplayRunning || at.Sent >= manyReplayed {
			t.Fatalf("killed, it stands at %+v, %v", at, err)
		}
		admin = s.start("admin", open...)
		wait(t, "the replay to go on", func() bool {
			now, err := s.store.Replay(t.Context(), plan.ID)
			return err == nil && now.Sent > at.Sent
		})
		back := time.Since(killed)
		wait(t, "the end of the replay", func() bool {
			at, err := s.store.Replay(t.Context(), plan.ID)
			return err == nil && at.State == store.ReplayDone
		})
		wait(t, "every delivery", func() bool { return r.delivered() >= manyReplayed })
		s.counted("every end in the store", store.StateDelivered, manyReplayed)
		var end replayed
		a = apiOf(t, admin)
		if a.do(http.MethodGet, "/replays/"+plan.ID, nil, &end); end.Sent != manyReplayed || end.Skipped != 0 {
			t.Errorf("it ended as %+v", end)
		}
		a.resendAsNew(r, ended)
		// What still waits is tried again from time to time: not while it is judged.
		sender.stop()

		report := check(t, s.kafka, s.store, u, r.log(), func(run *verify.Run) {
			run.Secrets[ended], run.Secrets[waits] = [][]byte{rawSecret(t, signingSecret)}, [][]byte{rawSecret(t, signingSecret)}
			// One of those that wait may be on its way.
			run.Running = true
		})
		if want := 2*manyReplayed + waiting + 1; report.Deliveries != want {
			t.Errorf("there are %d deliveries, want %d", report.Deliveries, want)
		}
		seen := map[string]bool{}
		for _, e := range r.log() {
			if e.Cause != "replay" {
				continue
			}
			if id := cdr.DeliveryID(e.WebhookID, ended, "replay", plan.ID); e.DeliveryID != id || e.Headers.Get("aftercall-original-id") != "" {
				t.Fatalf("a replayed request has webhook-id %s, delivery %s, original %q; want delivery %s", e.WebhookID, e.DeliveryID, e.Headers.Get("aftercall-original-id"), id)
			}
			seen[e.WebhookID] = true
		}
		if len(seen) != manyReplayed {
			t.Errorf("%d events were sent once more, want %d", len(seen), manyReplayed)
		}
		noteMany(t, s, "kill −9 of admin in the middle of a replay", manyReplayed, report, 0, back)
	})
}

// active switches one on or off.
func (a *api) active(id string, on bool) {
	a.t.Helper()
	a.change(id, map[string]any{"active": on})
}

// resendAsNew resends one delivery under a webhook-id of its own, and looks at its
// headers.
func (a *api) resendAsNew(r *receiver, subscription string) {
	a.t.Helper()
	var some page[struct {
		DeliveryID string `json:"delivery_id"`
		EventID    string `json:"event_id"`
	}]
	a.do(http.MethodGet, "/deliveries?limit=1&state=delivered&subscription="+subscription, nil, &some)
	if len(some.Items) != 1 {
		a.t.Fatalf("there are %d deliveries", len(some.Items))
	}
	var resent struct {
		DeliveryID string `json:"delivery_id"`
	}
	if status := a.do(http.MethodPost, "/deliveries/"+some.Items[0].DeliveryID+"/resend", map[string]any{"as_new_event": true}, &resent); status != http.StatusAccepted {
		a.t.Fatalf("a resend was answered %d", status)
	}
	wait(a.t, "the resend", func() bool {
		for _, e := range r.log() {
			if e.DeliveryID != resent.DeliveryID {
				continue
			}
			if e.Headers.Get("aftercall-original-id") != some.Items[0].EventID || e.WebhookID == some.Items[0].EventID || e.Cause != "resend" {
				a.t.Errorf("a resend as a new event has webhook-id %s, original %q, cause %s; its event is %s", e.WebhookID, e.Headers.Get("aftercall-original-id"), e.Cause, some.Items[0].EventID)
			}
			return true
		}
		return false
	})
}
