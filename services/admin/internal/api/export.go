package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/export"
)

type exportRequest struct {
	AttemptFilters
	Format string `query:"format" enum:"csv,ndjson" doc:"Left out: what Accept asks for (text/csv, application/x-ndjson), else ndjson."`
	Accept string `header:"Accept"`
	Cursor string `query:"cursor" maxLength:"1024" doc:"Where to begin: the cursor that the last line of an incomplete export names."`
}

func (r *exportRequest) format() string {
	switch {
	case r.Format != "":
		return r.Format
	case strings.Contains(r.Accept, export.Types[export.CSV]):
		return export.CSV
	}
	return export.NDJSON
}

// exports are files of what the lists show.
func (a *API) exports() {
	text := &huma.Schema{Type: huma.TypeString}
	route(a, access.Read, huma.Operation{OperationID: "exportAttempts", Method: http.MethodGet, Path: "/attempts/export", Summary: "View Webhook Send Attempts, as a file", Tags: []string{"History"},
		Description: "All that the filters select, newest first, streamed. CSV by RFC 4180 with a line of names; a cell that a spreadsheet would take for a formula begins with an apostrophe. " +
			"NDJSON has a line for each attempt, as listAttempts has it. There is a limit of time (10 minutes) and none of rows: what was cut off says so in its last line " +
			"(CSV: a first cell that begins with INCOMPLETE; NDJSON: {\"incomplete\": true, \"reason\", \"rows\", \"next_cursor\"}) and in the HTTP trailer " + export.Trailer + ". Four are made at once; one more is refused (too_many_exports). Audited.",
		Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {Description: "The file.", Content: map[string]*huma.MediaType{export.Types[export.CSV]: {Schema: text}, export.Types[export.NDJSON]: {Schema: text}},
			Headers: map[string]*huma.Param{"Content-Disposition": {Schema: text}, "Trailer": {Schema: text, Description: export.Trailer + ": complete, or incomplete with the reason."}}}}},
		func(ctx context.Context, in *exportRequest) (*huma.StreamResponse, error) {
			q := in.attempts()
			q.Cursor = in.Cursor
			x, err := export.Exporter{Rows: a.store, Turns: a.webhooks.Exports}.Begin(ctx, in.format(), q, actor(ctx))
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				r, w := humago.Unwrap(hc)
				x.Header(w.Header())
				if err := x.Write(r.Context(), w); err != nil {
					a.logger.Error("export.failed", zap.Error(err))
				}
			}}, nil
		})
}
