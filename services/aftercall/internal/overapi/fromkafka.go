package overapi

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/feed"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Most that is kept of a call; what is more makes the answer a truncated one.
const (
	maxIDs        = 1000
	maxEvents     = 200
	maxDeliveries = 1000
	maxAttempts   = 5000
	// passes over the events: a call leads to its scenario, and that to its calls.
	passes = 3
	// namesWait is how long subscriptions may take to be known.
	namesWait = 15 * time.Second
)

// path is a call's, as it is found.
type path struct {
	call
	ids    map[string]bool   // CallIds, ScenarioIds and ParentIds that belong to it
	shards map[string]string // delivery id → key of its records
	names  map[string]string
}

// fromKafka finds a call's whole path without the API, in what was written since.
func fromKafka(ctx context.Context, c kafka.Config, id string, since time.Time, progress func(topic string, done, all int64)) (*call, []hook, error) {
	if err := kafka.Ping(ctx, c); err != nil {
		return nil, nil, err
	}
	hooks, err := subscriptions(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	cl, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return nil, nil, fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer cl.Close()
	s := &scanner{config: c, adm: kadm.NewClient(cl), since: since, progress: progress}
	p := &path{call: call{Events: []callEvent{}, Deliveries: []delivery{}, Attempts: []attempt{}}, ids: map[string]bool{id: true}, shards: map[string]string{}, names: map[string]string{}}
	for _, h := range hooks {
		p.names[h.ID] = h.Name
	}
	for range passes {
		known := len(p.ids)
		p.Events = p.Events[:0]
		if err := s.read(ctx, topic.Events, nil, p.event); err != nil {
			return nil, nil, err
		}
		if len(p.ids) == known {
			break
		}
	}
	if len(p.Events) == 0 {
		return &p.call, hooks, nil
	}
	// Deliveries are keyed by subscription: that of a resend may be any.
	if err := s.read(ctx, topic.Deliveries, nil, p.delivery); err != nil {
		return nil, nil, err
	}
	if err := p.follow(ctx, s); err != nil {
		return nil, nil, err
	}
	p.order()
	return &p.call, hooks, nil
}

// follow reads what became of the deliveries: by key, and everywhere when that
// leaves one untold, be it that it was not tried yet, or that partitions were added.
func (p *path) follow(ctx context.Context, s *scanner) error {
	var ids, shards []string
	for _, d := range p.Deliveries {
		ids = append(ids, d.ID)
		if key := p.shards[d.ID]; key != "" && !slices.Contains(shards, key) {
			shards = append(shards, key)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := s.read(ctx, topic.History, ids, p.history); err != nil {
		return err
	}
	if slices.ContainsFunc(p.Deliveries, func(d delivery) bool { return d.State == store.StateQueued }) {
		// From the start: what follows in a partition counts.
		p.Attempts = p.Attempts[:0]
		for i := range p.Deliveries {
			d := &p.Deliveries[i]
			d.State, d.Attempt, d.Allowed, d.Reason, d.Next = store.StateQueued, 0, 0, "", nil
			d.Deferrals, d.LastAt, d.UpdatedAt, d.counted = 0, nil, time.Time{}, false
		}
		if err := s.read(ctx, topic.History, nil, p.history); err != nil {
			return err
		}
	}
	for _, name := range append(topic.DelayTopics(), topic.GivenUp) {
		if err := s.read(ctx, name, shards, p.waiting); err != nil {
			return err
		}
	}
	return nil
}

// subscriptions are those that are there, as explain needs them.
func subscriptions(ctx context.Context, c kafka.Config) ([]hook, error) {
	f, err := feed.New(c, nil)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	select {
	case <-f.Ready():
	case err := <-ended:
		if err == nil {
			err = ctx.Err()
		}
		return nil, err
	case <-time.After(namesWait):
		return nil, fmt.Errorf("reading %s: it takes longer than %s", topic.Subscriptions, namesWait)
	}
	var all []hook
	f.Each(func(s *subscription.Subscription) {
		all = append(all, hook{ID: s.ID, Name: s.Name, Active: s.Active, Events: s.Events, Scope: s.OUScope})
	})
	stop()
	if err := <-ended; err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b hook) int { return compare(a.Name, b.Name, a.ID, b.ID) })
	return all, nil
}

// event takes an event that belongs to the call.
func (p *path) event(r *kgo.Record) {
	m, err := record.OpenAs[*aftercallv1.Event](r)
	if err != nil {
		return // the projector says what is wrong with it
	}
	ids := []string{m.GetCallId(), m.GetScenarioId(), m.GetParentId()}
	if !slices.ContainsFunc(ids, func(id string) bool { return id != "" && p.ids[id] }) {
		return
	}
	for _, id := range ids {
		if id != "" && !p.ids[id] {
			if len(p.ids) >= maxIDs {
				p.Truncated = true
				return
			}
			p.ids[id] = true
		}
	}
	if len(p.Events) >= maxEvents {
		p.Truncated = true
		return
	}
	e := callEvent{
		ID: m.GetEventId(), Type: m.GetEventType(), CallID: m.GetCallId(), Cause: store.CauseWord(m.GetCause()), OUPath: m.GetOuPath(),
		OccurredAt: m.GetOccurredAt().AsTime(), RoutedAt: m.GetRoutedAt().AsTime(), Duplicate: m.GetDuplicateOf() != nil,
		Position: position{m.GetPosition().GetTopic(), m.GetPosition().GetPartition(), m.GetPosition().GetOffset()},
	}
	for _, d := range m.GetDecisions() {
		e.Decisions = append(e.Decisions, decision{SubID: d.GetSubscriptionId(), Name: p.name(d.GetSubscriptionId()), Outcome: store.OutcomeWord(d.GetOutcome()), DeliveryID: d.GetDeliveryId(), Detail: d.GetDetail()})
	}
	p.Events = append(p.Events, e)
}

func (p *path) name(id string) string {
	if n := p.names[id]; n != "" {
		return n
	}
	return id
}

// delivery takes a delivery of one of the events.
func (p *path) delivery(r *kgo.Record) {
	m, err := record.OpenAs[*aftercallv1.Delivery](r)
	if err != nil || !slices.ContainsFunc(p.Events, func(e callEvent) bool { return e.ID == m.GetEventId() }) {
		return
	}
	if p.find(m.GetDeliveryId()) != nil {
		return
	}
	if len(p.Deliveries) >= maxDeliveries {
		p.Truncated = true
		return
	}
	p.shards[m.GetDeliveryId()] = string(r.Key)
	p.Deliveries = append(p.Deliveries, delivery{
		ID: m.GetDeliveryId(), EventID: m.GetEventId(), SubID: m.GetSubscriptionId(), Name: p.name(m.GetSubscriptionId()),
		State: store.StateQueued, Cause: store.CauseWord(m.GetCause()),
	})
}

func (p *path) find(id string) *delivery {
	for i := range p.Deliveries {
		if p.Deliveries[i].ID == id {
			return &p.Deliveries[i]
		}
	}
	return nil
}

// history takes an attempt or a deferral of one of the deliveries, in the order of
// their partition.
func (p *path) history(r *kgo.Record) {
	m, err := record.Open(r)
	if err != nil {
		return
	}
	switch m := m.(type) {
	case *aftercallv1.Attempt:
		d := p.find(m.GetDeliveryId())
		if d == nil {
			return
		}
		if slices.ContainsFunc(p.Attempts, func(a attempt) bool { return a.ID == m.GetAttemptId() }) {
			return
		}
		if len(p.Attempts) >= maxAttempts {
			p.Truncated = true
			return
		}
		a := attempt{
			ID: m.GetAttemptId(), StartedAt: m.GetStartedAt().AsTime(), Subscription: d.Name, SubID: d.SubID, EventType: m.GetEventType(), CallID: m.GetCallId(),
			DeliveryID: d.ID, Attempt: int(m.GetAttempt()), Allowed: int(m.GetAttemptsAllowed()), Result: store.ResultWord(m.GetResult()), State: store.StateWord(m.GetState()),
			Status: int(m.GetHttpStatus()), Error: store.ErrorWord(m.GetErrorClass()), Reason: m.GetReason(), DurationMS: m.GetTimings().GetTotal().AsDuration().Milliseconds(),
		}
		p.Attempts = append(p.Attempts, a)
		d.State, d.Attempt, d.Allowed, d.Reason, d.Next = a.State, a.Attempt, a.Allowed, m.GetStateReason(), at(m.GetNextAttemptAt())
		d.Deferrals, d.LastAt, d.UpdatedAt, d.counted = int(m.GetDeferrals()), &a.StartedAt, a.StartedAt, true
	case *aftercallv1.Deferral:
		if d := p.find(m.GetDeliveryId()); d != nil && (d.State == store.StateQueued || d.State == store.StateWaiting) {
			d.State, d.Reason, d.Next = store.StateWaiting, m.GetReason(), at(m.GetUntil())
			d.Deferrals, d.UpdatedAt, d.counted = int(m.GetDeferrals()), m.GetAt().AsTime(), false
		}
	}
}

// waiting takes what stands in a delay topic, or was given up, where the history
// has not said so.
func (p *path) waiting(r *kgo.Record) {
	m, err := record.OpenAs[*aftercallv1.Delivery](r)
	if err != nil {
		return
	}
	d := p.find(m.GetDeliveryId())
	if d == nil || d.State != store.StateQueued && d.State != store.StateWaiting {
		return
	}
	dwell := record.Dwell(r.Topic)
	if dwell == 0 {
		d.State, d.Reason, d.Next = store.StateGivenUp, m.GetWaitReason(), nil
		return
	}
	// One that was moved on stands there still.
	if due := r.Timestamp.Add(dwell); due.After(time.Now()) && (d.Next == nil || due.After(*d.Next)) {
		d.State, d.Reason, d.Next = store.StateWaiting, m.GetWaitReason(), &due
		if n := int(m.GetDeferrals()); n > 0 {
			// What stands in the topic has counted them all.
			d.Deferrals, d.counted = n, true
			if d.UpdatedAt.IsZero() {
				d.UpdatedAt = r.Timestamp
			}
		}
	}
}

// order is that of the API: the call's own course.
func (p *path) order() {
	slices.SortStableFunc(p.Events, func(a, b callEvent) int { return a.OccurredAt.Compare(b.OccurredAt) })
	slices.SortStableFunc(p.Deliveries, func(a, b delivery) int { return compare(a.Name, b.Name, a.ID, b.ID) })
	slices.SortStableFunc(p.Attempts, func(a, b attempt) int { return a.StartedAt.Compare(b.StartedAt) })
}

func compare(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch {
		case pairs[i] < pairs[i+1]:
			return -1
		case pairs[i] > pairs[i+1]:
			return 1
		}
	}
	return 0
}

func at(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}

// progressOn shows on a terminal how far a topic is read.
func progressOn(errs io.Writer) func(topic string, done, all int64) {
	if !client.Terminal(errs) {
		return func(string, int64, int64) {}
	}
	var shown time.Time
	return func(name string, done, all int64) {
		if time.Since(shown) < 200*time.Millisecond && done < all {
			return
		}
		shown = time.Now()
		_, _ = fmt.Fprintf(errs, "\r\x1b[K%s: %d of %d records", name, done, all)
		if done >= all {
			_, _ = fmt.Fprint(errs, "\r\x1b[K")
		}
	}
}
