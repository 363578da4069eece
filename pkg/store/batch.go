package store

import (
	"time"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Batch is what a projector has read and the offsets it has read it from. Its
// rows may come in any order.
type Batch struct {
	Events     []*aftercallv1.Event
	Rejections []*RejectionAt
	Attempts   []*AttemptAt
	Deferrals  []*DeferralAt
	Changes    []*aftercallv1.EndpointChange
	// Requested are deliveries that somebody asked for (AddDelivery).
	Requested []*RequestedDelivery
	Offsets   []Offset
	// Eraser knows what was erased; Project sets it.
	Eraser *Eraser
}

// Len is the number of records in the batch.
func (b *Batch) Len() int {
	return len(b.Events) + len(b.Rejections) + len(b.Attempts) + len(b.Deferrals) + len(b.Changes) + len(b.Requested)
}

// AttemptAt is an attempt with the place and time of its own record in the
// history topic.
type AttemptAt struct {
	*aftercallv1.Attempt
	Record   *aftercallv1.Position
	StoredAt time.Time
}

// DeferralAt is a deferral with the place and time of its own record.
type DeferralAt struct {
	*aftercallv1.Deferral
	Record   *aftercallv1.Position
	StoredAt time.Time
}

// RejectionAt is a rejection with the place and time of its own record. A
// record that the projector itself could not read becomes one whose Position is
// Record.
type RejectionAt struct {
	*aftercallv1.Rejection
	Record   *aftercallv1.Position
	StoredAt time.Time
}

// RequestedDelivery is a delivery produced on somebody's word: a resend or a
// replay.
type RequestedDelivery struct {
	*aftercallv1.Delivery
	By string
}

// Offset moves one partition's projected offset from From to To: everything
// below To is in the store. From is 0 where nothing was projected yet. From and
// To may be equal, to move Until alone.
type Offset struct {
	Topic     string
	Partition int32
	From, To  int64
	// Until is the time up to which this partition's records are in the store:
	// the time of the last record, or of the moment when the end of the
	// partition was seen to be To. Zero leaves it as it is; it never goes back.
	Until time.Time
}

// Projected counts the rows that a batch really added; what was there already
// doesn't count. Deliveries counts the rows touched.
type Projected struct {
	Events, Attempts, Deferrals, Rejections, Changes, Deliveries int64
}

// Rows is the sum of all.
func (p Projected) Rows() int64 {
	return p.Events + p.Attempts + p.Deferrals + p.Rejections + p.Changes + p.Deliveries
}
