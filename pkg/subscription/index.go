package subscription

import (
	"slices"
	"strings"
	"sync"

	"github.com/aftercall/aftercall/pkg/filter"
	"github.com/aftercall/aftercall/pkg/topic"
)

// DefaultSeparator stands between the units of an OU path.
const DefaultSeparator = "/"

// Match is a subscription that wants an event, by its type and OU path.
type Match struct {
	Subscription *Subscription
	// Inactive: it would get the event if it were active.
	Inactive bool
	// Filter decides further, nil when there is none to ask.
	Filter *filter.Filter
	// FilterError: the subscription has a filter that does not compile, such as
	// one that a newer version saved. The event must not go to it then.
	FilterError error
}

// Index finds the subscriptions that want an event: by event type, then by OU
// scope, along the event's OU path. The cost of a Match grows with the depth of
// the path and the number of matches, not with the number of subscriptions.
//
// Any number of goroutines may Match while others Put. A subscription is not
// changed after it was Put, by anyone.
type Index struct {
	separator string

	mu    sync.RWMutex
	types map[string]*unit
	known map[string]known
}

// known is what the index remembers of an id: also of a deleted one, so that an
// older version that comes late does not bring it back.
type known struct {
	version int64
	entry   *entry
}

// entry is a subscription with its filter compiled.
type entry struct {
	*Subscription
	filter *filter.Filter
	fault  error
}

// compiled makes the entry of s; before is that of its version before, or nil. A
// filter that did not change is not compiled again.
func compiled(s *Subscription, before *entry) *entry {
	e := &entry{Subscription: s}
	switch {
	case s.Filter == "":
	case before != nil && before.Subscription.Filter == s.Filter:
		e.filter, e.fault = before.filter, before.fault
	default:
		e.filter, e.fault = filter.Compile(s.Filter)
	}
	return e
}

// unit is one node of an event type's tree of organization units.
type unit struct {
	// scoped are the subscriptions whose scope ends here, by id. In the root:
	// those without a scope.
	scoped []*entry
	below  map[string]*unit
}

// NewIndex makes an empty index, with units separated by "/".
func NewIndex() *Index { return NewIndexWithSeparator(DefaultSeparator) }

// NewIndexWithSeparator is NewIndex for OU paths with another separator.
func NewIndexWithSeparator(separator string) *Index {
	if separator == "" {
		separator = DefaultSeparator
	}
	return &Index{separator: separator, types: map[string]*unit{}, known: map[string]known{}}
}

// Put takes a subscription as it is now; a deleted one is removed. A version
// below one that was put before is ignored.
func (x *Index) Put(s *Subscription) {
	x.mu.RLock()
	before := x.known[s.ID].entry
	x.mu.RUnlock()
	// Compiling takes longer than all the rest: readers go on meanwhile.
	next := compiled(s, before)

	x.mu.Lock()
	defer x.mu.Unlock()
	old, ok := x.known[s.ID]
	if ok && s.Version < old.version {
		return
	}
	if old.entry != nil {
		x.remove(old.entry.Subscription)
	}
	if s.Deleted {
		x.known[s.ID] = known{version: s.Version}
		return
	}
	x.known[s.ID] = known{version: s.Version, entry: next}
	for i, e := range s.Events {
		if slices.Contains(s.Events[:i], e) {
			continue
		}
		node := x.types[e]
		if node == nil {
			node = &unit{}
			x.types[e] = node
		}
		for _, name := range x.unitsOf(e, s.OUScope) {
			next := node.below[name]
			if next == nil {
				next = &unit{}
				if node.below == nil {
					node.below = map[string]*unit{}
				}
				node.below[name] = next
			}
			node = next
		}
		at, _ := slices.BinarySearchFunc(node.scoped, s.ID, byID)
		node.scoped = slices.Insert(node.scoped, at, next)
	}
}

func (x *Index) remove(s *Subscription) {
	for i, e := range s.Events {
		if slices.Contains(s.Events[:i], e) {
			continue
		}
		root := x.types[e]
		if root == nil {
			continue
		}
		path := []*unit{root}
		units := x.unitsOf(e, s.OUScope)
		for _, name := range units {
			path = append(path, path[len(path)-1].below[name])
		}
		last := path[len(path)-1]
		if at, found := slices.BinarySearchFunc(last.scoped, s.ID, byID); found {
			last.scoped = slices.Delete(last.scoped, at, at+1)
		}
		// Empty branches go, or scopes that come and go would fill the memory.
		for depth := len(units); depth > 0; depth-- {
			node := path[depth]
			if len(node.scoped) > 0 || len(node.below) > 0 {
				break
			}
			delete(path[depth-1].below, units[depth-1])
		}
		if len(root.scoped) == 0 && len(root.below) == 0 {
			delete(x.types, e)
		}
	}
}

// Match returns the subscriptions that want an event of this type at this OU
// path, ordered by id. A scope gets what lies at or below it; without an OU path
// an event matches no scoped subscription. Test and system events have no unit:
// scopes do not count for them; filters do not count for tests.
func (x *Index) Match(eventType, ouPath string) []Match {
	x.mu.RLock()
	defer x.mu.RUnlock()
	node := x.types[eventType]
	if node == nil {
		return nil
	}
	filtered := eventType != topic.TypeTest
	matches := appendMatches(nil, node.scoped, filtered)
	levels := 0
	if len(matches) > 0 {
		levels = 1
	}
	if len(node.below) > 0 && !unitless(eventType) {
		rest := x.trim(ouPath)
		for rest != "" {
			var name string
			name, rest, _ = strings.Cut(rest, x.separator)
			if node = node.below[name]; node == nil {
				break
			}
			if len(node.scoped) > 0 {
				matches = appendMatches(matches, node.scoped, filtered)
				levels++
			}
		}
	}
	if levels > 1 {
		slices.SortFunc(matches, func(a, b Match) int { return strings.Compare(a.Subscription.ID, b.Subscription.ID) })
	}
	return matches
}

// Len is the number of subscriptions, active or not.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := 0
	for _, k := range x.known {
		if k.entry != nil {
			n++
		}
	}
	return n
}

func appendMatches(matches []Match, list []*entry, filtered bool) []Match {
	matches = slices.Grow(matches, len(list))
	for _, e := range list {
		m := Match{Subscription: e.Subscription, Inactive: !e.Active}
		if filtered {
			m.Filter, m.FilterError = e.filter, e.fault
		}
		matches = append(matches, m)
	}
	return matches
}

// unitless event types belong to no organization unit.
func unitless(eventType string) bool {
	return eventType == topic.TypeTest || topic.IsSystem(eventType)
}

// unitsOf are the units that a scope leads through, none for every record.
func (x *Index) unitsOf(eventType, scope string) []string {
	if unitless(eventType) {
		return nil
	}
	if scope = x.trim(scope); scope == "" {
		return nil
	}
	return strings.Split(scope, x.separator)
}

// trim drops separators at both ends: /Root/Sales/ is Root/Sales.
func (x *Index) trim(path string) string {
	for strings.HasPrefix(path, x.separator) {
		path = path[len(x.separator):]
	}
	for strings.HasSuffix(path, x.separator) {
		path = path[:len(path)-len(x.separator)]
	}
	return path
}

// InScope tells whether a record at ouPath lies at or below scope, compared unit
// by unit. An empty scope gets everything, records without a path too.
func InScope(scope, ouPath, separator string) bool {
	x := Index{separator: separator}
	scope = x.trim(scope)
	if scope == "" {
		return true
	}
	rest, ok := strings.CutPrefix(x.trim(ouPath), scope)
	return ok && (rest == "" || strings.HasPrefix(rest, separator))
}

func byID(e *entry, id string) int { return strings.Compare(e.ID, id) }
