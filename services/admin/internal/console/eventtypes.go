package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/mask"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

type typeRow struct {
	Name, What, Subscribers, Topic, Volume string
	Fields                                 int
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
	volumes, err := c.Store.SourceVolume(r.Context(), c.Now().Add(-volumeOf))
	if err != nil {
		return err
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
		page.Rows = append(page.Rows, typeRow{Name: t, What: typeWhat[t], Subscribers: who, Topic: topicOf(t), Volume: volumeText(t, volumes), Fields: len(cdrschema.Properties(t))})
	}
	return c.render(w, r, http.StatusOK, "eventtypes", page)
}

// volumeOf is how far back a type's volume is counted.
const volumeOf = 24 * time.Hour

// topicOf is where a type's records come from.
func topicOf(eventType string) string {
	if topic.IsSystem(eventType) {
		return topic.CDRSystem
	}
	for name, carries := range topic.Sources {
		if carries == eventType {
			return name
		}
	}
	return ""
}

// volumeText is what came of a type. What Aftercall tells about itself shares one
// topic, and so one counter.
func volumeText(eventType string, volumes map[string]int64) string {
	text := strconv.FormatInt(volumes[topicOf(eventType)], 10)
	if topic.IsSystem(eventType) {
		return text + " of all system types"
	}
	return text
}

// subscriberRow is a webhook that has the type.
type subscriberRow struct {
	ID, Name, Endpoint string
	State              state
}

type fieldRow struct {
	Name, Type, Description, Example string
	Personal                         bool
}

type typePage struct {
	base
	Name, What, Sample string
	Topic, Volume      string
	Fields             []fieldRow
	Subscribers        []subscriberRow
	// Targets are who a sample can be sent to: all that are active.
	Targets []option
	MaySend bool
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
	volumes, err := c.Store.SourceVolume(r.Context(), c.Now().Add(-volumeOf))
	if err != nil {
		return err
	}
	page.Topic, page.Volume = topicOf(name), volumeText(name, volumes)
	subs, err := c.Store.Subscriptions(r.Context(), store.SubscriptionQuery{})
	if err != nil {
		return err
	}
	page.MaySend = principal(r).May(access.Write)
	for _, s := range subs {
		has := slices.Contains(s.Events, name)
		if has {
			row := subscriberRow{ID: s.ID, Name: s.Name, Endpoint: s.Endpoint, State: off}
			if s.Active {
				row.State = on
			}
			page.Subscribers = append(page.Subscribers, row)
		}
		if s.Active {
			page.Targets = append(page.Targets, option{Value: s.ID, Text: s.Name})
		}
	}
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
