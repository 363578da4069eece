package console

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// searchWords is what a search takes, for people.
const searchWords = "result: state: event: code: error: cause: attempt: call: last: from: to:, or a CallId alone"

var (
	searchResults = []string{"delivered", "failed", "not_sent"}
	searchStates  = []string{"waiting", "delivered", "given_up", "stopped"}
	searchErrors  = []string{"status", "timeout", "connect", "dns", "tls", "reset", "protocol", "policy"}
	searchCauses  = []string{"call_ended", "test", "resend", "replay", "not_test"}
	lastPattern   = regexp.MustCompile(`^([1-9][0-9]{0,4})([mhdw])$`)
)

// parseSearch puts the words of a search over the filters that are on. Its error is
// a sentence for whoever typed them.
func parseSearch(text string, f attemptFilter, now time.Time) (attemptFilter, error) {
	seen := map[string]bool{}
	for _, word := range strings.Fields(text) {
		name, value, named := strings.Cut(word, ":")
		name = strings.ToLower(name)
		if !named {
			name, value = "call", word
		}
		if seen[name] {
			if !named {
				return f, fmt.Errorf("%q would be a second CallId: one at a time. The words are %s", word, searchWords)
			}
			return f, fmt.Errorf("%s: stands there twice: one at a time", name)
		}
		seen[name] = true
		var err error
		if f, err = f.with(name, value, now); err != nil {
			return f, err
		}
	}
	if seen["last"] && (seen["from"] || seen["to"]) {
		return f, fmt.Errorf("leave out from: and to: where last: is, which is a time of its own")
	}
	return f, nil
}

// with is f with the filter of one word.
func (f attemptFilter) with(name, value string, now time.Time) (attemptFilter, error) {
	one := func(field *string, of []string) (attemptFilter, error) {
		value = strings.ReplaceAll(strings.ToLower(value), "-", "_")
		if !slices.Contains(of, value) {
			return f, fmt.Errorf("%s: is one of %s", name, strings.Join(of, ", "))
		}
		*field = value
		return f, nil
	}
	switch name {
	case "result":
		return one(&f.Result, searchResults)
	case "state":
		return one(&f.State, searchStates)
	case "error":
		return one(&f.Error, searchErrors)
	case "cause":
		return one(&f.Cause, searchCauses)
	case "event":
		i := slices.IndexFunc(webhooks.Types, func(t string) bool { return strings.EqualFold(t, value) || strings.EqualFold(shortType(t), value) })
		if i < 0 {
			return f, fmt.Errorf("event: is one of %s", strings.Join(webhooks.Types, ", "))
		}
		f.EventType = webhooks.Types[i]
	case "code":
		if value = strings.ToLower(value); !statusPattern.MatchString(value) {
			return f, fmt.Errorf("code: is a status like 503, or a class of them like 5xx")
		}
		f.Status = value
	case "attempt":
		if _, _, ok := attemptNumbers(value); !ok || value == "" {
			return f, fmt.Errorf("attempt: is a number like 3, or >1 for all after the first")
		}
		f.Attempt = value
	case "call":
		if value == "" {
			return f, fmt.Errorf("call: is followed by a CallId")
		}
		f.Call = value
	case "last":
		m := lastPattern.FindStringSubmatch(strings.ToLower(value))
		if m == nil {
			return f, fmt.Errorf("last: is a time like 30m, 24h, 7d or 2w")
		}
		n, _ := strconv.Atoi(m[1])
		unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
		f.From, f.To = now.UTC().Add(-time.Duration(n)*unit).Format(minuteLayout), ""
	case "from", "to":
		t, ok := minute(value)
		if !ok || value == "" {
			return f, fmt.Errorf("%s: is a time like 2026-03-14T09:26, in UTC", name)
		}
		value = t.Format(minuteLayout)
		if name == "from" {
			f.From = value
		} else {
			f.To = value
		}
	default:
		return f, fmt.Errorf("%q is no word of this search. The words are %s", name+":", searchWords)
	}
	return f, nil
}

// named are the filters by their names in the query, in the order of the form; the
// second is the word of the search, the third the value.
func (f attemptFilter) named() [][3]string {
	return [][3]string{
		{"event_type", "event", f.EventType}, {"result", "result", f.Result}, {"state", "state", f.State}, {"status", "code", f.Status}, {"error", "error", f.Error},
		{"cause", "cause", f.Cause}, {"attempt", "attempt", f.Attempt}, {"call", "call", f.Call}, {"from", "from", f.From}, {"to", "to", f.To},
	}
}

// values are the filters as a query.
func (f attemptFilter) values() url.Values {
	v := url.Values{}
	for _, n := range f.named() {
		if n[2] != "" {
			v.Set(n[0], n[2])
		}
	}
	return v
}

// chip is a filter that is on, and where the list is without it.
type chip struct{ Name, Value, Text, Href string }

func (f attemptFilter) chips(path string) []chip {
	var out []chip
	for _, n := range f.named() {
		if n[2] == "" {
			continue
		}
		without := f.values()
		without.Del(n[0])
		out = append(out, chip{Name: n[0], Value: n[2], Text: n[1] + ":" + n[2], Href: withQuery(path, without)})
	}
	return out
}

func withQuery(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}
