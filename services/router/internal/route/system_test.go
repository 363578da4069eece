package route_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/system"
	"github.com/aftercall/aftercall/pkg/topic"
)

func receivers(o []string) []string { slices.Sort(o); return o }

func at(s *subscription.Subscription, endpoint, scope string) *subscription.Subscription {
	s.Endpoint, s.OUScope = endpoint, scope
	return s
}

func TestASystemEventGoesToOthersThanTheEndpointConcerned(t *testing.T) {
	failing := at(wanting("failing", true, topic.TypeEndpointFailing, topic.TypeDeliveryGivenUp), "https://down.example/", "")
	twin := at(wanting("twin", true, topic.TypeEndpointFailing, topic.TypeDeliveryGivenUp), "https://down.example/", "")
	ops := at(wanting("ops", true, topic.TypeEndpointFailing, topic.TypeDeliveryGivenUp), "https://ops.example/", "")
	scoped := at(wanting("scoped", true, topic.TypeEndpointFailing), "https://scoped.example/", "Root/Sales")
	r := routerWith(failing, twin, ops, scoped)

	failingRecord := system.Failing(failing, "status 503", now.Add(30*time.Second), now)
	for _, c := range []struct {
		name string
		of   []string
	}{
		{topic.TypeEndpointFailing, []string{"ops", "scoped"}},
		{topic.TypeDeliveryGivenUp, []string{"ops"}},
	} {
		in := failingRecord
		if c.name == topic.TypeDeliveryGivenUp {
			in = system.GivenUp{Subscription: failing, SubscriptionID: failing.ID, DeliveryID: "dlv_1", EventID: "evt_1", EventType: topic.TypeQueue, CallID: "c1", At: now}.Record()
		}
		o := r.Route(in, never, now)
		var got []string
		for _, d := range o.Deliveries {
			got = append(got, d.GetSubscriptionId())
		}
		if o.Rejection != nil || !slices.Equal(receivers(got), c.of) || len(o.Event.GetDecisions()) != len(c.of) {
			t.Errorf("%s goes to %v, want %v: %v", c.name, got, c.of, o.Rejection)
		}
	}
}

// The subscription was deleted meanwhile: its URL is not known any more, its id is.
func TestASystemEventAboutADeletedSubscriptionIsToldToTheRest(t *testing.T) {
	r := routerWith(at(wanting("ops", true, topic.TypeDeliveryGivenUp), "https://ops.example/", ""))
	o := r.Route(system.GivenUp{SubscriptionID: "gone", DeliveryID: "dlv_1", EventID: "evt_1", EventType: topic.TypeQueue, At: now}.Record(), never, now)
	if len(o.Deliveries) != 1 || o.Deliveries[0].GetSubscriptionId() != "ops" {
		t.Errorf("outcome is %+v", o)
	}
}
