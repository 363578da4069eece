package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin"
)

const tier30m, tier2h = "aftercall.deliveries.delay.30m", "aftercall.deliveries.delay.2h"

// waiting puts n deliveries of a subscription, and as many of another one, into a
// delay topic.
func (b *bundle) waiting(id, delay string, n int) (ids []string) {
	b.t.Helper()
	var records []*kgo.Record
	for i := range n {
		for _, of := range []string{id, "sub_other"} {
			d := &aftercallv1.Delivery{DeliveryId: fmt.Sprintf("dlv_%s_%s_%d", of, delay[len(delay)-2:], i), EventId: "evt_1", SubscriptionId: of, Attempt: 5, Deferrals: 1,
				FirstQueuedAt: timestamppb.Now(), WaitReason: "failed", Payload: []byte(`{"CallId":"1"}`)}
			if of == id {
				ids = append(ids, d.GetDeliveryId())
			}
			records = append(records, record.New(delay, record.ShardKey(d, 8), d, time.Now()))
		}
	}
	kafkatest.Produce(b.t, b.kafka, records...)
	return ids
}

// again counts what was produced to aftercall.deliveries, by delivery.
func (b *bundle) again() map[string]int {
	b.t.Helper()
	out := map[string]int{}
	for _, r := range kafkatest.ReadAll(b.t, b.kafka, topic.Deliveries) {
		d, err := record.OpenAs[*aftercallv1.Delivery](r)
		if err != nil {
			b.t.Fatal(err)
		}
		if d.GetAttempt() != 5 || d.GetDeferrals() != 1 || string(r.Key) != record.ShardKey(d, 8) {
			b.t.Errorf("the copy is not as it was: %v", d)
		}
		out[d.GetDeliveryId()]++
	}
	return out
}

type sending struct {
	State                string
	Sent, Scanned, Total int64
}

func (b *bundle) sending(id string) (s sending) {
	b.t.Helper()
	b.api("GET", "/subscriptions/"+id+"/send-waiting", "").want(b.t, http.StatusOK).into(b.t, &s)
	return s
}

func TestWhatWaitsIsSentNowAndReleased(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"rate_limit":1000}`)
		ids := append(b.waiting(id, tier30m, 120), b.waiting(id, tier2h, 80)...)
		// A mover has moved the first ten of this subscription already.
		var moved kadm.Offsets
		moved.Add(kadm.Offset{Topic: tier30m, Partition: 0, At: 20, LeaderEpoch: -1})
		if err := kafkatest.Admin(t, b.kafka).CommitAllOffsets(context.Background(), topic.GroupMover, moved); err != nil {
			t.Fatal(err)
		}
		b.api("GET", "/subscriptions/"+id+"/send-waiting", "").wantProblem(t, http.StatusNotFound, "not_found", "")
		b.api("POST", "/subscriptions/"+id+"/send-waiting", "").want(t, http.StatusAccepted)
		kafkatest.WaitFor(t, "all to be sent", func() bool { return b.sending(id).State == "done" })
		got := b.again()
		if s := b.sending(id); len(got) != 190 || s.Sent != 190 || s.Total != 380 || s.Scanned != 380 {
			t.Fatalf("%d were sent again, %+v", len(got), s)
		}
		for _, d := range ids[10:] {
			if got[d] != 1 {
				t.Errorf("%s was sent %d times", d, got[d])
			}
		}
		released := map[string]int64{}
		for _, p := range b.last(id).GetReleased() {
			released[p.GetTopic()] = p.GetOffset()
		}
		if len(released) != 2 || released[tier30m] != 240 || released[tier2h] != 160 || b.audited("subscription.waiting_sent", id) != 1 {
			t.Errorf("released is %v", released)
		}
		// Once more: only what came since.
		b.waiting(id, tier30m, 1)
		b.api("POST", "/subscriptions/"+id+"/send-waiting", "").want(t, http.StatusAccepted)
		kafkatest.WaitFor(t, "the last one to be sent", func() bool { s := b.sending(id); return s.State == "done" && s.Sent == 1 })
		for _, p := range b.last(id).GetReleased() {
			if p.GetOffset() < released[p.GetTopic()] {
				t.Errorf("released went back to %v", p)
			}
		}
	})
}

func TestSendingWhatWaitsGoesOnAfterAKill(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"rate_limit":200}`)
	ids := b.waiting(id, tier2h, 150)
	// What a runner leaves behind that was killed between an acknowledgement and
	// keeping it: 40 produced, 25 of them kept.
	w := &store.SendWaiting{ID: "snd_1", SubscriptionID: id, RequestedBy: "admin"}
	w.Planned, w.Sent, w.Scanned, w.Total = true, 25, 50, 300
	w.Partitions = []store.SendPartition{{Topic: tier2h, Next: 50, End: 300, Found: 25}}
	var copies []*kgo.Record
	for _, r := range kafkatest.ReadAll(t, b.kafka, tier2h)[:80] {
		if strings.HasPrefix(string(r.Key), id+"/") {
			copies = append(copies, &kgo.Record{Topic: topic.Deliveries, Key: r.Key, Value: r.Value, Headers: r.Headers})
		}
	}
	kafkatest.Produce(t, b.kafka, copies...)
	if err := b.db.CreateSendWaiting(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	if err := b.db.CreateSendWaiting(context.Background(), &store.SendWaiting{ID: "snd_2", SubscriptionID: id}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second one beside it answers %v", err)
	}
	defer func() {
		if t.Failed() {
			t.Log(b.log.String())
		}
	}()
	kafkatest.WaitFor(t, "the rest to be sent", func() bool { return b.sending(id).State == "done" })
	got := b.again()
	twice := 0
	for _, d := range ids {
		if got[d] == 2 {
			twice++
		} else if got[d] != 1 {
			t.Errorf("%s was sent %d times", d, got[d])
		}
	}
	if s := b.sending(id); twice != 15 || s.Sent != 150 || s.Scanned != 300 || len(b.last(id).GetReleased()) != 1 {
		t.Errorf("%d were sent twice, want 15; %+v", twice, s)
	}
}

func TestACancelledOneReleasesOnlyWhatItSent(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"rate_limit":20}`)
	b.waiting(id, tier2h, 200)
	b.api("DELETE", "/subscriptions/"+id+"/send-waiting", "").wantProblem(t, http.StatusNotFound, "not_found", "")
	b.api("POST", "/subscriptions/"+id+"/send-waiting", "").want(t, http.StatusAccepted)
	kafkatest.WaitFor(t, "some to be sent", func() bool { return b.sending(id).Sent > 0 })
	b.api("DELETE", "/subscriptions/"+id+"/send-waiting", "").want(t, http.StatusAccepted)
	kafkatest.WaitFor(t, "the end", func() bool { return b.sending(id).State == "cancelled" })
	got, released := b.again(), b.last(id).GetReleased()
	if len(released) != 1 || len(got) == 0 || len(got) >= 200 || released[0].GetOffset() != 2*int64(len(got))-1 {
		t.Errorf("%d were sent, released is %v", len(got), released)
	}
	b.api("POST", "/subscriptions/"+id+"/pause", `{"for":"1m"}`).want(t, http.StatusOK)
	b.api("POST", "/subscriptions/"+id+"/send-waiting", "").wantProblem(t, http.StatusConflict, "subscription_paused", "")
	b.api("PATCH", "/subscriptions/"+id, `{"active":false}`, "If-Match", "*").want(t, http.StatusOK)
	b.api("POST", "/subscriptions/"+id+"/send-waiting", "").wantProblem(t, http.StatusConflict, "subscription_inactive", "")
}

// A new primary key: everything is sealed with it, and published, while running.
func TestSecretsAreSealedAgainUnderANewPrimaryKey(t *testing.T) {
	before, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	added, key, err := secret.WithNewKey(before)
	if err != nil {
		t.Fatal(err)
	}
	after, err := secret.WithPrimary(added, key)
	if err != nil {
		t.Fatal(err)
	}
	with := func(text []byte) func(*admin.Config, *admin.Deps) {
		return func(_ *admin.Config, d *admin.Deps) {
			if d.Keyset, err = secret.Open(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	old := setup(t, storetest.SQLite(t), with(before))
	var made struct {
		ID     string
		Secret string `json:"signing_secret"`
	}
	old.api("POST", "/subscriptions", `{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"format":"abp","headers":[{"name":"X-Key","value":"k"}]}`).want(t, http.StatusCreated).into(t, &made)
	old.api("POST", "/subscriptions/"+made.ID+"/rotate-secret", "", "If-Match", "*").want(t, http.StatusOK).into(t, &made)
	b := setup(t, old.db, with(after))
	keys := b.deps.Keyset
	kafkatest.WaitFor(t, "the secrets to be sealed again", func() bool {
		m := b.last(made.ID)
		if m == nil {
			return false
		}
		for _, sealed := range [][]byte{m.GetSealedSecret(), m.GetSealedPreviousSecret(), m.GetSealedAbpSecret(), m.GetHeaders()[0].GetSealed()} {
			if id, ok := secret.SealedWith(sealed); !ok || id != keys.PrimaryKeyID() {
				return false
			}
		}
		return m.GetVersion() == 3
	})
	if plain, err := keys.Unseal(made.ID, secret.FieldSecret, b.last(made.ID).GetSealedSecret()); err != nil || string(plain) != made.Secret {
		t.Errorf("the secret is %q, %v", plain, err)
	}
}
