package console

import (
	"net/http"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

type rejectedRow struct {
	At                            time.Time
	Position, Code, Reason, Field string
	Bytes                         string
}

type rejectedPage struct {
	base
	Live    liveness
	Problem string
	Rows    []rejectedRow
	Pager   pager
}

func (c *Console) listRejected(w http.ResponseWriter, r *http.Request) error {
	cursor := r.URL.Query().Get("cursor")
	page := rejectedPage{base: c.base(r, "Rejected records", "/rejected", crumb{Text: "Rejected records"})}
	status := http.StatusOK
	rows, next, err := c.Store.Rejections(r.Context(), store.RejectionQuery{Page: store.Page{Limit: pageRows, Cursor: cursor}})
	if err != nil {
		page.Problem, status = c.fault(r, err)
	}
	if cursor == "" {
		page.Live = c.live(r.Context())
	}
	for _, x := range rows {
		page.Rows = append(page.Rows, rejectedRow{At: x.RejectedAt, Position: position(x.Position), Code: x.Code, Reason: x.Reason, Field: x.Field, Bytes: strconv.FormatInt(x.PayloadBytes, 10)})
	}
	page.Pager = pagerOf(r, next)
	return c.render(w, r, status, "rejected", page)
}
