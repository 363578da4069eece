package console

import (
	"net/http"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/admin/internal/health"
)

type groupRow struct {
	health.Group
	State state
}

// sourceRow is a source topic; Week compares its last hour with the same hour of
// last week.
type sourceRow struct {
	store.SourceHealth
	Week      state
	WeekKnown bool
}

// compared says how an hour stands to the same hour a week before. Few records
// differ by chance; a topic that has fallen silent does not.
func compared(now, then int64) state {
	const few = 20
	switch {
	case then >= few && now == 0:
		return state{"silent", "bad", "cross"}
	case then < few || now*2 >= then && now <= then*2:
		return state{"as usual", "ok", "tick"}
	case now < then:
		return state{"less than half", "wait", "clock"}
	}
	return state{"more than double", "info", "ring"}
}

type putOffRow struct {
	Reason string
	N      int64
}

type healthPage struct {
	base
	PutOff     []putOffRow
	Sources    []sourceRow
	Problem    string
	Report     health.Report
	View       state
	Groups     []groupRow
	Duplicates int64
	Open       state
}

func (c *Console) showHealth(w http.ResponseWriter, r *http.Request) error {
	page := healthPage{base: c.base(r, "Health", "/health", crumb{Text: "Health"}), Open: state{"left alone", "bad", "cross"}}
	status := http.StatusOK
	report, err := health.Read(r.Context(), c.Store, c.Webhooks.Lags, c.Now())
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	page.Report = report
	switch {
	case !report.Viewed:
		page.View = state{"nothing projected yet", "", "ring"}
	case report.Stale():
		page.View = state{"as of " + span(report.Age) + " ago: the projector is behind", "wait", "clock"}
	default:
		page.View = state{"fresh", "ok", "tick"}
	}
	for _, g := range report.Groups {
		row := groupRow{g, state{"up to date", "ok", "tick"}}
		switch {
		case !g.Known:
			row.State = state{"not known", "", "ring"}
		case g.Name == topic.GroupMover:
			// What waits for its time is not late.
			row.State = state{"up to date", "ok", "tick"}
			if g.Lag > 0 {
				row.State = state{"looks after what waits", "ok", "clock"}
			}
		case g.Behind():
			row.State = state{"behind", "wait", "clock"}
		}
		page.Groups = append(page.Groups, row)
	}
	for _, p := range report.PutOff {
		page.PutOff = append(page.PutOff, putOffRow{words(p.Reason), p.N})
	}
	for _, s := range report.Sources {
		page.Duplicates += s.Duplicates
		page.Sources = append(page.Sources, sourceRow{s, compared(s.LastHour, s.HourLastWeek), report.WeekKnown})
	}
	return c.render(w, r, status, "health", page)
}
