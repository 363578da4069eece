package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// Three steps, each with restarts in the midst of calls:
// a new key known to all, then the one that seals, then alone.
func TestTheKeyIsRotatedUnderLoadAndNoDeliveryIsLostRepeatedOrBadlySigned(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		r := newReceiver(t, listen.Options{})
		u := newUpstream(t, s.kafka)
		sends := append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...)
		s.begin("router").ready()
		s.begin("projector").ready()
		admin, sender := s.begin("admin", open...), s.begin("sender", sends...)
		admin.ready()
		sender.ready()
		id := apiOf(t, admin).subscription(map[string]any{
			"name": "signed", "endpoint": r.URL + "/ok", "events": []string{topic.TypeQueue}, "signing_secret": signingSecret, "max_concurrency": inFlight,
		})

		file := filepath.Join(s.folder, "keyset.json")
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		old := s.keyset.PrimaryKeyID()
		added, key, err := secret.WithNewKey(before)
		if err != nil {
			t.Fatal(err)
		}
		const each = 300
		calls := 0
		give := func(keyset []byte, err error) {
			t.Helper()
			if err == nil {
				err = os.WriteFile(file, keyset, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			produced := u.send(topic.CDRQueue, each, each)
			sender.stop()
			sender = s.begin("sender", sends...)
			admin.stop()
			admin = s.begin("admin", open...)
			sender.ready()
			admin.ready()
			<-produced
			calls += each
		}
		give(added, nil)
		primary, err := secret.WithPrimary(added, key)
		give(primary, err)
		wait(t, "the secret to be sealed under the new key", func() bool { return sealedWith(t, s, id) == key })
		give(secret.WithoutKey(primary, old))
		wait(t, "every delivery", func() bool { return r.delivered() == calls })
		rest(t, s.kafka, s.store)
		check(t, s.kafka, s.store, u, r.log(), func(run *verify.Run) {
			run.Wants = func(verify.CDR) []string { return []string{id} }
			run.Secrets[id] = [][]byte{rawSecret(t, signingSecret)}
		})
	})
}

// sealedWith is the key under which a webhook's secret lies on the topic.
func sealedWith(t *testing.T, s *stage, id string) (key uint32) {
	t.Helper()
	for _, r := range kafkatest.ReadAll(t, s.kafka, topic.Subscriptions) {
		if m, err := record.OpenAs[*aftercallv1.Subscription](r); err == nil && m.GetId() == id {
			key, _ = secret.SealedWith(m.GetSealedSecret())
		}
	}
	return key
}
