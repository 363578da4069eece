package record

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// FuzzOpen gives Open any bytes under any kind: it answers a message, or one of
// its two errors. What it opened can be written and opened again.
func FuzzOpen(f *testing.F) {
	for _, m := range []proto.Message{
		&aftercallv1.Event{EventId: "evt_1"}, &aftercallv1.Delivery{DeliveryId: "dlv_1", Attempt: -1}, &aftercallv1.Attempt{AttemptId: "att_1"},
		&aftercallv1.Rejection{}, &aftercallv1.Deferral{}, &aftercallv1.EndpointChange{}, &aftercallv1.Subscription{Id: "sub_1"}, &aftercallv1.StopRetry{}, &aftercallv1.Erasure{},
	} {
		r := New(topic.History, "k", m, time.Unix(0, 0))
		f.Add(string(r.Headers[0].Value), r.Value)
	}
	f.Add("delivery/2", []byte{0x0a})
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, kind string, value []byte) {
		m, err := Open(&kgo.Record{Topic: topic.History, Value: value, Headers: []kgo.RecordHeader{{Key: Header, Value: []byte(kind)}}})
		if err != nil {
			if !errors.Is(err, ErrUnknownVersion) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("it answers %v", err)
			}
			return
		}
		again, err := Open(New(topic.History, "k", m, time.Unix(0, 0)))
		if err != nil || !proto.Equal(m, again) {
			t.Fatalf("written and opened again it is %v, %v", again, err)
		}
	})
}
