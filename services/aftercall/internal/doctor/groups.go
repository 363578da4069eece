package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/lag"
)

// roles of the groups.
var roles = map[string]string{
	topic.GroupRouter: "router", topic.GroupSender: "sender", topic.GroupMover: "sender", topic.GroupProjector: "projector",
}

// groups says who works, and how far each is behind.
func (m Machine) groups(ctx context.Context, r *Report, s settings) {
	rows, err := lag.Measure(ctx, s.Kafka, slices.Sorted(maps.Keys(s.Sources))...)
	if err != nil {
		r.add(CheckGroups, Warn, "the groups cannot be looked at: "+oneLine(err), "who works, and how far behind, is not known", "give this user the right to describe groups: kafka-acls --add --operation Describe --group 'aftercall-' --resource-pattern-type prefixed")
		return
	}
	records, members := map[string]int64{}, map[string]int{}
	var order []string
	for _, row := range rows {
		if !slices.Contains(order, row.Group) {
			order = append(order, row.Group)
		}
		records[row.Group] += row.Records
		members[row.Group] = row.Members
	}
	for _, group := range order {
		waits := "records are not finished"
		if group == topic.GroupMover {
			waits = "deliveries wait for their next attempt"
		}
		do := fmt.Sprintf("start a %s; if one runs, its log and /readyz say why it takes no part", roles[group])
		switch {
		case members[group] == 0 && records[group] > 0:
			r.add(CheckGroups, Fail, fmt.Sprintf("nobody works in %s, and %d %s", group, records[group], waits), "they stay where they are until retention removes them", do)
		case members[group] == 0:
			r.add(CheckGroups, Warn, fmt.Sprintf("nobody works in %s", group), "nothing waits for it yet; what comes will", do)
		default:
			if records[group] > 0 && group != topic.GroupMover {
				waits += " (at rest the end of a transaction may stay in each partition)"
			}
			r.ok(CheckGroups, "%s: %d members, %d %s", group, members[group], records[group], waits)
		}
	}
}
