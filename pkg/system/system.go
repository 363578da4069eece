// Package system is what Aftercall tells about its own deliveries: the event
// types Aftercall.*, produced by senders and admin to aftercall.cdr.system and
// routed from there like a CDR.
//
// It guarantees that the same news, told twice or by several senders, is one
// event (one ce_id), and that it names a webhook by its id, name and host only:
// no path, no query, no header, no secret.
package system

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// Source is ce_source of system events.
const Source = "aftercall"

// Window is within which the same endpoint's failing, or recovering, is one
// event, whatever number of senders see it.
const Window = 10 * time.Minute

// Reasons of an EndpointDisabled, and the disabled_reason of the webhook.
const (
	ReasonGone    = "gone"
	ReasonFailing = "failing"
)

// about are the members that every payload begins with.
type about struct {
	SubscriptionID      string `json:"SubscriptionId"`
	SubscriptionName    string `json:"SubscriptionName,omitempty"`
	SubscriptionVersion int64  `json:"SubscriptionVersion,omitempty"`
	EndpointHost        string `json:"EndpointHost,omitempty"`
}

func aboutOf(s *subscription.Subscription) about {
	a := about{SubscriptionID: s.ID, SubscriptionName: s.Name, SubscriptionVersion: s.Version}
	if u, err := url.Parse(s.Endpoint); err == nil {
		a.EndpointHost = u.Host
	}
	return a
}

// Failing tells that an endpoint fails: reason is what its last attempt met,
// until when it is tried again.
func Failing(s *subscription.Subscription, reason string, until, at time.Time) *kgo.Record {
	return record(topic.TypeEndpointFailing, windowed(s, at), s.ID, s.Tenant, at, struct {
		about
		Reason string
		Until  stamp
		At     stamp
	}{aboutOf(s), reason, stamp(until), stamp(at)})
}

// Recovered tells that an endpoint that failed works again.
func Recovered(s *subscription.Subscription, at time.Time) *kgo.Record {
	return record(topic.TypeEndpointRecovered, windowed(s, at), s.ID, s.Tenant, at, struct {
		about
		At stamp
	}{aboutOf(s), stamp(at)})
}

// Disabled tells that Aftercall has switched a webhook off. s is the webhook as
// it is since.
func Disabled(s *subscription.Subscription, at time.Time) *kgo.Record {
	return record(topic.TypeEndpointDisabled, fmt.Sprintf("%s/%d", s.ID, s.Version), s.ID, s.Tenant, at, struct {
		about
		Reason string
		At     stamp
	}{aboutOf(s), s.DisabledReason, stamp(at)})
}

// GivenUp is a delivery that ended without success.
type GivenUp struct {
	// Subscription as it was then, nil when it is no longer known.
	Subscription   *subscription.Subscription
	SubscriptionID string
	Tenant         string
	Reason         string
	DeliveryID     string
	EventID        string
	EventType      string
	CallID         string
	Cause          string
	Attempts       int32
	// Status of the last answer, 0 for none.
	Status int32
	At     time.Time
}

// Record is the event.
func (g GivenUp) Record() *kgo.Record {
	subject := about{SubscriptionID: g.SubscriptionID}
	if g.Subscription != nil {
		subject = aboutOf(g.Subscription)
	}
	var status *int32
	if g.Status != 0 {
		status = &g.Status
	}
	return record(topic.TypeDeliveryGivenUp, g.DeliveryID, g.SubscriptionID, g.Tenant, g.At, struct {
		about
		Reason     string
		DeliveryID string `json:"DeliveryId"`
		EventID    string `json:"EventId"`
		EventType  string
		CallID     string `json:"CallId,omitempty"`
		Cause      string
		Attempts   int32
		LastStatus *int32
		At         stamp
	}{subject, g.Reason, g.DeliveryID, g.EventID, g.EventType, g.CallID, g.Cause, g.Attempts, status, stamp(g.At)})
}

// Subject is the webhook that a payload is about, empty when it names none.
func Subject(payload []byte) string {
	var a about
	if json.Unmarshal(payload, &a) != nil {
		return ""
	}
	return a.SubscriptionID
}

func windowed(s *subscription.Subscription, at time.Time) string {
	return fmt.Sprintf("%s/%d/%d", s.ID, s.Version, at.Unix()/int64(Window/time.Second))
}

// stamp is a time as payloads show it.
type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) {
	if t := time.Time(s); !t.IsZero() {
		return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
	}
	return []byte("null"), nil
}

func record(eventType, id, subscriptionID, tenant string, at time.Time, payload any) *kgo.Record {
	value, err := json.Marshal(payload)
	if err != nil {
		// Texts, numbers and times: there is nothing to fail.
		panic(fmt.Sprintf("system: encoding %s: %v", eventType, err))
	}
	headers := []kgo.RecordHeader{
		{Key: cdr.HeaderID, Value: []byte(id)},
		{Key: cdr.HeaderSource, Value: []byte(Source)},
		{Key: cdr.HeaderType, Value: []byte(eventType)},
		{Key: cdr.HeaderTime, Value: []byte(at.UTC().Format(time.RFC3339Nano))},
	}
	if tenant != "" {
		headers = append(headers, kgo.RecordHeader{Key: cdr.HeaderTenant, Value: []byte(tenant)})
	}
	return &kgo.Record{Topic: topic.CDRSystem, Key: []byte(subscriptionID), Value: value, Headers: headers, Timestamp: at}
}
