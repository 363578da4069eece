// Package webhooks is what can be done with webhooks: adding, changing and
// deleting them, checking an endpoint, sending a test, sending a delivery again.
// The API and the console both call it; neither does any of it by itself.
//
// What it guarantees:
//
//   - A secret goes in and never comes out: it is sealed before the store or
//     Kafka sees it. The one exception is the answer to the creation, change or
//     rotation that made one.
//   - An endpoint is refused on saving when any address its name resolves to is
//     denied, and when its name does not exist. A look-up that merely fails or
//     times out does not stand in the way: senders check every connection again.
//   - A change is saved first and published then. It is answered as published
//     only after Kafka acknowledged it; otherwise the publisher catches up.
//   - A resend is produced, acknowledged, and only then answered. The same
//     request id gives the same delivery, whatever the number of requests.
//   - What goes wrong on purpose is a *problem.Problem.
package webhooks

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/ack"
	"github.com/aftercall/aftercall/services/admin/internal/erase"
	"github.com/aftercall/aftercall/services/admin/internal/export"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
	"github.com/aftercall/aftercall/services/admin/internal/stream"
	"github.com/aftercall/aftercall/services/admin/internal/watch"
)

// Sealer encrypts and opens one field of one subscription.
type Sealer interface {
	Seal(subscriptionID, field string, plain []byte) ([]byte, error)
	Unseal(subscriptionID, field string, sealed []byte) ([]byte, error)
}

// HostChecker resolves a host and answers an error when an address of it must
// not be connected to.
type HostChecker interface {
	CheckHost(ctx context.Context, host string, port int) error
}

// Publisher publishes the row of a subscription as it is now, and returns when
// Kafka has acknowledged it. It answers the exclusive end of
// aftercall.subscriptions after it.
type Publisher interface {
	Publish(ctx context.Context, id string) error
	// Offset is an offset of aftercall.subscriptions (exclusive) that covers all
	// that was published from here, 0 when unknown.
	Offset() int64
}

// Service does it. All fields but Now and Random are needed.
type Service struct {
	Store     *store.DB
	Sealer    Sealer
	Hosts     HostChecker
	Rules     webhook.URLRules
	Producer  ack.Producer
	Publisher Publisher
	// Releaser may be nil: then another process carries it out.
	Releaser Releaser
	// Probe makes the one HEAD request of Check, over the guarded dialer.
	Probe http.RoundTripper
	// Separator stands between the units of an OU path, "/" when empty.
	Separator string
	// Live tells what happens; nil where nobody may listen.
	Live *stream.Hub
	// Exports take turns.
	Exports export.Turns
	// Replays are run beside it.
	Replays *replay.Service
	// Erasures too.
	Erasures *erase.Service
	// Lags are what was measured last of Kafka's readers.
	Lags   *watch.Last
	Logger *zap.Logger
	// Patience with Kafka, DefaultPatience when 0.
	Patience time.Duration
	Now      func() time.Time
	Random   io.Reader

	resends, operations keyed
}

// DefaultPatience with Kafka: after it an edit is answered as saved but not yet
// published, a test or resend as not taken.
const DefaultPatience = 3 * time.Second

func (s *Service) patience() time.Duration { return cmp.Or(s.Patience, DefaultPatience) }

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

func (s *Service) random() io.Reader {
	if s.Random != nil {
		return s.Random
	}
	return rand.Reader
}

// NewID makes the id of a subscription.
func NewID() string {
	id := uuid.Must(uuid.NewV7())
	return "sub_" + hex.EncodeToString(id[:])
}

// produce writes one record and waits for its acknowledgement.
func (s *Service) produce(ctx context.Context, r *kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	if err := ack.Wait(ctx, s.Producer, r); err != nil {
		s.Logger.Warn("record.unacknowledged", zap.String("topic", r.Topic), zap.Error(err))
		return problem.New(http.StatusServiceUnavailable, problem.CodeKafkaUnavailable,
			"Kafka does not answer. Try again later: repeated with the same Idempotency-Key, a resend is one delivery.")
	}
	return nil
}

// live is the subscription, unless it is deleted.
func (s *Service) live(ctx context.Context, id string) (*subscription.Subscription, error) {
	sub, err := s.Store.Subscription(ctx, id)
	if err != nil {
		return nil, err
	}
	if sub.Deleted {
		return nil, problem.NotFound("subscription")
	}
	return sub, nil
}

// isTimeout says that a look-up failed in a way that may pass.
func isTimeout(err *net.DNSError) bool { return err.IsTimeout || err.IsTemporary || !err.IsNotFound }
