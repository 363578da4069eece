package webhooks

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// TargetHeader names the one subscription that a record of the test topic is
// for.
const TargetHeader = "aftercall-target"

// Test is a test on its way.
type Test struct {
	TestID string `json:"test_id"`
	// EventID is that of the event it becomes: attempts and deliveries can be
	// asked for by it.
	EventID string `json:"event_id" doc:"The event it becomes: ask /deliveries and /attempts for it."`
	// SubscriptionIDs are those that are expected to get it.
	SubscriptionIDs []string `json:"subscription_ids" doc:"Those that are expected to get it: the one that was named, if it is active, or all active ones that have App.TestWebhook."`
}

// Payload of App.TestWebhook.
type testPayload struct {
	Message   string `json:"Message"`
	TestID    string `json:"TestId"`
	SentBy    string `json:"SentBy"`
	SentAtUTC string `json:"SentAtUtc"`
}

// SendTest produces one record to the test topic; everything after it is the
// way of every call. target is "" for all webhooks that have App.TestWebhook, or
// the one it is for.
func (s *Service) SendTest(ctx context.Context, target string, by store.Actor) (*Test, error) {
	if target != "" {
		if _, err := s.live(ctx, target); err != nil {
			return nil, err
		}
	}
	expected, err := s.Testable(ctx, target)
	if err != nil {
		return nil, err
	}
	now := s.now()
	id := uuid.Must(uuid.NewV7()).String()
	value, err := json.Marshal(testPayload{
		Message: "This is a test from Aftercall. No call caused it.", TestID: id, SentBy: by.Name, SentAtUTC: now.Format(wire.Layout)})
	if err != nil {
		return nil, err
	}
	if err := s.produceTest(ctx, id, topic.TypeTest, target, value); err != nil {
		return nil, err
	}
	s.audit(context.WithoutCancel(ctx), by, "test.sent", target, map[string]string{"test": id})
	test := &Test{TestID: id, EventID: TestEventID(id, topic.TypeTest), SubscriptionIDs: []string{}}
	for _, sub := range expected {
		test.SubscriptionIDs = append(test.SubscriptionIDs, sub.ID)
	}
	return test, nil
}

// SendSample sends the sample of an event type as a test to one webhook, whatever
// event types, organization unit and filter it has.
func (s *Service) SendSample(ctx context.Context, target, eventType string, by store.Actor) (*Test, error) {
	sample, ok := cdrschema.Sample(eventType)
	if !ok {
		return nil, problem.NotFound("event type")
	}
	sub, err := s.live(ctx, target)
	if err != nil {
		return nil, err
	}
	id := uuid.Must(uuid.NewV7()).String()
	if err := s.produceTest(ctx, id, eventType, target, sample); err != nil {
		return nil, err
	}
	s.audit(context.WithoutCancel(ctx), by, "sample.sent", target, map[string]string{"test": id, "event_type": eventType})
	test := &Test{TestID: id, EventID: TestEventID(id, eventType), SubscriptionIDs: []string{}}
	if sub.Active {
		test.SubscriptionIDs = append(test.SubscriptionIDs, sub.ID)
	}
	return test, nil
}

// produceTest puts a test on the test topic, for target or, where it is "", for all.
func (s *Service) produceTest(ctx context.Context, id, eventType, target string, value []byte) error {
	r := &kgo.Record{
		Topic: topic.CDRTest, Value: value, Timestamp: s.now(),
		Headers: []kgo.RecordHeader{
			{Key: "ce_type", Value: []byte(eventType)},
			{Key: "ce_id", Value: []byte(id)},
			{Key: "content-type", Value: []byte("application/json")},
		},
	}
	if target != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: TargetHeader, Value: []byte(target)})
	}
	return s.produce(ctx, r)
}

// TestEventID is the event that the test of this id and event type becomes.
func TestEventID(testID, eventType string) string {
	return cdr.EventID(subscription.DefaultTenant, "", eventType, testID, "", nil)
}

// Testable are the active webhooks that have App.TestWebhook, or the one target if
// it is active: what is sent to it alone it gets whatever its event types are.
func (s *Service) Testable(ctx context.Context, target string) ([]*subscription.Subscription, error) {
	all, err := s.Store.Subscriptions(ctx, store.SubscriptionQuery{})
	if err != nil {
		return nil, err
	}
	var out []*subscription.Subscription
	for _, sub := range all {
		wanted := sub.ID == target || target == "" && wants(sub, topic.TypeTest)
		if sub.Active && !sub.Deleted && wanted {
			out = append(out, sub)
		}
	}
	return out, nil
}

func wants(sub *subscription.Subscription, eventType string) bool {
	for _, e := range sub.Events {
		if e == eventType {
			return true
		}
	}
	return false
}
