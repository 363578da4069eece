package subscription

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func anySubscription(t *rapid.T) *Subscription {
	text := rapid.String()
	// A nil slice and an empty one are the same on the wire.
	bytesOrNil := rapid.Custom(func(t *rapid.T) []byte {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		if len(b) == 0 {
			return nil
		}
		return b
	})
	when := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "unset") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	})
	s := &Subscription{
		ID: text.Draw(t, "id"), Version: rapid.Int64().Draw(t, "version"), Tenant: text.Draw(t, "tenant"),
		Name: text.Draw(t, "name"), Endpoint: text.Draw(t, "endpoint"), Active: rapid.Bool().Draw(t, "active"),
		PausedUntil: when.Draw(t, "paused"), SealedSecret: bytesOrNil.Draw(t, "secret"),
		SealedPreviousSecret: bytesOrNil.Draw(t, "previous"), PreviousSecretUntil: when.Draw(t, "until"),
		SealedAbpSecret: bytesOrNil.Draw(t, "abp"), Format: text.Draw(t, "format"), OUScope: text.Draw(t, "scope"),
		Filter: text.Draw(t, "filter"), Timeout: time.Duration(rapid.Int64().Draw(t, "timeout")),
		MaxConcurrency: int(rapid.Int32().Draw(t, "concurrency")), RateLimit: rapid.Float64().Draw(t, "rate"),
		Schedule: text.Draw(t, "schedule"), Description: text.Draw(t, "description"), DisabledReason: text.Draw(t, "reason"),
		DiscardBefore: when.Draw(t, "discard"),
		Released: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Position {
			return Position{Topic: rapid.String().Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset")}
		}), 0, 3).Draw(t, "released"),
		CreatedAt: when.Draw(t, "created"), UpdatedAt: when.Draw(t, "updated"), Deleted: rapid.Bool().Draw(t, "deleted"),
	}
	if events := rapid.SliceOf(text).Draw(t, "events"); len(events) > 0 {
		s.Events = events
	}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		s.Headers = append(s.Headers, Header{
			Name: text.Draw(t, "name"), Value: text.Draw(t, "value"), Secret: rapid.Bool().Draw(t, "is secret"), Sealed: bytesOrNil.Draw(t, "sealed"),
		})
	}
	return s
}

func TestASubscriptionSurvivesItsTopic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySubscription(t)
		wire, err := proto.Marshal(ToProto(s))
		if err != nil {
			t.Fatal(err)
		}
		var m aftercallv1.Subscription
		if err := proto.Unmarshal(wire, &m); err != nil {
			t.Fatal(err)
		}
		if len(s.Released) == 0 {
			s.Released = nil
		}
		if got := FromProto(&m); !reflect.DeepEqual(got, s) {
			t.Fatalf("got  %+v\nwant %+v", got, s)
		}
	})
}

// A field added to either side and forgotten in between fails here.
func TestEveryFieldOfTheRecordIsCarried(t *testing.T) {
	fields := (&aftercallv1.Subscription{}).ProtoReflect().Descriptor().Fields().Len()
	if n := reflect.TypeFor[Subscription]().NumField(); n != fields {
		t.Errorf("Subscription has %d fields, its record %d", n, fields)
	}
	headerFields := (&aftercallv1.SubscriptionHeader{}).ProtoReflect().Descriptor().Fields().Len()
	if n := reflect.TypeFor[Header]().NumField(); n != headerFields {
		t.Errorf("Header has %d fields, its record %d", n, headerFields)
	}
	if got := FromProto(nil); !reflect.DeepEqual(got, &Subscription{}) {
		t.Errorf("FromProto(nil) = %+v", got)
	}
}
