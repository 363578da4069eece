package webhooks

import (
	"cmp"
	"context"
	"slices"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
)

// Why a delivery cannot be sent again.
const (
	cannotDeleted = "the webhook was deleted"
	cannotOff     = "the webhook is off"
	cannotExpired = "the record's retention has passed"
)

// ResendPlan is what sending attempts again would do.
type ResendPlan struct {
	// Attempts is how many were asked for.
	Attempts int
	// Deliveries are those to send again, one for each event and webhook.
	Deliveries []string
	// Webhooks has a count for each.
	Webhooks []ResendCount
	// Delivered is how many of Deliveries the webhook has taken before.
	Delivered int
	// TooMany says that there are more than MaxResends, and the rest was not
	// counted.
	TooMany bool
}

// ResendCount is what a plan has for one webhook.
type ResendCount struct {
	ID, Name string
	Send     int
	// Cannot counts what cannot be sent, by reason.
	Cannot map[string]int
}

// planPages is how much of a list is read for a plan. A list of so many attempts of
// so few deliveries is too many as well.
const planPages = 20

// PlanMatching plans sending again whatever a list selects. Nothing is sent.
func (s *Service) PlanMatching(ctx context.Context, q store.AttemptQuery) (*ResendPlan, error) {
	q.Page = store.Page{Limit: 1000}
	var all []store.Attempt
	pairs := map[[2]string]bool{}
	for range planPages {
		rows, next, err := s.Store.Attempts(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			pairs[pairOf(&rows[i])] = true
		}
		if len(pairs) > MaxResends {
			break
		}
		all = append(all, rows...)
		if next == "" {
			return s.planResends(ctx, all)
		}
		q.Cursor = next
	}
	return &ResendPlan{TooMany: true}, nil
}

// PlanSelected plans sending some attempts again. Nothing is sent.
func (s *Service) PlanSelected(ctx context.Context, attempts []string) (*ResendPlan, error) {
	attempts = unique(attempts)
	if len(attempts) > MaxResends {
		return &ResendPlan{TooMany: true}, nil
	}
	var all []store.Attempt
	for _, id := range attempts {
		a, err := s.Store.Attempt(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, a.Attempt)
	}
	return s.planResends(ctx, all)
}

func pairOf(a *store.Attempt) [2]string { return [2]string{a.EventID, a.SubscriptionID} }

func (s *Service) planResends(ctx context.Context, attempts []store.Attempt) (*ResendPlan, error) {
	plan := &ResendPlan{Attempts: len(attempts)}
	subs, err := s.Store.Subscriptions(ctx, store.SubscriptionQuery{})
	if err != nil {
		return nil, err
	}
	live := map[string]*subscription.Subscription{}
	for _, sub := range subs {
		live[sub.ID] = sub
	}
	var ids []string
	for i := range attempts {
		ids = append(ids, attempts[i].EventID)
	}
	events, err := s.Store.EventsByID(ctx, unique(ids), false)
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for i := range events {
		kept[events[i].EventID] = !events[i].PayloadExpired
	}
	delivered := map[[2]string]bool{}
	for i := range attempts {
		if attempts[i].Result == store.ResultDelivered {
			delivered[pairOf(&attempts[i])] = true
		}
	}
	counts := map[string]*ResendCount{}
	seen := map[[2]string]bool{}
	for i := range attempts {
		a := &attempts[i]
		if seen[pairOf(a)] {
			continue
		}
		seen[pairOf(a)] = true
		n := counts[a.SubscriptionID]
		if n == nil {
			n = &ResendCount{ID: a.SubscriptionID, Name: cmp.Or(a.SubscriptionName, a.SubscriptionID), Cannot: map[string]int{}}
			counts[a.SubscriptionID] = n
		}
		switch sub := live[a.SubscriptionID]; {
		case sub == nil:
			n.Cannot[cannotDeleted]++
		case !sub.Active:
			n.Cannot[cannotOff]++
		case !kept[a.EventID]:
			n.Cannot[cannotExpired]++
		default:
			n.Send++
			plan.Deliveries = append(plan.Deliveries, a.DeliveryID)
			if delivered[pairOf(a)] {
				plan.Delivered++
			}
		}
	}
	for _, n := range counts {
		plan.Webhooks = append(plan.Webhooks, *n)
	}
	slices.SortFunc(plan.Webhooks, func(a, b ResendCount) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return plan, nil
}
