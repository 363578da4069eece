package erase

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
)

func client(t *testing.T, c kafka.Config) *kgo.Client {
	t.Helper()
	out, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out
}

func TestEveryTopicThatHoldsCallsSaysWhenItsCopiesAreGone(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		now := time.Now()
		copies, err := Topics{Client: client(t, c), Embedded: c.Embedded}.Of(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]store.ErasureCopy{}
		for _, held := range copies {
			named[held.Topic] = held
		}
		for _, s := range topic.All() {
			held, there := named[s.Name]
			if s.Name == topic.Subscriptions || s.Name == topic.CDRSystem {
				if there {
					t.Errorf("%s is said to hold calls", s.Name)
				}
				continue
			}
			if !there || held.Upstream != strings.HasPrefix(s.Name, "aftercall.cdr.") || held.Unknown || held.Retention != s.Retention || held.GoneBy.Before(now.Add(s.Retention)) {
				t.Errorf("of %s, which keeps for %s, it says %+v", s.Name, s.Retention, held)
			}
		}
		if last := lastOf(copies); last.Before(now.Add(28 * 24 * time.Hour)) {
			t.Errorf("the last copy is gone by %s", last)
		}
	})
}

func TestADigestIsKeptForWhereAnyTopicKeepsForEver(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	if got := lastOf([]store.ErasureCopy{{GoneBy: soon}, {Retention: -1}}); !got.IsZero() {
		t.Errorf("kept until %s", got)
	}
	if got := lastOf([]store.ErasureCopy{{GoneBy: soon}, {Unknown: true}}); !got.Equal(soon) {
		t.Errorf("kept until %s, want %s", got, soon)
	}
}

func TestAnErasureIsKeptBesideTheSubscriptions(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		ledger := Records{Kafka: c, Producer: client(t, c)}
		if empty, err := ledger.Read(t.Context()); err != nil || len(empty) != 0 {
			t.Fatalf("at first it has %v, %v", empty, err)
		}
		at := time.Date(2026, 3, 2, 10, 15, 4, 0, time.UTC)
		k := store.KeptErasure{ID: "era_1", Kind: store.ErasureCall, RequestedBy: "ada", CreatedAt: at, Until: at.Add(time.Hour), KeyID: 7, Digest: []byte{1, 2, 3}}
		forever := k
		forever.ID, k.KeptUntil = "era_2", at.Add(24*time.Hour)
		for _, w := range []store.KeptErasure{k, forever} {
			if err := ledger.Write(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ledger.Read(t.Context())
		if err != nil || len(got) != 2 {
			t.Fatalf("it has %v, %v", got, err)
		}
		for _, want := range []store.KeptErasure{k, forever} {
			is := got[want.ID]
			if is.Kind != want.Kind || is.KeyID != want.KeyID || !bytes.Equal(is.Digest, want.Digest) || !is.CreatedAt.Equal(want.CreatedAt) || !is.Until.Equal(want.Until) || !is.KeptUntil.Equal(want.KeptUntil) {
				t.Errorf("kept was %+v, read %+v", want, is)
			}
		}
	})
}
