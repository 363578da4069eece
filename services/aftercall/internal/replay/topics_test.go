// What is real here: the Kafka protocol, on the embedded broker and, where there
// is one, on a real one. What is not: router and sender; their records are made.
package replay

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestFromTheTopicsAloneWhatWasNotDeliveredIsSentOnce(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		now := time.Now()
		var records []*kgo.Record
		want := map[string]bool{}
		for n := range 300 {
			event := fmt.Sprintf("evt_%d", n)
			d := &aftercallv1.Delivery{DeliveryId: cdr.DeliveryID(event, "sub_a", "call_ended", ""), EventId: event, SubscriptionId: "sub_a", Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 1, Payload: []byte(event)}
			records = append(records, record.New(topic.Deliveries, record.ShardKey(d, 8), d, now))
			state := []aftercallv1.DeliveryState{aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP,
				aftercallv1.DeliveryState_DELIVERY_STATE_WAITING}[n%3]
			if n%3 == 1 {
				again := &aftercallv1.Delivery{DeliveryId: d.DeliveryId, EventId: event, SubscriptionId: "sub_a", Cause: d.Cause, Attempt: 2, Deferrals: 3, Payload: d.Payload}
				records = append(records, record.New(topic.Deliveries, record.ShardKey(again, 8), again, now))
				want[cdr.DeliveryID(event, "sub_a", "replay", "rpl_test")] = true
			}
			records = append(records, record.New(topic.History, d.DeliveryId, &aftercallv1.Attempt{AttemptId: event, DeliveryId: d.DeliveryId, EventId: event, SubscriptionId: "sub_a", State: state}, now))
		}
		kafkatest.Produce(t, c, records...)

		j := &job{ID: "rpl_test", Topic: topic.Deliveries, From: now.Add(-time.Hour), To: now.Add(time.Hour), Rate: 1000}
		ctx := context.Background()
		if err := j.place(ctx, kafkatest.Client(t, c)); err != nil {
			t.Fatal(err)
		}
		offsets, n, err := j.chosen(ctx, c)
		if err != nil || n["sub_a"]["send"] != 100 || n["sub_a"][delivered] != 100 || n["sub_a"][waiting] != 100 {
			t.Fatalf("planned are %v, %v", n, err)
		}

		// Killed after acknowledgements that the file does not know of yet.
		file := filepath.Join(t.TempDir(), "place.json")
		killed := errors.New("killed")
		saves := 0
		err = j.send(ctx, c, offsets, func() error {
			if saves++; saves == 2 {
				return killed
			}
			return j.save(file)
		}, func(int) {})
		if !errors.Is(err, killed) {
			t.Fatal(err)
		}
		again, err := load(file)
		if err != nil || again.Sent == 0 || again.Sent >= 100 {
			t.Fatalf("the file holds %+v, %v", again, err)
		}
		offsets, _, err = again.chosen(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.send(ctx, c, offsets, func() error { return again.save(file) }, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if again.Sent != 100 || !again.Done {
			t.Errorf("it ended as %+v", again)
		}
		got := map[string]bool{}
		for _, r := range kafkatest.ReadAll(t, c, topic.Deliveries) {
			d, err := record.OpenAs[*aftercallv1.Delivery](r)
			if err != nil {
				t.Fatal(err)
			}
			if d.GetRequestId() == "" {
				continue
			}
			if !want[d.GetDeliveryId()] || d.GetCause() != aftercallv1.Cause_CAUSE_REPLAY || d.GetAttempt() != 1 || d.GetDeferrals() != 0 || string(d.GetPayload()) != d.GetEventId() {
				t.Fatalf("produced was %v", d)
			}
			got[d.GetDeliveryId()] = true
		}
		if len(got) != len(want) {
			t.Errorf("%d ids, want %d", len(got), len(want))
		}
	})
}

func TestTimesAreReadAsRpkReadsThem(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ from, to, want string }{
		{"-2h", "now", "10:00 12:00"}, {"@-2h:-1h", "now", "10:00 11:00"}, {"@2026-01-31T08:00:00Z:2026-01-31T09:30:00Z", "now", "08:00 09:30"},
		{"2026-01-31", "1h", "00:00 11:00"}, {"1769846400000", "end", "08:00 12:00"},
	} {
		from, to, err := Span(c.from, c.to, now)
		if got := from.Format("15:04") + " " + to.Format("15:04"); err != nil || got != c.want {
			t.Errorf("%s, %s: %s, %v, want %s", c.from, c.to, got, err, c.want)
		}
	}
	for _, from := range []string{"yesterday", "@a:b", "now", ""} {
		if _, _, err := Span(from, "now", now); err == nil {
			t.Errorf("%q is taken", from)
		}
	}
}
