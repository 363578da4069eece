package webhooks

import (
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// notYet are settings that the rules for subscriptions know and that the whole
// pipeline does not carry out yet. What is accepted here has to happen: so each
// is refused until router and sender do it, and its line then goes away.
func notYet(s *subscription.Subscription) []problem.Field {
	var fields []problem.Field
	refuse := func(pointer, message string) {
		fields = append(fields, problem.Field{Pointer: pointer, Code: problem.CodeNotAvailableYet, Message: message})
	}
	switch s.Format {
	case subscription.FormatStandard, subscription.FormatCloudEvents, subscription.FormatAbp:
		refuse("/format", "The payload format "+s.Format+" is not available yet: use cdr.")
	}
	if s.Filter != "" {
		refuse("/filter", "Filters are not available yet: leave it empty.")
	}
	if s.RateLimit > 0 {
		refuse("/rate_limit", "Rate limits are not available yet: use 0.")
	}
	return fields
}
