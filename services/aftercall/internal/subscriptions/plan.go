package subscriptions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Actions of a plan.
const (
	actionCreate    = "create"
	actionUpdate    = "update"
	actionDelete    = "delete"
	actionUnchanged = "unchanged"
)

// step is what is to become of one subscription.
type step struct {
	action  string
	name    string
	changes []string
	located      // as the file has it; not of a deletion
	send    hook // what the API is told
	current *existing
}

// plan compares a file with what is there.
func plan(f *file, there []existing, prune, again bool) ([]step, error) {
	byName := map[string][]*existing{}
	for i := range there {
		byName[there[i].Name] = append(byName[there[i].Name], &there[i])
	}
	var steps []step
	var wrong faults
	for _, one := range f.hooks {
		same := byName[one.Name]
		if len(same) > 1 {
			wrong = append(wrong, f.at(one, "/name", fmt.Sprintf("%d subscriptions have this name (%s): rename all but one", len(same), ids(same))))
			continue
		}
		s := step{name: one.Name, located: one, action: actionCreate}
		if len(same) == 1 {
			s.current = same[0]
		}
		filled, missing := f.fill(one, s.current, again)
		wrong = append(wrong, missing...)
		wanted, invalid := filled.normal()
		for _, e := range invalid {
			wrong = append(wrong, f.at(one, e.Pointer, e.Message))
		}
		s.send = filled
		if s.current != nil {
			s.changes = changes(s.current, wanted, filled, again)
			s.action = actionUnchanged
			if len(s.changes) > 0 {
				s.action = actionUpdate
			}
		}
		steps = append(steps, s)
		delete(byName, one.Name)
	}
	if prune {
		for i := range there {
			if _, left := byName[there[i].Name]; left {
				steps = append(steps, step{action: actionDelete, name: there[i].Name, current: &there[i]})
			}
		}
	}
	return steps, wrong.err()
}

func ids(all []*existing) string {
	var text []string
	for _, e := range all {
		text = append(text, e.ID)
	}
	return strings.Join(text, ", ")
}

// changes are what an update changes, for people.
func changes(current *existing, wanted *subscription.Subscription, filled hook, again bool) []string {
	have, _ := current.normal()
	var all []string
	differ := func(field, from, to string) {
		if from != to {
			all = append(all, fmt.Sprintf("%s: %s → %s", field, shown(from), shown(to)))
		}
	}
	differ("description", have.Description, wanted.Description)
	differ("endpoint", have.Endpoint, wanted.Endpoint)
	differ("active", strconv.FormatBool(have.Active), strconv.FormatBool(wanted.Active))
	differ("events", strings.Join(have.Events, ", "), strings.Join(wanted.Events, ", "))
	differ("ou_scope", have.OUScope, wanted.OUScope)
	differ("filter", have.Filter, wanted.Filter)
	differ("format", have.Format, wanted.Format)
	differ("timeout", have.Timeout.String(), wanted.Timeout.String())
	differ("max_concurrency", strconv.Itoa(have.MaxConcurrency), strconv.Itoa(wanted.MaxConcurrency))
	differ("rate_limit", fmt.Sprint(have.RateLimit), fmt.Sprint(wanted.RateLimit))
	differ("schedule", have.Schedule, wanted.Schedule)
	differ("headers", headersOf(current.Headers), headersOf(filled.Headers))
	if again {
		for _, h := range filled.Headers {
			if h.secret() && h.referenced() {
				all = append(all, "headers: the value of "+h.Name+" is sent again")
			}
		}
		if filled.AbpSecret != "" && have.Format == subscription.FormatAbp {
			all = append(all, "abp_secret: it is sent again")
		}
	}
	if len(all) > 0 && current.DisabledReason != "" && !have.Active && wanted.Active {
		all = append(all, "it was switched off: "+current.DisabledReason)
	}
	return all
}

// headersOf are headers in order, those with a secret value without it.
func headersOf(all []header) string {
	var text []string
	for _, h := range all {
		value := h.Value
		if h.secret() {
			value = "***"
		}
		text = append(text, h.Name+": "+value)
	}
	return strings.Join(text, ", ")
}

func shown(s string) string {
	if s == "" {
		return "none"
	}
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return client.Plain(s)
}

// count says how many steps have an action.
func count(steps []step, action string) (n int) {
	for _, s := range steps {
		if s.action == action {
			n++
		}
	}
	return n
}

// pending are the steps that change something.
func pending(steps []step) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.action == actionUnchanged })
}

// makesSecret says whether the API will make a secret that it shows once.
func (s step) makesSecret() bool {
	switch s.action {
	case actionCreate:
		return s.send.SigningSecret == "" || s.send.Format == subscription.FormatAbp && s.send.AbpSecret == ""
	case actionUpdate:
		return s.send.Format == subscription.FormatAbp && s.current.Format != subscription.FormatAbp && s.send.AbpSecret == ""
	}
	return false
}
