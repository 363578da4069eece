package console

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/erase"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

func (c *Console) erasureRoutes(page func(pattern, scope string, h handler)) {
	page("GET /erasures", access.Admin, c.listErasures)
	page("POST /erasures", access.Admin, c.planErasure)
	page("GET /erasures/{id}", access.Admin, c.showErasure)
	page("POST /erasures/{id}/run", access.Admin, c.runErasure)
	page("POST /erasures/{id}/cancel", access.Admin, c.cancelErasure)
}

type erasureForm struct {
	// What is typed is not shown again in an address, only on the page that
	// refuses it.
	Number, Call string
	Errors       *problem.Problem
}

// At is what is wrong with a field, or "".
func (f erasureForm) At(pointer string) string { return f.Errors.At(pointer) }

type erasureRow struct {
	ID, What, Who, Found string
	At                   time.Time
	State                state
}

type erasuresPage struct {
	base
	Live    liveness
	Problem string
	Form    erasureForm
	Rows    []erasureRow
	Pager   pager
}

// erasureCount is one line of what was found or erased.
type erasureCount struct{ What, Count, Stays string }

type erasureCopy struct {
	Topic, Owner, Keeps string
	GoneBy              time.Time
	Forever, Gone       bool
	Unknown             bool
}

type erasurePage struct {
	base
	erasureRow
	Counting, Planned, Running, Done bool
	Nothing                          bool
	Fault, StartedBy                 string
	EndedAt, KeptUntil               time.Time
	Waiting                          int64
	Counts                           []erasureCount
	Copies                           []erasureCopy
	Forever                          bool
}

func erasureState(s string) state {
	switch s {
	case store.ErasureCounting:
		return state{"counting", "info", "again"}
	case store.ErasurePlanned:
		return state{"planned", "", "ring"}
	case store.ErasureRunning:
		return state{"running", "info", "again"}
	case store.ErasureDone:
		return state{"done", "ok", "tick"}
	}
	return state{s, "", "square"}
}

func erasureRowOf(e *store.Erasure) erasureRow {
	row := erasureRow{ID: e.ID, What: "A caller's number", Who: e.RequestedBy, At: e.CreatedAt, State: erasureState(e.State), Found: count(e.Counts.Events)}
	if e.Kind == store.ErasureCall {
		row.What = "A call"
	}
	return row
}

func (c *Console) listErasures(w http.ResponseWriter, r *http.Request) error {
	return c.erasuresPage(w, r, http.StatusOK, erasureForm{})
}

func (c *Console) erasuresPage(w http.ResponseWriter, r *http.Request, status int, form erasureForm) error {
	page := erasuresPage{base: c.base(r, "Erasures", "/erasures", crumb{Text: "Erasures"}), Form: form}
	cursor := r.URL.Query().Get("cursor")
	rows, next, err := c.Store.Erasures(r.Context(), store.ErasureQuery{Page: store.Page{Limit: pageRows, Cursor: cursor}})
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	for _, e := range rows {
		page.Rows = append(page.Rows, erasureRowOf(e))
	}
	page.Pager = pagerOf(r, next)
	page.Live = liveness{On: cursor == ""}
	return c.render(w, r, status, "erasures", page)
}

func (c *Console) planErasure(w http.ResponseWriter, r *http.Request) error {
	form := erasureForm{Number: r.PostForm.Get("number"), Call: r.PostForm.Get("call")}
	e, err := c.Webhooks.Erasures.Create(r.Context(), erase.ErasureInput{CallerNumber: form.Number, CallID: form.Call, Plan: true}, actor(r))
	if err != nil {
		if p := problem.From(err); p.Status == http.StatusUnprocessableEntity {
			form.Errors = p
			return c.erasuresPage(w, r, p.Status, form)
		}
		return err
	}
	http.Redirect(w, r, "/erasures/"+url.PathEscape(e.ID), http.StatusSeeOther)
	return nil
}

func (c *Console) showErasure(w http.ResponseWriter, r *http.Request) error {
	e, err := c.Store.Erasure(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	row := erasureRowOf(e)
	page := erasurePage{base: c.base(r, "Erasure", "/erasures", crumb{"Erasures", "/erasures"}, crumb{Text: e.ID}), erasureRow: row, Fault: e.Fault, StartedBy: e.StartedBy, EndedAt: e.EndedAt,
		Counting: e.State == store.ErasureCounting, Planned: e.State == store.ErasurePlanned, Running: e.State == store.ErasureRunning, Done: e.State == store.ErasureDone,
		KeptUntil: e.KeptUntil, Forever: e.KeptUntil.IsZero(), Waiting: e.Counts.Waiting, Nothing: e.Counts == store.ErasureCounts{}}
	n := e.Counts
	for _, line := range []struct {
		what, stays string
		n           int64
	}{
		{"Payloads: the calls' data", "size and time", n.Payloads},
		{"Answers of receivers: headers, body, error text", "result, status, times", n.Attempts},
		{"Rejected records: their content", "where they stood, and why", n.Rejections},
		{"Ids that hold the number", "a name in their place", n.IDs},
	} {
		page.Counts = append(page.Counts, erasureCount{line.what, count(line.n), line.stays})
	}
	for _, copied := range e.Copies {
		row := erasureCopy{Topic: copied.Topic, Owner: "Aftercall", Keeps: days(copied.Retention), GoneBy: copied.GoneBy, Unknown: copied.Unknown, Forever: copied.GoneBy.IsZero() && !copied.Unknown, Gone: !copied.GoneBy.IsZero() && copied.GoneBy.Before(c.Now())}
		if copied.Upstream {
			row.Owner = "upstream"
		}
		page.Copies = append(page.Copies, row)
	}
	return c.render(w, r, http.StatusOK, "erasure", page)
}

// days is how long a topic keeps, in the unit in which people set it.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "for ever"
	case d >= 2*day:
		return count(int64(d/day)) + " days"
	}
	return count(int64((d+time.Hour-1)/time.Hour)) + " hours"
}

func (c *Console) runErasure(w http.ResponseWriter, r *http.Request) error {
	return c.changeErasure(w, r, c.Webhooks.Erasures.Start)
}

func (c *Console) cancelErasure(w http.ResponseWriter, r *http.Request) error {
	return c.changeErasure(w, r, c.Webhooks.Erasures.Cancel)
}

func (c *Console) changeErasure(w http.ResponseWriter, r *http.Request, change func(context.Context, string, store.Actor) (*store.Erasure, error)) error {
	e, err := change(r.Context(), r.PathValue("id"), actor(r))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/erasures/"+url.PathEscape(e.ID), http.StatusSeeOther)
	return nil
}
