package console

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Bounds of a comparison of bodies: what is beyond is said, not shown.
const (
	comparedRows  = 400
	comparedCells = 1 << 20
	// contextLines stand around a difference; more equal ones are counted.
	contextLines = 3
)

// Marks of a comparison: a word and a colour.
var (
	markSame  = state{"same", "", "ring"}
	markOther = state{"different", "wait", "square"}
	markHere  = state{"this one only", "info", "tick"}
	markThere = state{"the other only", "bad", "cross"}
)

type compareRow struct {
	Name, Here, There string
	Mark              state
}

// compareLine is a line of a body; without a mark both have it.
type compareLine struct {
	Text string
	Mark *state
}

type compareView struct {
	ID, Here, There, ThereID string
	// Choice are the other attempts of the delivery.
	Choice   []timelineRow
	Rows     []compareRow
	Body     []compareLine
	BodyMark state
	Left     int
}

// compare is an attempt beside another one of its delivery: the one that the URL
// names, else the one before it, else the one after. It is nil when there is no
// other one.
func (c *Console) compare(r *http.Request, a *store.AttemptDetail, timeline []timelineRow) (*compareView, error) {
	v := &compareView{ID: a.AttemptID, Here: attemptText(a.Attempt.Attempt, a.AttemptsAllowed), ThereID: r.URL.Query().Get("with")}
	before, after := "", ""
	past := false
	for _, t := range timeline {
		switch {
		case t.ID == a.AttemptID:
			past = true
			continue
		case !past:
			before = t.ID
		case after == "":
			after = t.ID
		}
		v.Choice = append(v.Choice, t)
	}
	if v.ThereID = cmp.Or(v.ThereID, before, after); v.ThereID == "" {
		return nil, nil
	}
	other, err := c.Store.Attempt(r.Context(), v.ThereID)
	if err != nil {
		return nil, err
	}
	if other.DeliveryID != a.DeliveryID || other.AttemptID == a.AttemptID {
		return nil, problem.NotFound("other attempt of this delivery")
	}
	for i := range v.Choice {
		v.Choice[i].Current = v.Choice[i].ID == v.ThereID
	}
	v.There = attemptText(other.Attempt.Attempt, other.AttemptsAllowed)
	v.Rows = append(append(compareFacts(a, other), compareTimings(a.Timings, other.Timings)...), compareHeaders(a.ResponseHeaders, other.ResponseHeaders)...)
	v.BodyMark = markSame
	if string(a.ResponseBody) != string(other.ResponseBody) {
		v.BodyMark = markOther
		v.Body, v.Left = compareBodies(shown(a.ResponseBody), shown(other.ResponseBody))
	}
	return v, nil
}

func compareFacts(a, b *store.AttemptDetail) []compareRow {
	status := func(d *store.AttemptDetail) string {
		if d.HTTPStatus == 0 {
			return ""
		}
		return strings.TrimSpace(strconv.Itoa(int(d.HTTPStatus)) + " " + http.StatusText(int(d.HTTPStatus)))
	}
	return []compareRow{
		marked("Result", resultState(a.Result, a.Reason).Word, resultState(b.Result, b.Reason).Word),
		marked("HTTP status", status(a), status(b)),
		marked("Error", a.Error, b.Error),
		marked("Request URL", a.RequestURL, b.RequestURL),
		marked("Answered from", a.RemoteAddress, b.RemoteAddress),
	}
}

func marked(name, here, there string) compareRow {
	row := compareRow{name, here, there, markOther}
	switch {
	case here == there:
		row.Mark = markSame
	case here == "":
		row.Mark = markThere
	case there == "":
		row.Mark = markHere
	}
	return row
}

// compareTimings says slower or faster where one sees a difference: no two
// requests take the same number of microseconds.
func compareTimings(a, b store.Timings) []compareRow {
	var out []compareRow
	for _, t := range []struct {
		name        string
		here, there int64
	}{{"DNS", a.DNS, b.DNS}, {"Connect", a.Connect, b.Connect}, {"TLS", a.TLS, b.TLS}, {"First byte", a.FirstByte, b.FirstByte}, {"In all", a.Total, b.Total}} {
		text := func(micro int64) string {
			if micro <= 0 {
				return ""
			}
			return duration(time.Duration(micro) * time.Microsecond)
		}
		row := marked(t.name, text(t.here), text(t.there))
		if row.Mark == markOther {
			row.Mark = state{"slower", "wait", "clock"}
			if t.here < t.there {
				row.Mark = state{"faster", "ok", "tick"}
			}
		}
		out = append(out, row)
	}
	reused := func(t store.Timings) string {
		if t.ConnectionReused {
			return "reused"
		}
		return "new"
	}
	return append(out, marked("Connection", reused(a), reused(b)))
}

func compareHeaders(a, b []store.Header) []compareRow {
	type both struct{ here, there []string }
	values := map[string]*both{}
	var order []string
	of := func(name string) *both {
		name = strings.ToLower(name)
		if values[name] == nil {
			values[name] = &both{}
			order = append(order, name)
		}
		return values[name]
	}
	for _, h := range a {
		v := of(h.Name)
		v.here = append(v.here, h.Value)
	}
	for _, h := range b {
		v := of(h.Name)
		v.there = append(v.there, h.Value)
	}
	slices.Sort(order)
	out := make([]compareRow, 0, len(order))
	for _, name := range order {
		v := values[name]
		row := marked(name+":", strings.Join(v.here, ", "), strings.Join(v.there, ", "))
		// One that is there and empty is not one that is missing.
		if slices.Equal(v.here, v.there) {
			row.Mark = markSame
		} else if len(v.here) > 0 && len(v.there) > 0 {
			row.Mark = markOther
		}
		out = append(out, row)
	}
	return out
}

// compareBodies are the lines of two texts, the differing ones marked. left
// counts the lines that are beyond the bounds.
func compareBodies(here, there string) (out []compareLine, left int) {
	a, b := strings.Split(here, "\n"), strings.Split(there, "\n")
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	lines := make([]compareLine, 0, len(a)+len(b))
	plain := func(texts []string) {
		for _, t := range texts {
			lines = append(lines, compareLine{Text: t})
		}
	}
	plain(a[:start])
	lines = append(lines, differing(a[start:len(a)-end], b[start:len(b)-end])...)
	plain(a[len(a)-end:])
	out = folded(lines)
	if len(out) > comparedRows {
		out, left = out[:comparedRows], len(out)-comparedRows
	}
	return out, left
}

// differing are the lines of two texts in the order of their longest common
// subsequence; where finding it took too long, all of one after all of the other.
func differing(a, b []string) []compareLine {
	width := len(b) + 1
	var common []int
	if (len(a)+1)*width <= comparedCells {
		common = make([]int, (len(a)+1)*width)
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					common[i*width+j] = common[(i+1)*width+j+1] + 1
				} else {
					common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
				}
			}
		}
	}
	var out []compareLine
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case common != nil && a[i] == b[j]:
			out = append(out, compareLine{Text: a[i]})
			i, j = i+1, j+1
		case common == nil || common[(i+1)*width+j] >= common[i*width+j+1]:
			out = append(out, compareLine{a[i], &markHere})
			i++
		default:
			out = append(out, compareLine{b[j], &markThere})
			j++
		}
	}
	for ; i < len(a); i++ {
		out = append(out, compareLine{a[i], &markHere})
	}
	for ; j < len(b); j++ {
		out = append(out, compareLine{b[j], &markThere})
	}
	return out
}

// folded counts the equal lines that are far from a difference.
func folded(lines []compareLine) []compareLine {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.Mark != nil {
			for k := max(0, i-contextLines); k < min(len(lines), i+contextLines+1); k++ {
				near[k] = true
			}
		}
	}
	var out []compareLine
	for i := 0; i < len(lines); i++ {
		if near[i] {
			out = append(out, lines[i])
			continue
		}
		from := i
		for i+1 < len(lines) && !near[i+1] {
			i++
		}
		out = append(out, compareLine{Text: "… " + strconv.Itoa(i-from+1) + " equal lines", Mark: &markSame})
	}
	return out
}
