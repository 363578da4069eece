package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
	"github.com/aftercall/aftercall/services/admin/internal/mask"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

type typeRow struct {
	Name, What, Subscribers, Topic string
	Fields                         int
}

type typesPage struct {
	base
	Rows []typeRow
}

func (c *Console) listEventTypes(w http.ResponseWriter, r *http.Request) error {
	subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	if err != nil {
		return err
	}
	page := typesPage{base: c.base(r, "Event types", "/event-types", crumb{Text: "Event types"})}
	topics := map[string]string{}
	for name, eventType := range topic.Sources {
		topics[eventType] = name
	}
	for _, t := range webhooks.Types {
		if topic.IsSystem(t) {
			topics[t] = topic.CDRSystem
		}
	}
	for _, t := range webhooks.Types {
		var names []string
		for _, s := range subs {
			if s.Active && slices.Contains(s.Events, t) {
				names = append(names, s.Name)
			}
		}
		who := strings.Join(names, ", ")
		if who == "" {
			who = "–"
		}
		page.Rows = append(page.Rows, typeRow{Name: t, What: typeWhat[t], Subscribers: who, Topic: topics[t], Fields: len(cdrschema.Properties(t))})
	}
	return c.render(w, r, http.StatusOK, "eventtypes", page)
}

type fieldRow struct {
	Name, Type, Description, Example string
	Personal                         bool
}

type typePage struct {
	base
	Name, What, Sample string
	Fields             []fieldRow
}

func (c *Console) showEventType(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if !slices.Contains(webhooks.Types, name) {
		return problem.NotFound("event type")
	}
	page := typePage{base: c.base(r, name, "/event-types", crumb{"Event types", "/event-types"}, crumb{Text: name}), Name: name, What: "Sent " + typeWhat[name] + "."}
	for _, p := range cdrschema.Properties(name) {
		page.Fields = append(page.Fields, field(p, ""))
		for _, item := range p.Items {
			page.Fields = append(page.Fields, field(item, p.Name+"[]."))
		}
	}
	sample, _ := cdrschema.Sample(name)
	text, err := mask.Indent(sample)
	if err != nil {
		return err
	}
	page.Sample = string(text)
	return c.render(w, r, http.StatusOK, "eventtype", page)
}

func field(p cdrschema.Property, prefix string) fieldRow {
	row := fieldRow{Name: prefix + p.Name, Type: strings.Join(p.Types, ", "), Description: p.Description, Personal: p.PersonalData != ""}
	if row.Description == "" {
		row.Description = p.Title
	}
	if len(p.Examples) > 0 {
		var text string
		if json.Unmarshal(p.Examples[0], &text) == nil {
			row.Example = text
		} else {
			row.Example = string(p.Examples[0])
		}
	}
	return row
}
