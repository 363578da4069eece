package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/lag"
)

// roles of the groups.
var roles = map[string]string{
	topic.GroupRouter: "router", topic.GroupSender: "sender", topic.GroupMover: "sender", topic.GroupProjector: "projector",
}

// groups says who works, and how far each is behind.
func (m Machine) groups(ctx context.Context, r *Report, s settings) {
	rows, err := lag.Measure(ctx, s.Kafka)
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
			r.ok(CheckGroups, "%s: %d members, %d %s", group, members[group], records[group], waits)
		}
	}
}

// sample is who takes part as a router or sender, and how often each transactional
// id has changed hands.
type sample struct {
	clients map[string][]string
	epochs  map[string]int16
}

func (m Machine) sample(ctx context.Context, adm *kadm.Client) (sample, error) {
	s := sample{clients: map[string][]string{}, epochs: map[string]int16{}}
	described, err := adm.DescribeGroups(ctx, topic.GroupRouter)
	if err != nil {
		return s, fmt.Errorf("describing the routers' group: %w", err)
	}
	for _, member := range described[topic.GroupRouter].Members {
		s.clients[member.ClientID] = append(s.clients[member.ClientID], strings.TrimPrefix(member.ClientHost, "/"))
	}
	// An older broker knows no such question, and not everybody may ask it.
	open, err := adm.ListTransactions(ctx, nil, nil)
	if err != nil {
		return s, nil //nolint:nilerr // the members say enough
	}
	var ids []string
	for id := range open {
		if strings.HasPrefix(id, topic.GroupRouter+"-") {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return s, nil
	}
	transactions, err := adm.DescribeTransactions(ctx, ids...)
	if err != nil {
		return s, nil //nolint:nilerr // as above
	}
	for id, t := range transactions {
		if t.Err == nil {
			s.epochs[id] = t.ProducerEpoch
		}
	}
	return s, nil
}

// routers looks for two that go by one name: both in the group at once, or one
// taking the transactional id from the other again and again.
func (m Machine) routers(ctx context.Context, r *Report, client *kgo.Client) {
	adm := kadm.NewClient(client)
	before, err := m.sample(ctx, adm)
	if err != nil {
		r.add(CheckRouters, Warn, oneLine(err), "whether two routers go by one name is not known", "give this user the right to describe groups")
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(m.Between):
	}
	after, err := m.sample(ctx, adm)
	if err != nil {
		return
	}
	const why = "each takes the other's transaction away: routing comes to a halt, and the routers end"
	const do = "give each router an AFTERCALL_INSTANCE of its own that survives restarts, such as the pod's name in a StatefulSet"
	bad := false
	for _, name := range slices.Sorted(maps.Keys(after.clients)) {
		if hosts := after.clients[name]; len(hosts) > 1 {
			bad = true
			r.add(CheckRouters, Fail, fmt.Sprintf("%d routers go by the name %s (on %s)", len(hosts), strings.TrimPrefix(name, topic.GroupRouter+"-"), strings.Join(hosts, ", ")), why, do)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(after.epochs)) {
		if first, known := before.epochs[id]; known && after.epochs[id] >= first+fencings {
			bad = true
			r.add(CheckRouters, Fail, fmt.Sprintf("the transactional id %s changed hands %d times within %s", id, after.epochs[id]-first, m.Between.Round(time.Second)), why, do)
		}
	}
	if !bad {
		r.ok(CheckRouters, "%d routers, each with a name of its own", len(after.clients))
	}
}

// fencings within the time of watching are more than a restart makes.
const fencings = 2
