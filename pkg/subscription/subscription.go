// Package subscription holds what a webhook subscription is: its properties,
// what makes them valid, and which events it wants. It knows no transport, no
// store and no logger.
package subscription

import (
	"time"

	"github.com/aftercall/aftercall/pkg/webhook"
)

// Subscription is one webhook as administered. Secrets in it are sealed: only
// the holder of the keyset can open them.
type Subscription struct {
	ID      string
	Version int64
	Tenant  string
	Name    string
	// Endpoint is the HTTP POST URL.
	Endpoint string
	Active   bool
	// PausedUntil defers deliveries, zero when not paused.
	PausedUntil time.Time
	// Events are the event types wanted.
	Events  []string
	Headers []Header
	// SealedSecret signs; SealedPreviousSecret signs too until PreviousSecretUntil.
	SealedSecret         []byte
	SealedPreviousSecret []byte
	PreviousSecretUntil  time.Time
	SealedAbpSecret      []byte
	Format               string
	OUScope              string
	Filter               string
	// Timeout until the response header.
	Timeout        time.Duration
	MaxConcurrency int
	// RateLimit in deliveries a second, 0 for none.
	RateLimit      float64
	Schedule       string
	Description    string
	DisabledReason string
	DiscardBefore  time.Time
	// Released says up to where, in each delay partition, this subscription's
	// waiting records have been sent again; movers drop those.
	Released  []Position
	CreatedAt time.Time
	UpdatedAt time.Time
	Deleted   bool
}

// Position is a place in Kafka.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Header is one Additional Webhook Header. Value is empty when it is secret.
type Header struct {
	Name   string
	Value  string
	Secret bool
	Sealed []byte
}

// Defaults and limits of a subscription's delivery settings.
const (
	DefaultTimeout        = 15 * time.Second
	MinTimeout            = time.Second
	MaxTimeout            = 25 * time.Second
	DefaultMaxConcurrency = 8
	MaxMaxConcurrency     = 512
	MaxRateLimit          = 10_000
	DefaultSchedule       = "72h"
	DefaultTenant         = "default"
)

// Payload formats.
const (
	FormatCDR         = webhook.FormatCDR
	FormatStandard    = webhook.FormatStandard
	FormatCloudEvents = webhook.FormatCloudEvents
	FormatAbp         = webhook.FormatAbp
)
