package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// wanted is one webhook to be made, as the API takes it.
type wanted struct {
	Name        string   `json:"name"`
	Endpoint    string   `json:"endpoint"`
	Active      bool     `json:"active"`
	Events      []string `json:"events"`
	Headers     []header `json:"headers,omitempty"`
	Format      string   `json:"format"`
	AbpSecret   string   `json:"abp_secret"`
	Description string   `json:"description"`
}

type header struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Secret bool   `json:"secret"`
}

// step is what is to be done with one row.
type step struct {
	// key tells the subscription in the names of webhooks.
	key  string
	want wanted
	// notes say what is not taken over as it is.
	notes []string
	// skip says why nothing is made of the row; wrong, that it should be looked at.
	skip  string
	wrong bool
}

// options of a plan.
type options struct {
	// tenant is the one TenantId to take ("" is the host's); nil takes the only one
	// that there is.
	tenant     *string
	allTenants bool
	// inactive makes all of them switched off.
	inactive bool
}

// plan decides about all rows. An error is about the whole file.
func plan(rows []row, o options) ([]step, error) {
	tenants := map[string]int{}
	for _, r := range rows {
		tenants[r.column("TenantId")]++
	}
	if len(tenants) > 1 && o.tenant == nil && !o.allTenants {
		var list []string
		for _, t := range slices.Sorted(maps.Keys(tenants)) {
			list = append(list, tenantName(t)+fmt.Sprintf(" (%d)", tenants[t]))
		}
		return nil, fmt.Errorf("the file has subscriptions of several tenants: %s; choose one with --tenant, since a webhook gets the records of everybody who produces here, or take them all with --all-tenants",
			strings.Join(list, ", "))
	}
	seen := map[string]bool{}
	var steps []step
	for _, r := range rows {
		if o.tenant != nil && !o.allTenants && r.column("TenantId") != *o.tenant {
			continue
		}
		s := stepOf(r, o)
		if s.skip == "" && seen[s.key] {
			s.skip, s.wrong = "its Id is in the file twice", true
		}
		seen[s.key] = true
		steps = append(steps, s)
	}
	return steps, nil
}

func tenantName(id string) string {
	if id == "" {
		return "host"
	}
	return id
}

func stepOf(r row, o options) step {
	id := strings.ToLower(r.column("Id"))
	endpoint := r.column("WebhookUri")
	s := step{key: id, want: wanted{Endpoint: endpoint, Format: webhook.FormatAbp, AbpSecret: r.column("Secret")}}
	s.want.Name = nameOf(endpoint, s.key)
	s.want.Description = "Imported from ASP.NET Zero"
	if created := r.column("CreationTime"); created != "" && len(created) < 64 {
		s.want.Description += ", where it was added " + created
	}
	s.want.Description += "."
	refuse := func(format string, args ...any) step {
		s.skip, s.wrong = fmt.Sprintf(format, args...), true
		return s
	}

	switch u, err := url.Parse(endpoint); {
	case id == "":
		return refuse("it has no Id")
	case endpoint == "":
		return refuse("it has no WebhookUri")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return refuse("its WebhookUri is no URL of https or http")
	case u.Scheme == "http":
		s.notes = append(s.notes, "http without TLS: the deployment has to allow it (AFTERCALL_ALLOW_HTTP)")
	}
	if isTrue(r.column("IsDeleted")) {
		s.skip = "it is deleted"
		return s
	}
	if err := webhook.CheckAbpSecret(s.want.AbpSecret); err != nil {
		return refuse("its Secret cannot be used: %s", strings.TrimPrefix(err.Error(), webhook.ErrSecret.Error()+": "))
	}
	s.want.Active = isTrue(r.column("IsActive"))
	if _, there := r["isactive"]; !there {
		s.want.Active = true
	}
	if o.inactive && s.want.Active {
		s.want.Active = false
		s.notes = append(s.notes, "was active: it is made switched off")
	}

	names, err := listOf(r.column("Webhooks"))
	if err != nil {
		return refuse("its Webhooks are no list of names")
	}
	for _, n := range names {
		switch {
		case slices.Contains(s.want.Events, n):
		case slices.Contains(subscription.EventTypes, n):
			s.want.Events = append(s.want.Events, n)
		default:
			s.notes = append(s.notes, fmt.Sprintf("left out: %.80q is not an event type of Aftercall", n))
		}
	}
	if len(s.want.Events) == 0 {
		s.skip = "it has no event type of Aftercall"
		return s
	}
	headers, err := headersOf(r.column("Headers"))
	if err != nil {
		return refuse("its Headers are no object of names and values")
	}
	for _, h := range headers {
		if wrong := webhook.CheckHeaders([]webhook.Header{{Name: h.Name, Value: h.Value}}); len(wrong) > 0 {
			s.notes = append(s.notes, fmt.Sprintf("left out: header %.80q: %s", h.Name, wrong[0].Message))
			continue
		}
		s.want.Headers = append(s.want.Headers, h)
	}
	if len(s.want.Headers) > webhook.MaxHeaders {
		return refuse("it has %d headers; %d are allowed", len(s.want.Headers), webhook.MaxHeaders)
	}
	return s
}

// nameOf is host and path for people, and the id to know it again by.
func nameOf(endpoint, id string) string {
	suffix := " (" + id + ")"
	// Without the query and all the rest: it may hold a token.
	place := "unreadable address"
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		place = u.Host + strings.TrimSuffix(u.Path, "/")
	}
	room := subscription.MaxName - len([]rune(suffix))
	if room <= 0 {
		return string([]rune(place)[:min(len([]rune(place)), subscription.MaxName)])
	}
	if r := []rune(place); len(r) > room {
		place = string(r[:room])
	}
	return place + suffix
}

// isImported tells whether a webhook's name is that of an imported subscription.
func isImported(name string, s step) bool {
	return name == s.want.Name || strings.HasSuffix(name, "("+s.key+")")
}

// isTrue reads a flag as databases and .NET write it.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "1", "t", "yes":
		return true
	}
	return false
}

// listOf reads the text of a JSON list of names.
func listOf(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, err
	}
	return names, nil
}

// headersOf reads the text of a JSON object of names and values, sorted by name.
func headersOf(text string) ([]header, error) {
	if text == "" {
		return nil, nil
	}
	var object map[string]*string
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, errors.New("not an object of texts")
	}
	var out []header
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if object[name] != nil {
			out = append(out, header{Name: name, Value: *object[name], Secret: true})
		}
	}
	return out, nil
}
