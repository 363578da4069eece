package topic

import (
	"maps"
	"slices"
)

// Access is what one service does on Kafka, and therefore what it has to be
// allowed. Every service besides describes all topics and their settings when it
// starts, and reads back what a group has committed where it is a member.
type Access struct {
	Service string
	// Why in a few words, for people who grant rights.
	Why string
	// Reads and Writes are topics.
	Reads, Writes []string
	// Joins are groups in which it is a member; Watches those that it asks
	// about without joining.
	Joins, Watches []string
	// TransactionalIDs is the prefix of its transactional ids, empty without
	// transactions.
	TransactionalIDs string
}

// groups are the topics of each group.
func groups() map[string][]string {
	return map[string][]string{
		GroupRouter:    sourceTopics(),
		GroupSender:    {Deliveries},
		GroupMover:     DelayTopics(),
		GroupProjector: {Events, Rejected, History},
	}
}

// Group is the group by which a topic is read; empty where each instance reads
// all of it by itself.
func (a Access) Group(topicName string) string {
	for _, g := range a.Joins {
		if slices.Contains(groups()[g], topicName) {
			return g
		}
	}
	return ""
}

// Accesses lists what each service does, in the order of the flow.
func Accesses() []Access {
	return []Access{
		{
			Service: "router", Why: "CDRs become events and deliveries",
			Reads:  append(sourceTopics(), Subscriptions),
			Writes: []string{Events, Deliveries, Rejected},
			Joins:  []string{GroupRouter}, TransactionalIDs: GroupRouter + "-",
		},
		{
			Service: "sender", Why: "deliveries become POSTs, and wait for the next attempt",
			Reads:  append(append([]string{Deliveries}, DelayTopics()...), Subscriptions),
			Writes: append(append([]string{CDRSystem, Deliveries, Rejected}, DelayTopics()...), GivenUp, History),
			Joins:  []string{GroupSender, GroupMover},
		},
		{
			Service: "projector", Why: "what happened goes into the store",
			Reads: []string{Events, Rejected, History},
			Joins: []string{GroupProjector},
		},
		{
			Service: "admin", Why: "subscriptions, tests, resends and replays; attempts as they come",
			Reads:   append(DelayTopics(), History, Subscriptions),
			Writes:  []string{CDRTest, CDRSystem, Deliveries, Subscriptions},
			Watches: []string{GroupRouter, GroupSender, GroupMover},
		},
	}
}

// sourceTopics are the CDR topics in the order of the flow.
func sourceTopics() []string {
	names := slices.Collect(maps.Keys(Sources))
	order := map[string]int{}
	for i, s := range All() {
		order[s.Name] = i
	}
	slices.SortFunc(names, func(a, b string) int { return order[a] - order[b] })
	return names
}
