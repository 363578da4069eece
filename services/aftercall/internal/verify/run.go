package verify

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// CDR is one record that the broker acknowledged to its producer.
type CDR struct {
	Topic     string
	Partition int32
	Offset    int64
	Value     []byte
}

// Run is everything that was seen of a run.
type Run struct {
	// Acknowledged is the producers' log.
	Acknowledged []CDR
	// Requests are the receivers' logs, in any order.
	Requests []listen.Entry
	// Records are the committed records of all topics, in the order of their
	// offsets within each partition.
	Records []*kgo.Record
	// Commits are up to where the groups had finished before the ends of the topics
	// were looked up (I9). Nil where that is not known.
	Commits Commits
	// Store is nil where there is none to compare with.
	Store *Store

	// Wants tells the subscriptions that a CDR has to reach, by an account of its
	// own. Nil trusts the router's decisions.
	Wants func(CDR) []string
	// Secrets, raw, by subscription. A subscription that is not listed is not
	// verified.
	Secrets map[string][][]byte
	// AnySecret may have signed any request of a span.
	AnySecret [][]byte
	// Unseen are subscriptions whose receiver keeps no log; of a span, Seen are the
	// ones whose receiver does, and from when to when.
	Unseen map[string]bool
	Seen   map[string]window

	// Running says that the run has not come to rest: deliveries may be queued.
	Running bool
	// Repeats is how many repeated requests are in order (I6), -1 for any number.
	Repeats int
	// Unrecorded is how many requests may lack an attempt: those under way when a
	// sender was killed and never made again.
	Unrecorded int
	// BrokerKilled says that an embedded broker was killed. A transaction may then
	// be torn, and its CDRs become the same events once more.
	BrokerKilled bool
	// SentNow is, by subscription, since when somebody has what waits sent at once:
	// before it is due (I8).
	SentNow map[string]time.Time
	// Skew between the clocks of senders, broker and receivers (I8).
	Skew time.Duration
}

// Store is what the store holds.
type Store struct {
	Events     []store.Event
	Deliveries []store.Delivery
	Attempts   []store.Attempt
	Rejections []store.Rejection
}

// Commits are committed offsets: by group, topic and partition.
type Commits map[string]map[string]map[int32]int64

// finished says whether a group has committed past a record. What a sender has
// finished above its commit counts as unfinished: it is committed soon.
func (c Commits) finished(group string, at Position) bool {
	return at.Offset < c[group][at.Topic][at.Partition]
}

// window is the time of which a log tells.
type window struct{ from, to time.Time }

func (w window) holds(started time.Time, took time.Duration) bool {
	return started.After(w.from) && started.Add(took).Before(w.to)
}
