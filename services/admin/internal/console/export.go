package console

import (
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/services/admin/internal/export"
)

// exportHref is a file of all that a list of attempts selects.
func exportHref(q url.Values, subscription, format string) string {
	v := url.Values{"format": {format}}
	for name, values := range q {
		switch name {
		case "cursor", "trail", "done", "format", "subscription":
		default:
			v[name] = values
		}
	}
	if subscription != "" {
		v.Set("subscription", subscription)
	}
	return "/attempts/export?" + v.Encode()
}

// exportAttempts streams the file.
func (c *Console) exportAttempts(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query, wrong := attemptFilterOf(q).query()
	if wrong != nil {
		return wrong
	}
	query.SubscriptionID, query.Cursor = q.Get("subscription"), q.Get("cursor")
	x, err := export.Exporter{Rows: c.Store, Turns: c.Webhooks.Exports, Now: c.Now}.Begin(r.Context(), q.Get("format"), query, actor(r))
	if err != nil {
		return err
	}
	x.Header(w.Header())
	if err := x.Write(r.Context(), w); err != nil {
		c.Logger.Error("export.failed", zap.Error(err))
	}
	return nil
}
