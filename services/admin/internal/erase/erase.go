// Package erase removes what is kept about a caller or a call, when somebody asks
// for it.
//
// What it guarantees:
//
//   - An erasure is counted before it is confirmed. From the moment it is started
//     nothing that is projected holds what it concerns; then the store is searched,
//     to the end, over restarts, by one process at a time.
//   - The number or id that it goes by is kept as a keyed digest alone: neither
//     rows, audit log, addresses of pages nor logs name it.
//   - The report says when the copies in Kafka are gone, topic by topic, by what
//     Kafka says of its topics. The digests are kept for as long.
//   - Digests are kept in aftercall.subscriptions too: a store that was restored, or
//     built again, learns them from there and erases again.
//   - What still waits is delivered: senders take it from Kafka, and the receiver
//     gets what it would have got. What it answers is not kept.
package erase

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/phone"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Service plans and runs erasures.
type Service struct {
	Store  *store.DB
	Copies Copies
	Ledger Ledger
	Logger *zap.Logger

	wake chan struct{}
	// unkept says that something was started that the ledger may not have; the
	// runner's alone.
	unkept bool
}

// Copies tells which topics hold copies of what was produced until a time, and when
// they are gone.
type Copies interface {
	Of(ctx context.Context, until time.Time) ([]store.ErasureCopy, error)
}

// New makes a service. Run of it is the runner.
func New(db *store.DB, copies Copies, ledger Ledger, logger *zap.Logger) *Service {
	return &Service{Store: db, Copies: copies, Ledger: ledger, Logger: logger, wake: make(chan struct{}, 1)}
}

// ErasureInput is what somebody wants erased: one of the two.
type ErasureInput struct {
	CallerNumber string `json:"caller_number,omitempty" maxLength:"256" doc:"A phone number with its country code, in any usual form, or a SIP address. Every call of it that ended before the request is concerned, as caller, callee or target of a transfer, and whatever else names it."`
	CallID       string `json:"call_id,omitempty" maxLength:"256" doc:"A CallId, ScenarioId or ParentId: the whole call is concerned."`
	Plan         bool   `json:"plan,omitempty" doc:"Count first: nothing is erased before it is run."`
}

const maxSubject = 256

// Create keeps a request, and starts it unless it is only to be planned.
func (s *Service) Create(ctx context.Context, q ErasureInput, by store.Actor) (*store.Erasure, error) {
	e := &store.Erasure{Kind: store.ErasureCall, RequestedBy: by.Name}
	number, call := strings.TrimSpace(q.CallerNumber), strings.TrimSpace(q.CallID)
	subject := call
	switch {
	case (number == "") == (call == ""):
		return nil, problem.Invalid(problem.Field{Pointer: "/caller_number", Code: problem.CodeInvalid, Message: "Name a caller's number or a call's id, one of them."})
	case len(number) > maxSubject || len(call) > maxSubject:
		return nil, problem.Invalid(problem.Field{Pointer: "/caller_number", Code: problem.CodeInvalid, Message: "That is longer than 256 characters."})
	case call == "Null" || call == "null":
		return nil, problem.Invalid(problem.Field{Pointer: "/call_id", Code: problem.CodeInvalid, Message: "This is the word for no id."})
	case number != "":
		normal, ok := phone.Normal(number)
		if !ok {
			return nil, problem.Invalid(problem.Field{Pointer: "/caller_number", Code: problem.CodeInvalid,
				Message: "This is neither a phone number of 3 to 15 digits nor a SIP address. A number has its country code: +1 202 555 0142."})
		}
		e.Kind, subject = store.ErasureNumber, normal
	}
	copies, err := s.Copies.Of(ctx, time.Now().UTC())
	if err != nil {
		s.Logger.Warn("erasure.copies.unknown", zap.Error(err))
		return nil, problem.New(http.StatusServiceUnavailable, problem.CodeKafkaUnavailable, "Kafka does not say how long it keeps its copies. Nothing was erased; try again.")
	}
	e.Copies, e.KeptUntil = copies, lastOf(copies)
	if err := s.Store.CreateErasure(ctx, e, subject); err != nil {
		return nil, err
	}
	s.audit(ctx, by, "erasure.requested", e.ID, map[string]string{"by": e.Kind})
	if !q.Plan {
		return s.Start(ctx, e.ID, by)
	}
	s.awake()
	return e, nil
}

// lastOf is when the last copy is gone, zero where one never is.
func lastOf(copies []store.ErasureCopy) (last time.Time) {
	for _, c := range copies {
		if c.GoneBy.IsZero() && !c.Unknown {
			return time.Time{}
		}
		if c.GoneBy.After(last) {
			last = c.GoneBy
		}
	}
	return last
}

// Start runs what was planned.
func (s *Service) Start(ctx context.Context, id string, by store.Actor) (*store.Erasure, error) {
	err := s.Store.StartErasure(ctx, id, by.Name)
	if err := s.changed(ctx, id, err, "It runs already, has run, or was cancelled."); err != nil {
		return nil, err
	}
	s.audit(ctx, by, "erasure.started", id, nil)
	s.awake()
	return s.Store.Erasure(ctx, id)
}

// Cancel forgets what was planned.
func (s *Service) Cancel(ctx context.Context, id string, by store.Actor) (*store.Erasure, error) {
	err := s.Store.CancelErasure(ctx, id)
	if err := s.changed(ctx, id, err, "What was started cannot be taken back."); err != nil {
		return nil, err
	}
	s.audit(ctx, by, "erasure.cancelled", id, nil)
	return s.Store.Erasure(ctx, id)
}

// changed makes a conflict of a change that came too late.
func (s *Service) changed(ctx context.Context, id string, err error, why string) error {
	if problem.From(err).Code != problem.CodeStale || err == nil {
		return err
	}
	if _, missing := s.Store.Erasure(ctx, id); missing != nil {
		return missing
	}
	return problem.New(http.StatusConflict, problem.CodeConflict, why)
}

func (s *Service) audit(ctx context.Context, by store.Actor, action, id string, detail map[string]string) {
	err := s.Store.AddAudit(context.WithoutCancel(ctx), store.AuditEntry{Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: action, Object: id, Detail: detail})
	if err != nil {
		s.Logger.Error("audit.failed", zap.String("action", action), zap.Error(err))
	}
}

func (s *Service) awake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Numbers are the counts of an erasure in words, for audit and log.
func numbers(c store.ErasureCounts) map[string]string {
	out := map[string]string{}
	for name, n := range map[string]int64{"events": c.Events, "payloads": c.Payloads, "attempts": c.Attempts, "rejections": c.Rejections, "ids": c.IDs, "waiting": c.Waiting} {
		out[name] = strconv.FormatInt(n, 10)
	}
	return out
}
