package console

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

type callWebhook struct {
	ID, Name, DeliveryID, Why string
	State                     state
	Attempts                  []timelineRow
}

type callEvent struct {
	EventID, EventType, Position, Bytes string
	At                                  time.Time
	CallID, ScenarioID                  string
	ParentID, ParentHref                string
	// Under is what the record stands under, empty for a root; Indent is the
	// class of its depth.
	Under, Indent     string
	OUPath, Duplicate string
	Warnings          []string
	Webhooks          []callWebhook
}

// deepest is the depth from which on records are no further indented.
const deepest = 4

type recentEvent struct {
	At                time.Time
	EventType, OUPath string
	CallID, CallHref  string
	What              string
}

type callsPage struct {
	base
	CallID, Self, Problem string
	Events                []callEvent
	Recent                []recentEvent
}

func (c *Console) showCalls(w http.ResponseWriter, r *http.Request) error {
	page := callsPage{CallID: r.URL.Query().Get("id"), Self: r.URL.RequestURI()}
	page.base = c.base(r, "Calls", "/calls", crumb{Text: "Calls"})
	status := http.StatusOK
	var err error
	if page.CallID == "" {
		page.Recent, err = c.recent(r)
	} else {
		page.base = c.base(r, "Call "+page.CallID, "/calls", crumb{"Calls", "/calls"}, crumb{Text: page.CallID})
		page.Events, err = c.call(r, page.CallID)
		if err == nil && len(page.Events) == 0 {
			status = http.StatusNotFound
		}
	}
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	return c.render(w, r, status, "calls", page)
}

func (c *Console) recent(r *http.Request) ([]recentEvent, error) {
	rows, _, err := c.Store.Events(r.Context(), store.EventQuery{Page: store.Page{Limit: 30}})
	if err != nil {
		return nil, err
	}
	var out []recentEvent
	for _, e := range rows {
		what := "none wanted it"
		switch {
		case e.Duplicate:
			what = "a repeat: nothing sent"
		case e.Matched == 1:
			what = "1 delivery"
		case e.Matched > 1:
			what = strconv.Itoa(int(e.Matched)) + " deliveries"
		}
		out = append(out, recentEvent{At: e.OccurredAt, EventType: shortType(e.EventType), OUPath: e.OUPath, CallID: e.CallID, CallHref: callHref(e.CallID), What: what})
	}
	return out, nil
}

func (c *Console) call(r *http.Request, id string) ([]callEvent, error) {
	call, err := c.Store.Call(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	attempts := map[string][]timelineRow{}
	for _, a := range call.Attempts {
		attempts[a.DeliveryID] = append(attempts[a.DeliveryID], timelineRow{ID: a.AttemptID, Attempt: attemptText(a.Attempt, a.AttemptsAllowed), What: answerText(a), State: resultState(a.Result, a.Reason), At: a.StartedAt})
	}
	deliveries := map[string][]store.Delivery{}
	known := map[string]store.Delivery{}
	for _, d := range call.Deliveries {
		deliveries[d.EventID] = append(deliveries[d.EventID], d)
		known[d.DeliveryID] = d
	}
	var out []callEvent
	for _, e := range call.Events {
		v := callEvent{CallID: e.CallID, Under: e.ParentEventID, Indent: "leg leg-" + strconv.Itoa(min(e.Depth, deepest)), EventID: e.EventID, EventType: e.EventType, Position: position(e.Position), Bytes: bytesText(int64(e.PayloadBytes)), At: e.OccurredAt,
			ScenarioID: e.ScenarioID, ParentID: e.ParentID, ParentHref: callHref(e.ParentID), OUPath: e.OUPath, Warnings: e.Warnings}
		if e.Duplicate {
			v.Duplicate = position(e.Position)
		}
		shown := map[string]bool{}
		for _, d := range e.Decisions {
			row := callWebhook{ID: d.SubscriptionID, Name: d.SubscriptionName, DeliveryID: d.DeliveryID}
			if row.Name == "" {
				row.Name = d.SubscriptionID
			}
			switch d.Outcome {
			case "matched":
				row.State = state{"queued", "info", "ring"}
				row.Why = "It has this event type, and the organization unit fits."
				if have, ok := known[d.DeliveryID]; ok {
					row.State = deliveryState(have.State, have.Reason)
					if have.State == "waiting" {
						row.Why = "Attempt " + strconv.Itoa(int(have.Attempt)+1) + " follows at " + have.NextAttemptAt.UTC().Format("15:04:05 UTC") + "."
					}
				}
				row.Attempts = attempts[d.DeliveryID]
				shown[d.DeliveryID] = true
			case "inactive":
				row.State, row.Why, row.DeliveryID = state{"not sent", "", "square"}, "Is Active was off when the call ended.", ""
			case "filter_false":
				row.State, row.Why, row.DeliveryID = state{"not sent", "", "square"}, "Its filter said no.", ""
			default:
				row.State, row.Why, row.DeliveryID = state{"not sent", "", "square"}, words(d.Outcome)+" "+d.Detail, ""
			}
			v.Webhooks = append(v.Webhooks, row)
		}
		for _, d := range deliveries[e.EventID] {
			if shown[d.DeliveryID] {
				continue
			}
			v.Webhooks = append(v.Webhooks, callWebhook{ID: d.SubscriptionID, Name: d.SubscriptionName, DeliveryID: d.DeliveryID, State: deliveryState(d.State, d.Reason), Why: causeLong(d.Cause), Attempts: attempts[d.DeliveryID]})
		}
		out = append(out, v)
	}
	return out, nil
}
