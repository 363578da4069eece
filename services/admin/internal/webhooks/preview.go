package webhooks

import (
	"context"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/filter"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Bounds of a preview: it answers about fewer events rather than late.
const (
	PreviewEvents = 1000
	previewTime   = 3 * time.Second
	previewShown  = 5
)

// PreviewInput says which events a webhook would get.
type PreviewInput struct {
	ID      string   `json:"id,omitempty" maxLength:"64" doc:"A subscription to compare with: now is what it gets."`
	Events  []string `json:"events" doc:"Event types, as in a subscription."`
	OUScope string   `json:"ou_scope,omitempty"`
	Filter  string   `json:"filter,omitempty"`
}

// Preview says how many of the last events would be sent.
type Preview struct {
	Events   int  `json:"events" doc:"Events looked at: the last 1,000, or fewer when there are fewer or looking took too long."`
	Matching int  `json:"matching" doc:"Those that would be sent."`
	Now      *int `json:"now,omitempty" doc:"Those that the subscription named by id matches as it is."`
	Errors   int  `json:"errors" doc:"Those that the filter cannot be evaluated for: they are not sent."`
	Expired  int  `json:"expired" doc:"Those whose record is not kept any more, so that no filter can be asked. They count as not sent."`
	// Error is the first of the filter's errors.
	Error  string          `json:"error,omitempty" doc:"What the filter says about the first of the errors."`
	Sample []PreviewSample `json:"sample" doc:"The newest of those that would be sent."`
}

// PreviewSample is one of them.
type PreviewSample struct {
	EventID   string `json:"event_id"`
	EventType string `json:"event_type"`
	CallID    string `json:"call_id"`
}

// candidate is one subscription as it would match.
type candidate struct {
	index  *subscription.Index
	filter *filter.Filter
}

func (s *Service) candidate(sub *subscription.Subscription) (*candidate, error) {
	separator := s.Separator
	if separator == "" {
		separator = subscription.DefaultSeparator
	}
	c := &candidate{index: subscription.NewIndexWithSeparator(separator)}
	if sub.Filter != "" {
		var err error
		if c.filter, err = filter.Compile(sub.Filter); err != nil {
			return nil, err
		}
	}
	c.index.Put(&subscription.Subscription{ID: "candidate", Version: 1, Active: true, Events: sub.Events, OUScope: sub.OUScope})
	return c, nil
}

// match asks about one event. input is nil where the record is gone.
func (c *candidate) match(e *store.Event, input *filter.Input) (bool, error) {
	if len(c.index.Match(e.EventType, e.OUPath)) == 0 {
		return false, nil
	}
	if c.filter == nil {
		return true, nil
	}
	if input == nil {
		return false, errExpired
	}
	return c.filter.Match(input)
}

var errExpired = store.ErrPayloadExpired

// Preview asks which of the last events a webhook would get.
func (s *Service) Preview(ctx context.Context, in PreviewInput) (*Preview, error) {
	sub := &subscription.Subscription{ID: "sub_preview", Version: 1, Name: "preview", Endpoint: "https://example.com/", Active: true, Events: in.Events,
		OUScope: strings.TrimSpace(in.OUScope), Filter: strings.TrimSpace(in.Filter)}
	sub.SetDefaults()
	var fields []problem.Field
	for _, f := range subscription.Validate(sub, s.Rules) {
		if f.Pointer != "/endpoint" {
			fields = append(fields, problem.Field{Pointer: f.Pointer, Code: f.Code, Message: f.Message})
		}
	}
	if len(fields) > 0 {
		return nil, problem.Invalid(fields...)
	}
	next, err := s.candidate(sub)
	if err != nil {
		return nil, err
	}
	var now *candidate
	out := &Preview{Sample: []PreviewSample{}}
	if in.ID != "" {
		current, err := s.live(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		// A filter of another build may not compile here: then there is nothing
		// to compare with.
		if now, err = s.candidate(current); err == nil {
			out.Now = new(int)
		}
	}
	payloads := next.filter != nil || now != nil && now.filter != nil
	deadline := time.Now().Add(previewTime)
	err = s.Store.RecentEvents(ctx, PreviewEvents, payloads, func(e *store.Event, payload []byte) bool {
		out.Events++
		var input *filter.Input
		if payload != nil {
			input = filter.NewInput(payload, filter.Envelope{Type: e.EventType, CallID: e.CallID, ScenarioID: e.ScenarioID, ParentID: e.ParentID,
				OUPath: e.OUPath, Source: e.Source, Tenant: e.Tenant, OccurredAt: e.OccurredAt})
		}
		out.count(e, next, input)
		if out.Now != nil {
			if yes, err := now.match(e, input); yes && err == nil {
				*out.Now++
			}
		}
		return time.Now().Before(deadline)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p *Preview) count(e *store.Event, next *candidate, input *filter.Input) {
	switch yes, err := next.match(e, input); {
	case err == errExpired: //nolint:errorlint // it is ours, never wrapped
		p.Expired++
	case err != nil:
		p.Errors++
		if p.Error == "" {
			p.Error = sentence(err.Error())
		}
	case yes:
		p.Matching++
		if len(p.Sample) < previewShown {
			p.Sample = append(p.Sample, PreviewSample{e.EventID, e.EventType, e.CallID})
		}
	}
}
