package decode_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/projector/internal/decode"
)

func TestARecordBecomesWhatItsTopicHolds(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		topic string
		m     proto.Message
		count func(*store.Batch) int
	}{
		{topic.Events, &aftercallv1.Event{EventId: "e"}, func(b *store.Batch) int { return len(b.Events) }},
		{topic.Rejected, &aftercallv1.Rejection{Code: "not_json"}, func(b *store.Batch) int { return len(b.Rejections) }},
		{topic.History, &aftercallv1.Attempt{AttemptId: "a", DeliveryId: "d", SubscriptionId: "s"}, func(b *store.Batch) int { return len(b.Attempts) }},
		{topic.History, &aftercallv1.Deferral{DeliveryId: "d", SubscriptionId: "s"}, func(b *store.Batch) int { return len(b.Deferrals) }},
		{topic.History, &aftercallv1.EndpointChange{ChangeId: "c", SubscriptionId: "s"}, func(b *store.Batch) int { return len(b.Changes) }},
	} {
		item, err := decode.Record(record.New(c.topic, "k", c.m, now))
		var b store.Batch
		item.AddTo(&b)
		if err != nil || item.Rejected || c.count(&b) != 1 || b.Len() != 1 {
			t.Errorf("%T became %+v: %v", c.m, b, err)
		}
	}
}

func TestARecordThatIsNotWhatItClaimsIsRejectedWithItsReason(t *testing.T) {
	attempt := &aftercallv1.Attempt{AttemptId: "a", DeliveryId: "d", SubscriptionId: "s"}
	for name, c := range map[string]struct {
		r      *kgo.Record
		reason string
	}{
		"no header":      {&kgo.Record{Topic: topic.Events, Value: []byte("x")}, "header"},
		"an odd header":  {&kgo.Record{Topic: topic.Events, Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte("\x00/x")}}}, "header"},
		"no message":     {&kgo.Record{Topic: topic.Events, Value: []byte{0xff}, Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte("event/1")}}}, "not the message"},
		"a wrong topic":  {record.New(topic.Events, "k", attempt, time.Now()), "belong"},
		"a wrong kind":   {record.New(topic.History, "k", &aftercallv1.Subscription{Id: "s"}, time.Now()), "belong"},
		"no event id":    {record.New(topic.Events, "k", &aftercallv1.Event{}, time.Now()), "event_id"},
		"no delivery id": {record.New(topic.History, "k", &aftercallv1.Deferral{SubscriptionId: "s"}, time.Now()), "delivery_id"},
	} {
		c.r.Partition, c.r.Offset = 3, 77
		item, err := decode.Record(c.r)
		var b store.Batch
		item.AddTo(&b)
		if err != nil || !item.Rejected || len(b.Rejections) != 1 || b.Len() != 1 {
			t.Errorf("%s: became %+v: %v", name, b, err)
			continue
		}
		j := b.Rejections[0]
		if p := j.GetPosition(); p.Topic != c.r.Topic || p.Partition != 3 || p.Offset != 77 || j.Code != decode.CodeCorrupt || !strings.Contains(j.Reason, c.reason) {
			t.Errorf("%s: rejection is %v", name, j)
		}
	}
}

func TestALaterVersionAndAnUnknownKindAreErrors(t *testing.T) {
	for _, kind := range []string{"event/2", "verdict/1", "attempt/10"} {
		r := &kgo.Record{Topic: topic.Events, Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte(kind)}}}
		if _, err := decode.Record(r); !errors.Is(err, record.ErrUnknownVersion) || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s answered %v", kind, err)
		}
	}
}

func TestALargeRecordIsKeptInPart(t *testing.T) {
	item := decode.Reject(&kgo.Record{Value: make([]byte, 100_000)}, decode.CodeUnstorable, "too much")
	var b store.Batch
	item.AddTo(&b)
	if j := b.Rejections[0]; len(j.Payload) != 64<<10 || !j.PayloadTruncated || j.PayloadBytes != 100_000 {
		t.Errorf("kept %d of %d", len(j.Payload), j.PayloadBytes)
	}
}
