// Package topic lists every Kafka topic of Aftercall in the order of the flow,
// and guarantees that all services speak of the same ones.
//
//	aftercall.cdr.*          upstream → router      one CDR per record
//	aftercall.events         router → projector     one record per CDR
//	aftercall.deliveries     router → sender        one record per (CDR, subscription)
//	aftercall.rejected       router → projector     what cannot be a CDR
//	…deliveries.delay.*      sender → sender        waiting for the next attempt
//	…deliveries.given-up     sender → people        exhausted, replayable
//	aftercall.history        sender → projector     every attempt, deferral, endpoint change
//	aftercall.subscriptions  admin → router, sender who wants what
//
// aftercall.cdr.system carries what sender and admin tell about endpoints; the
// router treats it like any other CDR topic.
package topic

//go:generate go run ./internal/contracts ../..

import (
	"strings"
	"time"
)

// Event types of the reference, as they stand on the wire.
const (
	TypeQueue     = "App.QueueWebhook"
	TypeIvr       = "App.IvrWebhook"
	TypeAgent     = "App.AgentWebhook"
	TypeRecording = "App.RecordingWebhook"
	TypeTest      = "App.TestWebhook"
)

// Event types of what Aftercall tells about its own deliveries.
const (
	TypeEndpointFailing   = systemPrefix + "EndpointFailing"
	TypeEndpointRecovered = systemPrefix + "EndpointRecovered"
	TypeEndpointDisabled  = systemPrefix + "EndpointDisabled"
	TypeDeliveryGivenUp   = systemPrefix + "DeliveryGivenUp"

	systemPrefix = "Aftercall."
)

// Types lists every event type that a subscription can ask for, in the order of
// pages.
var Types = []string{
	TypeQueue, TypeIvr, TypeAgent, TypeRecording, TypeTest,
	TypeEndpointFailing, TypeEndpointRecovered, TypeEndpointDisabled, TypeDeliveryGivenUp,
}

// IsSystem tells what Aftercall tells about itself from what calls cause.
func IsSystem(eventType string) bool { return strings.HasPrefix(eventType, systemPrefix) }

// Topics, in the order of the flow.
const (
	CDRQueue      = "aftercall.cdr.queue"
	CDRIvr        = "aftercall.cdr.ivr"
	CDRAgent      = "aftercall.cdr.agent"
	CDRRecording  = "aftercall.cdr.recording"
	CDRTest       = "aftercall.cdr.test"
	CDRSystem     = "aftercall.cdr.system"
	Events        = "aftercall.events"
	Rejected      = "aftercall.rejected"
	Deliveries    = "aftercall.deliveries"
	GivenUp       = "aftercall.deliveries.given-up"
	History       = "aftercall.history"
	Subscriptions = "aftercall.subscriptions"
)

// Consumer groups.
const (
	GroupRouter    = "aftercall-router"
	GroupSender    = "aftercall-sender"
	GroupMover     = "aftercall-mover"
	GroupProjector = "aftercall-projector"
)

// Key says by what a topic's records are keyed.
type Key string

// Keys in use.
const (
	KeyCallID       Key = "CallId, or none"
	KeyEvent        Key = "event_id"
	KeySource       Key = "topic/partition of the source"
	KeyShard        Key = "subscription_id/shard"
	KeyDelivery     Key = "delivery_id (endpoint changes: subscription_id)"
	KeySubscription Key = "subscription_id"
)

// Spec describes one topic.
type Spec struct {
	Name string
	Key  Key
	// Partitions on a real broker; the embedded one uses EmbeddedPartitions.
	Partitions         int32
	EmbeddedPartitions int32
	// Retention on a real broker; 0 keeps everything.
	Retention time.Duration
	// Compacted on a real broker. The embedded one compacts nothing.
	Compacted bool
	// Upstream topics carry records of others: their timestamps are theirs.
	Upstream bool
	// Dwell is how long a record of a delay topic waits.
	Dwell time.Duration
}

// Tier is one delay topic.
type Tier struct {
	Topic string
	Dwell time.Duration
}

// Tiers are the delay topics, shortest first.
var Tiers = []Tier{
	{"aftercall.deliveries.delay.5s", 5 * time.Second},
	{"aftercall.deliveries.delay.30s", 30 * time.Second},
	{"aftercall.deliveries.delay.2m", 2 * time.Minute},
	{"aftercall.deliveries.delay.10m", 10 * time.Minute},
	{"aftercall.deliveries.delay.30m", 30 * time.Minute},
	{"aftercall.deliveries.delay.2h", 2 * time.Hour},
	{"aftercall.deliveries.delay.6h", 6 * time.Hour},
	{"aftercall.deliveries.delay.12h", 12 * time.Hour},
}

// DelayTopics are the names of the tiers' topics, shortest first.
func DelayTopics() []string {
	names := make([]string, len(Tiers))
	for i, t := range Tiers {
		names[i] = t.Topic
	}
	return names
}

const day = 24 * time.Hour

// Sources maps the CDR topics to the event type their records carry. The test
// topic accepts every type, and in the system topic (no one type) each record
// names its own.
var Sources = map[string]string{
	CDRQueue:     TypeQueue,
	CDRIvr:       TypeIvr,
	CDRAgent:     TypeAgent,
	CDRRecording: TypeRecording,
	CDRTest:      TypeTest,
	CDRSystem:    "",
}

// All lists every topic in the order of the flow.
func All() []Spec {
	specs := []Spec{
		{Name: CDRQueue, Key: KeyCallID, Partitions: 12, EmbeddedPartitions: 1, Retention: 7 * day, Upstream: true},
		{Name: CDRIvr, Key: KeyCallID, Partitions: 12, EmbeddedPartitions: 1, Retention: 7 * day, Upstream: true},
		{Name: CDRAgent, Key: KeyCallID, Partitions: 12, EmbeddedPartitions: 1, Retention: 7 * day, Upstream: true},
		{Name: CDRRecording, Key: KeyCallID, Partitions: 12, EmbeddedPartitions: 1, Retention: 7 * day, Upstream: true},
		{Name: CDRTest, Key: KeyCallID, Partitions: 1, EmbeddedPartitions: 1, Retention: 7 * day, Upstream: true},
		{Name: CDRSystem, Key: KeySubscription, Partitions: 1, EmbeddedPartitions: 1, Retention: 7 * day, Upstream: true},
		{Name: Events, Key: KeyEvent, Partitions: 12, EmbeddedPartitions: 1, Retention: 7 * day},
		{Name: Deliveries, Key: KeyShard, Partitions: 24, EmbeddedPartitions: 3, Retention: 7 * day},
		{Name: Rejected, Key: KeySource, Partitions: 1, EmbeddedPartitions: 1, Retention: 28 * day},
	}
	for _, t := range Tiers {
		specs = append(specs, Spec{Name: t.Topic, Key: KeyShard, Partitions: 6, EmbeddedPartitions: 1, Retention: 7 * day, Dwell: t.Dwell})
	}
	return append(specs,
		Spec{Name: GivenUp, Key: KeyShard, Partitions: 3, EmbeddedPartitions: 1, Retention: 28 * day},
		Spec{Name: History, Key: KeyDelivery, Partitions: 12, EmbeddedPartitions: 2, Retention: 14 * day},
		Spec{Name: Subscriptions, Key: KeySubscription, Partitions: 1, EmbeddedPartitions: 1, Compacted: true},
	)
}

// TierFor returns the shortest tier whose dwell is at least d, or the longest
// one when none is.
func TierFor(d time.Duration) Tier {
	for _, t := range Tiers {
		if t.Dwell >= d {
			return t
		}
	}
	return Tiers[len(Tiers)-1]
}
