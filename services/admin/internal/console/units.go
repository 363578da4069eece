package console

import (
	"net/http"
	"slices"
	"strings"
)

// maxUnits bounds what the organization unit completes from.
const maxUnits = 100

// units are those seen lately and those above them, by name: a webhook may ask for
// any. Without them the field is one to type in.
func (c *Console) units(r *http.Request) []string {
	seen, err := c.Store.RecentUnits(r.Context(), maxUnits)
	if err != nil {
		c.Logger.Warn("units.failed", logRoute(r), logError(err))
		return nil
	}
	var all []string
	for _, unit := range seen {
		for ; unit != "" && len(all) < maxUnits && !slices.Contains(all, unit); unit = unit[:max(0, strings.LastIndex(unit, "/"))] {
			all = append(all, unit)
		}
	}
	slices.Sort(all)
	return all
}
