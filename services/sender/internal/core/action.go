package core

import (
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// Kind of an action.
type Kind uint8

// What the shell is asked to do with a job.
const (
	// Post it, then tell Answered and, when the outcome is acknowledged, Settled.
	Post Kind = iota + 1
	// Divert it to a delay topic, then tell Settled.
	Divert
	// End it without a request, then tell Settled.
	End
	// Park a record that this build cannot read, as it is, then tell Settled.
	Park
)

// Action is one thing to do.
type Action struct {
	Kind Kind
	Job  *Job
	// Subscription as it is now; nil when there is none.
	Subscription *subscription.Subscription
	// Progress of the delivery in its schedule.
	Progress outcome.Progress
	// Reason of a Divert or End.
	Reason string
	// Tier and Announce of a Divert: announced are each change of reason, the first
	// few in a row, and ever fewer of those that follow.
	Tier     topic.Tier
	Announce bool
	// State that an End leaves the delivery in.
	State aftercallv1.DeliveryState
}

// Reasons of a deferral.
const (
	ReasonQueueFull           = "queue_full"
	ReasonRate                = "rate"
	ReasonBreaker             = "breaker"
	ReasonRetryAfter          = "retry_after"
	ReasonPaused              = "paused"
	ReasonSubscriptionUnknown = "subscription_unknown"
	ReasonKeyMissing          = "key_missing"
	ReasonFormatUnknown       = "format_unknown"
)
