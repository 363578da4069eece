// Package decode turns records of the internal topics into what the store
// projects. A record that is not what it claims to be becomes a rejection, so
// that somebody sees it and the flow goes on; only a record of a version that
// this build does not know is an error, for a newer build will read it.
package decode

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Codes of the rejections made here.
const (
	// CodeCorrupt is a record that is not what its topic holds.
	CodeCorrupt = "corrupt_record"
	// CodeUnstorable is a record that the database refuses.
	CodeUnstorable = "unstorable_record"
	// CodeGap is a range of records that were gone before they were projected.
	CodeGap = "gap"
)

// payloadKept is how much of a rejected record is kept.
const payloadKept = 64 << 10

// Item is one record as the store takes it. Rejected is true for what became a
// rejection here.
type Item struct {
	Record   *kgo.Record
	Rejected bool
	add      func(*store.Batch)
}

// AddTo adds the item to a batch.
func (i Item) AddTo(b *store.Batch) {
	if i.add != nil {
		i.add(b)
	}
}

// Record decodes a record. The error is record.ErrUnknownVersion or nil.
func Record(r *kgo.Record) (Item, error) {
	if r.Attrs.IsControl() {
		// It has no content, but moves the position.
		return Item{Record: r}, nil
	}
	if kind := record.Kind(r); !versioned.MatchString(kind) {
		return Reject(r, CodeCorrupt, "its header "+record.Header+" names no kind and version"), nil
	}
	m, err := record.Open(r)
	switch {
	case errors.Is(err, record.ErrUnknownVersion):
		return Item{}, fmt.Errorf("reading %s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
	case err != nil:
		return Reject(r, CodeCorrupt, "it is not the message that its header names"), nil //nolint:nilerr // the rejection says it
	}
	item := Item{Record: r}
	var missing []string
	need := func(field, value string) {
		if value == "" {
			missing = append(missing, field)
		}
	}
	home := topic.History
	switch m := m.(type) {
	case *aftercallv1.Event:
		home = topic.Events
		need("event_id", m.GetEventId())
		item.add = func(b *store.Batch) { b.Events = append(b.Events, m) }
	case *aftercallv1.Rejection:
		home = topic.Rejected
		item.add = func(b *store.Batch) {
			b.Rejections = append(b.Rejections, &store.RejectionAt{Rejection: m, Record: record.PositionOf(r), StoredAt: r.Timestamp})
		}
	case *aftercallv1.Attempt:
		need("attempt_id", m.GetAttemptId())
		need("delivery_id", m.GetDeliveryId())
		need("subscription_id", m.GetSubscriptionId())
		item.add = func(b *store.Batch) {
			b.Attempts = append(b.Attempts, &store.AttemptAt{Attempt: m, Record: record.PositionOf(r), StoredAt: r.Timestamp})
		}
	case *aftercallv1.Deferral:
		need("delivery_id", m.GetDeliveryId())
		need("subscription_id", m.GetSubscriptionId())
		item.add = func(b *store.Batch) {
			b.Deferrals = append(b.Deferrals, &store.DeferralAt{Deferral: m, Record: record.PositionOf(r), StoredAt: r.Timestamp})
		}
	case *aftercallv1.EndpointChange:
		need("change_id", m.GetChangeId())
		need("subscription_id", m.GetSubscriptionId())
		item.add = func(b *store.Batch) { b.Changes = append(b.Changes, m) }
	default:
		home = ""
	}
	if home != r.Topic {
		return Reject(r, CodeCorrupt, "a record of kind "+record.Kind(r)+" does not belong into this topic"), nil
	}
	if len(missing) > 0 {
		return Reject(r, CodeCorrupt, "it lacks "+strings.Join(missing, ", ")), nil
	}
	return item, nil
}

// versioned is what a kind and its major version look like.
var versioned = regexp.MustCompile(`^[a-z-]+/[0-9]+$`)

// Reject makes a rejection of a record, by its own coordinates.
func Reject(r *kgo.Record, code, reason string) Item {
	m := &aftercallv1.Rejection{
		Position: record.PositionOf(r), Code: code, Reason: reason, Tenant: "default",
		Payload: r.Value[:min(len(r.Value), payloadKept)], PayloadTruncated: len(r.Value) > payloadKept, PayloadBytes: int64(len(r.Value)),
		ProducedAt: timestamppb.New(r.Timestamp), RejectedAt: timestamppb.New(r.Timestamp),
	}
	return Item{Record: r, Rejected: true, add: func(b *store.Batch) {
		b.Rejections = append(b.Rejections, &store.RejectionAt{Rejection: m, Record: m.Position, StoredAt: r.Timestamp})
	}}
}
