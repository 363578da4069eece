package transact

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

// rememberedIDs is how many events are remembered per partition.
const rememberedIDs = 4096

type partition struct {
	topic string
	id    int32
}

// sighting is where an event was read first.
type sighting struct {
	offset    int64
	delivered bool
}

// repeats remembers the events read lately, per partition, so that a record that
// a producer sent twice is not delivered twice. It is filled by committed
// batches only: what was aborted has not happened. It is best effort; the ids
// are what makes a repeat harmless.
type repeats struct {
	committed map[partition]*lru.Cache[string, sighting]
	pending   map[partition]map[string]sighting
}

func newRepeats() *repeats {
	return &repeats{committed: map[partition]*lru.Cache[string, sighting]{}, pending: map[partition]map[string]sighting{}}
}

// first finds where an event was read before this record. A record read again,
// because the group's offsets were set back, is no repeat of itself.
func (r *repeats) first(in *kgo.Record, eventID string) *route.First {
	at := partition{in.Topic, in.Partition}
	s, ok := r.pending[at][eventID]
	if !ok {
		if cache := r.committed[at]; cache != nil {
			s, ok = cache.Get(eventID)
		}
	}
	if !ok || s.offset >= in.Offset {
		return nil
	}
	return &route.First{
		Position:  &aftercallv1.Position{Topic: in.Topic, Partition: in.Partition, Offset: s.offset},
		Delivered: s.delivered,
	}
}

// note takes an event of the batch under way.
func (r *repeats) note(in *kgo.Record, o route.Outcome) {
	if o.Event == nil || o.Event.GetDuplicateOf() != nil {
		return
	}
	at := partition{in.Topic, in.Partition}
	if r.pending[at] == nil {
		r.pending[at] = map[string]sighting{}
	}
	r.pending[at][o.Event.GetEventId()] = sighting{in.Offset, len(o.Deliveries) > 0}
}

// commit keeps what the batch noted.
func (r *repeats) commit() {
	for at, events := range r.pending {
		cache := r.committed[at]
		if cache == nil {
			cache, _ = lru.New[string, sighting](rememberedIDs) // fails for sizes below 1 only
			r.committed[at] = cache
		}
		for id, s := range events {
			cache.Add(id, s)
		}
	}
	clear(r.pending)
}

// abort forgets what the batch noted.
func (r *repeats) abort() { clear(r.pending) }
