// Package record turns Aftercall's internal messages into Kafka records and
// back. Every internal record carries its kind and major version in one header,
// so that a reader never guesses: Open answers ErrUnknownVersion for a major
// version or kind it was not built for, and an error naming the fault for bytes
// that are not the message they claim to be.
package record

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Header is the record header that names the kind and its major version, such
// as "delivery/1".
const Header = "aftercall-record"

// KindStopRetry is the kind of a StopRetry, which stands between subscriptions.
const KindStopRetry = "stop-retry/1"

// KindErasure is the kind of an Erasure, which stands there too.
const KindErasure = "erasure/1"

// ErrUnknownVersion says that a record is of a kind or major version that this
// build does not know. The record is not damaged: a newer build reads it.
var ErrUnknownVersion = errors.New("unknown record version")

// ErrCorrupt says that a record is not what its header claims.
var ErrCorrupt = errors.New("corrupt record")

func kindOf(m proto.Message) string {
	switch m.(type) {
	case *aftercallv1.Event:
		return "event/1"
	case *aftercallv1.Delivery:
		return "delivery/1"
	case *aftercallv1.Rejection:
		return "rejection/1"
	case *aftercallv1.Attempt:
		return "attempt/1"
	case *aftercallv1.Deferral:
		return "deferral/1"
	case *aftercallv1.EndpointChange:
		return "endpoint-change/1"
	case *aftercallv1.Subscription:
		return "subscription/1"
	case *aftercallv1.StopRetry:
		return KindStopRetry
	case *aftercallv1.Erasure:
		return KindErasure
	}
	panic(fmt.Sprintf("record: no kind for %T", m))
}

func newOf(kind string) proto.Message {
	switch kind {
	case "event/1":
		return &aftercallv1.Event{}
	case "delivery/1":
		return &aftercallv1.Delivery{}
	case "rejection/1":
		return &aftercallv1.Rejection{}
	case "attempt/1":
		return &aftercallv1.Attempt{}
	case "deferral/1":
		return &aftercallv1.Deferral{}
	case "endpoint-change/1":
		return &aftercallv1.EndpointChange{}
	case "subscription/1":
		return &aftercallv1.Subscription{}
	case KindStopRetry:
		return &aftercallv1.StopRetry{}
	case KindErasure:
		return &aftercallv1.Erasure{}
	}
	return nil
}

// New makes the record of m for a topic. now becomes its timestamp: no internal
// record inherits an upstream one, and a delay is counted from it.
func New(topicName, key string, m proto.Message, now time.Time) *kgo.Record {
	value, err := proto.MarshalOptions{}.Marshal(m)
	if err != nil {
		// Only invalid UTF-8 in a string field can get here; every producer
		// has validated its strings before.
		panic(fmt.Sprintf("record: marshalling %s: %v", kindOf(m), err))
	}
	return &kgo.Record{
		Topic:     topicName,
		Key:       []byte(key),
		Value:     value,
		Headers:   []kgo.RecordHeader{{Key: Header, Value: []byte(kindOf(m))}},
		Timestamp: now,
	}
}

// Open decodes an internal record.
func Open(r *kgo.Record) (proto.Message, error) {
	kind := Kind(r)
	m := newOf(kind)
	if m == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownVersion, kind)
	}
	if err := proto.Unmarshal(r.Value, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, kind, err)
	}
	return m, nil
}

// OpenAs decodes an internal record of the one kind a topic holds.
func OpenAs[M proto.Message](r *kgo.Record) (M, error) {
	var zero M
	m, err := Open(r)
	if err != nil {
		return zero, err
	}
	typed, ok := m.(M)
	if !ok {
		return zero, fmt.Errorf("%w: topic %s holds a %s", ErrCorrupt, r.Topic, Kind(r))
	}
	return typed, nil
}

// Kind is the kind and major version that a record names, or "" when it names
// none.
func Kind(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == Header {
			return string(h.Value)
		}
	}
	return ""
}

// ShardKey is the key of a delivery's records: one shard below a maximum
// concurrency of 8, else eight, so that a fast endpoint is not bound to one
// partition. It is kept over retries.
func ShardKey(d *aftercallv1.Delivery, maxConcurrency int) string {
	return ShardKeyAt(d.GetSubscriptionId(), int(fnv32a(d.GetDeliveryId())%uint32(Shards(maxConcurrency))))
}

// ShardKeyAt is the key of one shard of a subscription.
func ShardKeyAt(subscriptionID string, shard int) string {
	return subscriptionID + "/" + strconv.Itoa(shard)
}

// Shards is the number of keys over which a subscription's deliveries spread.
func Shards(maxConcurrency int) int {
	if maxConcurrency < 8 {
		return 1
	}
	return 8
}

func fnv32a(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// StopKey is the key of a StopRetry in aftercall.subscriptions.
func StopKey(deliveryID string) string { return "stop/" + deliveryID }

// ErasureKey is the key of an Erasure in aftercall.subscriptions.
func ErasureKey(id string) string { return "erasure/" + id }

// PositionOf is where a record stands.
func PositionOf(r *kgo.Record) *aftercallv1.Position {
	return &aftercallv1.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

// SourceKey is the key of what is said about a record in aftercall.rejected.
func SourceKey(r *kgo.Record) string {
	return r.Topic + "/" + strconv.Itoa(int(r.Partition))
}

// Dwell is how long records of a topic wait, 0 for any but a delay topic.
func Dwell(topicName string) time.Duration {
	for _, t := range topic.Tiers {
		if t.Topic == topicName {
			return t.Dwell
		}
	}
	return 0
}
