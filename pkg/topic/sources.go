package topic

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CheckSources says what is wrong with further topics to read CDRs from, each with
// its event type. One of Aftercall's own would be read as CDRs although it holds
// something else: what the router rejects of it could be in it again, for ever.
func CheckSources(further map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(further)) {
		eventType := further[name]
		carries, isSource := Sources[name]
		isOwn := slices.ContainsFunc(All(), func(s Spec) bool { return s.Name == name })
		switch {
		case isSource && eventType != carries:
			errs = append(errs, fmt.Errorf("%s is read already, as what Aftercall makes it for: take it out", name))
		case isOwn && !isSource:
			errs = append(errs, fmt.Errorf("%s is a topic of Aftercall's own that holds no CDRs: take it out", name))
		case name == "":
			errs = append(errs, fmt.Errorf("=%s names no topic: write topic=event type", eventType))
		case !isSource && !slices.Contains(Types, eventType):
			errs = append(errs, fmt.Errorf("%q, of topic %s, is not an event type: it is one of %s", eventType, name, strings.Join(Types, ", ")))
		}
	}
	return errors.Join(errs...)
}
