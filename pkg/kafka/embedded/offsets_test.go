package embedded_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// A machine that slept, or whose network was away, finds its groups empty: what
// they had committed must be there, or everything would be sent again.
func TestWhatAGroupCommittedIsKeptHoweverLongNobodyIsInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := kafkatest.Admin(t, kafkatest.StartVirtual(t).Config())
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic.Deliveries, 0, 42, -1)
		if err := admin.CommitAllOffsets(t.Context(), topic.GroupSender, offsets); err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{time.Hour, 30 * 24 * time.Hour} {
			time.Sleep(later)
			committed, err := admin.FetchOffsets(t.Context(), topic.GroupSender)
			if err != nil {
				t.Fatalf("after %s: %v", later, err)
			}
			if o, ok := committed.Lookup(topic.Deliveries, 0); !ok || o.At != 42 {
				t.Errorf("after %s %v is committed", later, o.At)
			}
		}
	})
}
