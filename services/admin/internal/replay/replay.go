package replay

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/ack"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Limits of requests.
const (
	DefaultRate = 50
	MaxRate     = 1000
	maxWhy      = 500
	planTime    = 40 * time.Second
)

// Rows are what a replay reads and keeps. *store.DB is one.
type Rows interface {
	CreateReplay(ctx context.Context, r *store.Replay) error
	Replay(ctx context.Context, id string) (*store.Replay, error)
	Replays(ctx context.Context, q store.ReplayQuery) ([]*store.Replay, string, error)
	RunningReplays(ctx context.Context) ([]*store.Replay, error)
	StartReplay(ctx context.Context, id string, rate int, by store.Actor) error
	CancelReplay(ctx context.Context, id string, by store.Actor) error
	SaveReplay(ctx context.Context, before, after *store.Replay) error
	EndReplay(ctx context.Context, id, state, fault string) error
	ReplayLock(ctx context.Context) (release func(), ok bool, err error)

	Subscriptions(ctx context.Context, q store.SubscriptionQuery) ([]*subscription.Subscription, error)
	Unsuccessful(ctx context.Context, from, to time.Time, subscriptions, states []string, after store.ReplayCursor, limit int) ([]store.DeliveryState, error)
	DeliveryStates(ctx context.Context, events []string) ([]store.DeliveryState, error)
	EventsBetween(ctx context.Context, from, to time.Time, types []string, after store.ReplayCursor, limit int, payloads bool) ([]store.ReplayEvent, error)
	EventsByID(ctx context.Context, ids []string, payloads bool) ([]store.ReplayEvent, error)

	// Project makes the rows of deliveries that were produced.
	Project(ctx context.Context, b *store.Batch) (store.Projected, error)
	AddAudit(ctx context.Context, e store.AuditEntry) error
}

// Offsets is the exclusive offset of aftercall.subscriptions that a sender has to
// have read.
type Offsets interface{ Offset() int64 }

// Service plans and runs replays.
type Service struct {
	Rows     Rows
	Producer ack.Producer
	Offsets  Offsets
	// Separator stands between the units of an OU path, "/" when empty.
	Separator string
	Logger    *zap.Logger

	wake chan struct{}
}

// New makes a service. Run of it is the runner.
func New(rows Rows, producer ack.Producer, offsets Offsets, separator string, logger *zap.Logger) *Service {
	return &Service{Rows: rows, Producer: producer, Offsets: offsets, Separator: separator, Logger: logger, wake: make(chan struct{}, 1)}
}

// Request is what somebody wants replayed.
type Request struct {
	Mode          string    `json:"mode" enum:"recover,backfill" doc:"recover: deliveries that ended without success. backfill: events matched again against the webhooks as they are now."`
	From          time.Time `json:"from" doc:"Inclusive, RFC 3339: of when deliveries were first queued (recover), or calls ended (backfill)."`
	To            time.Time `json:"to,omitempty" doc:"Exclusive. Left out or in the future: now."`
	Subscriptions []string  `json:"subscriptions,omitempty" maxItems:"200" doc:"Ids of webhooks. Left out: all."`
	States        []string  `json:"states,omitempty" maxItems:"2" doc:"For recover: given_up, stopped. Left out: both."`
	Why           string    `json:"why,omitempty" maxLength:"500" doc:"Kept with it."`
}

// Plan counts what a request concerns and keeps the plan. Nothing is sent.
func (s *Service) Plan(ctx context.Context, q Request, by store.Actor) (*store.Replay, error) {
	r, err := s.Count(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.keep(ctx, r, by)
}

// operations is the namespace of the ids of plans that are made once.
var operations = uuid.MustParse("b0f3f6c5-6f5b-4d7e-8f0e-3a2c1d9e7a44")

// PlanOnce is Plan, but for the same request under the same operation, as a button
// that is pressed twice makes it: that is one plan, as long as it was not run. An
// operation that is none plans.
func (s *Service) PlanOnce(ctx context.Context, operation string, q Request, by store.Actor) (*store.Replay, error) {
	if _, err := uuid.Parse(operation); err != nil {
		return s.Plan(ctx, q, by)
	}
	text, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	key := uuid.NewSHA1(operations, slices.Concat([]byte(operation), text))
	id := "rpl_" + hex.EncodeToString(key[:])
	before, err := s.Rows.Replay(ctx, id)
	if err == nil && before.State == store.ReplayPlanned {
		return before, nil
	}
	if err == nil {
		return s.Plan(ctx, q, by)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	r, err := s.Count(ctx, q)
	if err != nil {
		return nil, err
	}
	r.ID = id
	r, err = s.keep(ctx, r, by)
	if errors.Is(err, store.ErrExists) {
		return s.Rows.Replay(ctx, id) // the other press was faster
	}
	return r, err
}

// keep keeps a plan.
func (s *Service) keep(ctx context.Context, r *store.Replay, by store.Actor) (*store.Replay, error) {
	r.CreatedBy = by.Name
	if err := s.Rows.CreateReplay(ctx, r); err != nil {
		return nil, err
	}
	s.audit(ctx, by, "replay.planned", r.ID)
	return r, nil
}

// Count is a plan that is not kept.
func (s *Service) Count(ctx context.Context, q Request) (*store.Replay, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if q.To.IsZero() || q.To.After(now) {
		q.To = now
	}
	if err := s.check(ctx, &q); err != nil {
		return nil, err
	}
	id := uuid.Must(uuid.NewV7())
	r := &store.Replay{ID: "rpl_" + hex.EncodeToString(id[:]), Mode: q.Mode, From: q.From.UTC().Truncate(time.Microsecond), To: q.To.UTC().Truncate(time.Microsecond),
		Subscriptions: q.Subscriptions, States: q.States, Why: q.Why, Rate: DefaultRate, SkippedFor: map[string]int64{}}
	ctx, cancel := context.WithTimeout(ctx, planTime)
	defer cancel()
	if err := s.count(ctx, r); err != nil {
		if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeTimeout, "Counting takes too long. Choose a shorter span, or fewer webhooks.")
		}
		return nil, err
	}
	return r, nil
}

func (s *Service) check(ctx context.Context, q *Request) error {
	var fields []problem.Field
	bad := func(pointer, message string) {
		fields = append(fields, problem.Field{Pointer: pointer, Code: problem.CodeInvalid, Message: message})
	}
	switch q.Mode {
	case store.ReplayRecover:
		if len(q.States) == 0 {
			q.States = []string{store.StateGivenUp, store.StateStopped}
		}
	case store.ReplayBackfill:
		if len(q.States) > 0 {
			bad("/states", "States are for recover only.")
		}
	default:
		bad("/mode", "A mode is recover or backfill.")
	}
	for _, state := range q.States {
		if state != store.StateGivenUp && state != store.StateStopped {
			bad("/states", "A state is given_up or stopped: those that ended without success.")
			break
		}
	}
	switch {
	case q.From.IsZero():
		bad("/from", "Say from when on.")
	case !q.From.Before(q.To):
		bad("/from", "The span is empty: from has to be before to, and in the past.")
	}
	if q.Why = strings.TrimSpace(q.Why); len(q.Why) > maxWhy {
		bad("/why", "At most 500 characters.")
	}
	slices.Sort(q.Subscriptions)
	q.Subscriptions = slices.Compact(q.Subscriptions)
	if len(q.Subscriptions) > 0 {
		live, err := s.Rows.Subscriptions(ctx, store.SubscriptionQuery{})
		if err != nil {
			return err
		}
		known := map[string]bool{}
		for _, sub := range live {
			known[sub.ID] = true
		}
		for _, id := range q.Subscriptions {
			if !known[id] {
				bad("/subscriptions", "There is no such webhook, or it was deleted.")
				break
			}
		}
	}
	if len(fields) > 0 {
		return problem.Invalid(fields...)
	}
	return nil
}

// count walks the whole of a plan.
func (s *Service) count(ctx context.Context, r *store.Replay) error {
	w := s.walker(r, false)
	counts := map[string]*store.ReplayCount{}
	var cursor store.ReplayCursor
	for {
		part, next, done, err := w.next(ctx, cursor, 500)
		if err != nil {
			return err
		}
		for _, c := range part {
			n := counts[c.subscriptionID]
			if n == nil {
				n = &store.ReplayCount{SubscriptionID: c.subscriptionID, Skip: map[string]int64{}}
				counts[c.subscriptionID] = n
			}
			r.Total++
			if c.skip == "" {
				n.Send++
			} else {
				n.Skip[c.skip]++
			}
		}
		if done {
			break
		}
		cursor = next
	}
	r.Plan = []store.ReplayCount{}
	for _, n := range counts {
		r.Plan = append(r.Plan, *n)
	}
	slices.SortFunc(r.Plan, func(a, b store.ReplayCount) int { return strings.Compare(a.SubscriptionID, b.SubscriptionID) })
	return nil
}

// Start runs a planned replay, goes on with a cancelled or failed one, or changes
// the rate of a running one.
func (s *Service) Start(ctx context.Context, id string, rate int, by store.Actor) (*store.Replay, error) {
	if rate < 1 || rate > MaxRate {
		return nil, problem.Invalid(problem.Field{Pointer: "/rate", Code: problem.CodeInvalid, Message: "A rate is 1 to 1000 deliveries a second."})
	}
	if err := s.Rows.StartReplay(ctx, id, rate, by); err != nil {
		return nil, over(err)
	}
	s.audit(ctx, by, "replay.started", id)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.Rows.Replay(ctx, id)
}

// Cancel ends a replay. What was sent was sent; Start goes on from there.
func (s *Service) Cancel(ctx context.Context, id string, by store.Actor) (*store.Replay, error) {
	if err := s.Rows.CancelReplay(ctx, id, by); err != nil {
		return nil, over(err)
	}
	s.audit(ctx, by, "replay.cancelled", id)
	return s.Rows.Replay(ctx, id)
}

func over(err error) error {
	switch {
	case errors.Is(err, store.ErrVersion):
		return problem.New(http.StatusConflict, problem.CodeConflict, "This replay is done. Plan another one.")
	case errors.Is(err, store.ErrNotFound):
		return problem.NotFound("replay")
	}
	return err
}

// Replay is one replay.
func (s *Service) Replay(ctx context.Context, id string) (*store.Replay, error) {
	r, err := s.Rows.Replay(ctx, id)
	if err != nil {
		return nil, over(err)
	}
	return r, nil
}

// List is a page of replays, newest first.
func (s *Service) List(ctx context.Context, q store.ReplayQuery) ([]*store.Replay, string, error) {
	return s.Rows.Replays(ctx, q)
}

func (s *Service) audit(ctx context.Context, by store.Actor, action, id string) {
	err := s.Rows.AddAudit(ctx, store.AuditEntry{Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: action, Object: id})
	if err != nil {
		s.Logger.Warn("audit.unstored", zap.String("action", action), zap.String("object", id), zap.Error(err))
	}
}
