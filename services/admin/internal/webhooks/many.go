package webhooks

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Limits of one action on many.
const (
	// MaxResends is how many deliveries are sent again at once. For more there are
	// replays, which have a rate, a progress, and can be cancelled.
	MaxResends = 200
	manyTime   = 40 * time.Second
)

// Operation makes carrying out one action on many safe to repeat: what was carried
// out under an operation and a try is not carried out again.
type Operation struct {
	ID string
	// Try is 1, and one more each time that what failed is tried again. All tries
	// of an operation share the ids of what they make.
	Try int
}

// NewOperation makes one.
func NewOperation() Operation { return Operation{ID: uuid.Must(uuid.NewV7()).String(), Try: 1} }

// Next is the try after this one.
func (o Operation) Next() Operation { return Operation{o.ID, o.Try + 1} }

func (o Operation) object() string { return o.ID + "/" + strconv.Itoa(o.Try) }

// operations is the namespace of the ids of their entries in the audit log.
var operations = uuid.MustParse("0f6a2f57-6d1c-4c37-9a53-6f5a6f4e0d3b")

// Many is what came of one action on many.
type Many struct {
	// Done is how many were acted on; Same is for how many there was nothing to do.
	Done, Same int
	// Failed are those that it could not be done for.
	Failed []Failure
	// Unpublished says that Kafka has not acknowledged all of it. It comes through
	// by itself.
	Unpublished bool
	// Again says that this was carried out before, and nothing was done now: then
	// Failed has no more than a length.
	Again bool
}

// Failure is one that it could not be done for, and why.
type Failure struct{ ID, Why string }

func (m *Many) fail(id string, err error) {
	m.Failed = append(m.Failed, Failure{id, problem.From(err).Detail})
}

// once carries an operation out unless that was done before, and audits it once
// with its counts. Whoever asked may be gone meanwhile: it is carried out whole.
func (s *Service) once(ctx context.Context, o Operation, action string, by store.Actor, carryOut func(context.Context, *Many)) (*Many, error) {
	if _, err := uuid.Parse(o.ID); err != nil || o.Try < 1 {
		return nil, problem.New(http.StatusBadRequest, problem.CodeInvalid, "The operation is not one of ours. Select again.")
	}
	giveBack, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	before, _, err := s.Store.Audit(ctx, store.AuditQuery{Action: action, Object: o.object(), Page: store.Page{Limit: 1}})
	if err != nil {
		return nil, err
	}
	if len(before) > 0 {
		return carried(before[0].Detail), nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), manyTime)
	defer cancel()
	m := &Many{}
	carryOut(ctx, m)
	entry := store.AuditEntry{ID: uuid.NewSHA1(operations, []byte(o.object())).String(), At: s.now(), Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: action, Object: o.object(),
		Detail: map[string]string{"done": strconv.Itoa(m.Done), "nothing_to_do": strconv.Itoa(m.Same), "failed": strconv.Itoa(len(m.Failed))}}
	s.enter(context.WithoutCancel(ctx), entry)
	return m, nil
}

// turnEvery is how often it is asked whether another process has carried out its
// operation.
const turnEvery = 50 * time.Millisecond

// turn waits until no operation is carried out, in whichever process: the same one
// may have been asked for in two of them. In one process the turns are taken one
// after the other before, so that waiting costs one connection of the store.
func (s *Service) turn(ctx context.Context) (giveBack func(), err error) {
	unlock := s.operations.lock("")
	ctx, cancel := context.WithTimeout(ctx, manyTime)
	defer cancel()
	for {
		release, ok, err := s.Store.Lock(ctx, "operations on many")
		if err == nil && ok {
			return func() { release(); unlock() }, nil
		}
		if err == nil {
			select {
			case <-time.After(turnEvery):
				continue
			case <-ctx.Done():
				err = problem.New(http.StatusServiceUnavailable, problem.CodeTimeout, "Another action on many is still being carried out. Try again.")
			}
		}
		unlock()
		return nil, err
	}
}

// carried is what the audit log says of an operation that was carried out.
func carried(detail map[string]string) *Many {
	n := func(name string) int {
		i, _ := strconv.Atoi(detail[name]) // once wrote it
		return i
	}
	return &Many{Again: true, Done: n("done"), Same: n("nothing_to_do"), Failed: make([]Failure, n("failed"))}
}

var errSame = errors.New("there is nothing to change")

// SetActive switches Is Active of many webhooks on or off.
func (s *Service) SetActive(ctx context.Context, o Operation, ids []string, active bool, by store.Actor) (*Many, error) {
	action := "subscriptions.disabled"
	if active {
		action = "subscriptions.enabled"
	}
	return s.once(ctx, o, action, by, func(ctx context.Context, m *Many) {
		var changed []string
		for _, id := range unique(ids) {
			_, err := s.alter(ctx, id, 0, by, func(next *subscription.Subscription) error {
				if next.Active == active {
					return errSame
				}
				next.Active = active
				if active {
					next.DisabledReason = ""
				}
				return nil
			})
			switch {
			case errors.Is(err, errSame):
				m.Same++
			case problem.From(err).Code == problem.CodeNotFound:
				m.fail(id, problem.New(http.StatusNotFound, problem.CodeNotFound, "The webhook was deleted."))
			case err != nil:
				m.fail(id, err)
			default:
				m.Done++
				changed = append(changed, id)
			}
		}
		// When Kafka is away it is for all of them, and the publisher comes after.
		for _, id := range changed {
			if m.Unpublished = !s.publish(ctx, id); m.Unpublished {
				break
			}
		}
	})
}

// ResendMany is ResendDelivery for many. Deliveries of one event to one webhook are
// sent once.
func (s *Service) ResendMany(ctx context.Context, o Operation, deliveries []string, by store.Actor) (*Many, error) {
	deliveries = unique(deliveries)
	if len(deliveries) > MaxResends {
		return nil, problem.New(http.StatusUnprocessableEntity, "too_many", "At most "+strconv.Itoa(MaxResends)+" deliveries are sent again at once. Plan a replay for more.")
	}
	return s.once(ctx, o, "deliveries.resent", by, func(ctx context.Context, m *Many) {
		var away error
		for _, id := range deliveries {
			if away != nil {
				m.fail(id, away)
				continue
			}
			made, err := s.resendOneOfMany(ctx, o.ID, id, by)
			switch {
			case err == nil && made:
				m.Done++
			case err == nil:
				m.Same++
			default:
				m.fail(id, err)
				if problem.From(err).Code == problem.CodeKafkaUnavailable || ctx.Err() != nil {
					away = err
				}
			}
		}
	})
}

func (s *Service) resendOneOfMany(ctx context.Context, operation, deliveryID string, by store.Actor) (made bool, err error) {
	d, err := s.Store.Delivery(ctx, deliveryID)
	if err != nil {
		return false, err
	}
	_, m, err := s.resend(ctx, d.EventID, d.SubscriptionID, operation, ResendOptions{}, by)
	return m != nil, err
}

func unique(ids []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
