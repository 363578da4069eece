package webhooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Unchanged stands where a secret value would: sent back, it keeps the value
// that is stored.
const Unchanged = "[unchanged]"

// Input is a subscription as a client writes it. A field left out has its
// default when creating.
type Input struct {
	Name           string        `json:"name,omitempty" doc:"How lists call it. Empty: the endpoint's host and path."`
	Endpoint       string        `json:"endpoint" doc:"Webhook Endpoint: the HTTP POST URL." example:"https://example.com/webhooks/aftercall"`
	Active         *bool         `json:"active,omitempty" doc:"Is Active. True when left out."`
	Events         []string      `json:"events" doc:"Webhook Events: the event types to send." example:"[\"App.QueueWebhook\"]"`
	Headers        []InputHeader `json:"headers,omitempty" doc:"Additional Webhook Headers."`
	SigningSecret  string        `json:"signing_secret,omitempty" doc:"An existing secret to sign with (whsec_…), on creation only. Without it one is made and answered once."`
	AbpSecret      string        `json:"abp_secret,omitempty" doc:"With the format abp: an existing secret of ASP.NET Zero (whs_…). Without it one is made and answered once."`
	Format         string        `json:"format,omitempty" doc:"Payload format: cdr (the record byte for byte), standard, cloudevents or abp (as ASP.NET Zero sends)." example:"cdr"`
	OUScope        string        `json:"ou_scope,omitempty" doc:"Organization unit: only records at or below it. Empty: all." example:"Root/Sales"`
	Filter         string        `json:"filter,omitempty" doc:"A CEL expression over cdr and event: only what makes it true is sent. Empty: everything." example:"cdr.QueueName == \"Sales\" && cdr.TalkTime > 60"`
	Timeout        string        `json:"timeout,omitempty" doc:"Until the response header, 1s to 25s." example:"15s"`
	MaxConcurrency int           `json:"max_concurrency,omitempty" doc:"Requests at a time, 1 to 512." example:"8"`
	RateLimit      float64       `json:"rate_limit,omitempty" doc:"Deliveries a second at most, 0 for no limit." example:"25"`
	Schedule       string        `json:"schedule,omitempty" doc:"When failed deliveries are tried again: once, 1h or 72h." example:"72h"`
	Description    string        `json:"description,omitempty"`
}

// InputHeader is one Additional Webhook Header as a client writes it.
type InputHeader struct {
	Name   string `json:"name" example:"X-Api-Key"`
	Value  string `json:"value,omitempty" doc:"The value. [unchanged] keeps that of a secret header."`
	Secret *bool  `json:"secret,omitempty" doc:"Whether the value is encrypted and never shown again. True when left out."`
}

// Subscription is a subscription as the API answers it. Secrets are not in it.
type Subscription struct {
	ID             string               `json:"id" example:"sub_01jx2k3m4n5p6q7r8s9t"`
	Version        int64                `json:"version" doc:"Grows with each change; the ETag."`
	Name           string               `json:"name"`
	Endpoint       string               `json:"endpoint"`
	Active         bool                 `json:"active"`
	Events         []string             `json:"events"`
	Headers        []SubscriptionHeader `json:"headers"`
	Format         string               `json:"format"`
	OUScope        string               `json:"ou_scope"`
	Filter         string               `json:"filter"`
	Timeout        string               `json:"timeout"`
	MaxConcurrency int                  `json:"max_concurrency"`
	RateLimit      float64              `json:"rate_limit"`
	Schedule       string               `json:"schedule"`
	Description    string               `json:"description"`
	DisabledReason string               `json:"disabled_reason,omitempty"`
	PausedUntil    wire.Time            `json:"paused_until,omitzero" doc:"Left out when it is not paused."`
	// PreviousSecretUntil is set while two secrets sign.
	PreviousSecretUntil wire.Time `json:"previous_secret_until,omitzero" doc:"After a rotation: until when the previous signing secret signs too."`
	DiscardBefore       wire.Time `json:"discard_before,omitzero" doc:"Deliveries queued before this are stopped."`
	CreatedAt           wire.Time `json:"created_at"`
	UpdatedAt           wire.Time `json:"updated_at"`
	// SigningSecret is there once: in the answer to the creation that made it.
	SigningSecret string `json:"signing_secret,omitempty" doc:"Only in the answer to the creation that made it. It is not shown again."`
	AbpSecret     string `json:"abp_secret,omitempty" doc:"Only in the answer to the change that made it. It is not shown again."`
	// Published is false when Kafka did not acknowledge the change yet.
	Published *bool `json:"published,omitempty" doc:"On changes: false (and status 202) when the change is saved but Kafka has not acknowledged it yet. It counts as soon as Kafka answers."`
}

// SubscriptionHeader is one Additional Webhook Header as the API answers it.
type SubscriptionHeader struct {
	Name   string `json:"name"`
	Value  string `json:"value" doc:"[unchanged] where it is secret."`
	Secret bool   `json:"secret"`
}

// View is s without its secrets.
func View(s *subscription.Subscription) Subscription {
	v := Subscription{
		ID: s.ID, Version: s.Version, Name: s.Name, Endpoint: s.Endpoint, Active: s.Active,
		Events: slices.Clone(s.Events), Headers: []SubscriptionHeader{}, Format: s.Format, OUScope: s.OUScope, Filter: s.Filter,
		Timeout: s.Timeout.String(), MaxConcurrency: s.MaxConcurrency, RateLimit: s.RateLimit, Schedule: s.Schedule,
		Description: s.Description, DisabledReason: s.DisabledReason,
		DiscardBefore: wire.At(s.DiscardBefore), CreatedAt: wire.At(s.CreatedAt), UpdatedAt: wire.At(s.UpdatedAt),
	}
	now := time.Now()
	if now.Before(s.PausedUntil) {
		v.PausedUntil = wire.At(s.PausedUntil)
	}
	if len(s.SealedPreviousSecret) > 0 && now.Before(s.PreviousSecretUntil) {
		v.PreviousSecretUntil = wire.At(s.PreviousSecretUntil)
	}
	if v.Events == nil {
		v.Events = []string{}
	}
	for _, h := range s.Headers {
		value := h.Value
		if h.Secret {
			value = Unchanged
		}
		v.Headers = append(v.Headers, SubscriptionHeader{Name: h.Name, Value: value, Secret: h.Secret})
	}
	return v
}

// Editable is s as a client would have written it: what a PATCH is merged into.
func Editable(s *subscription.Subscription) Input {
	v := View(s)
	in := Input{
		Name: v.Name, Endpoint: v.Endpoint, Active: &v.Active, Events: v.Events, Format: v.Format, OUScope: v.OUScope,
		Filter: v.Filter, Timeout: v.Timeout, MaxConcurrency: v.MaxConcurrency, RateLimit: v.RateLimit,
		Schedule: v.Schedule, Description: v.Description,
	}
	for _, h := range v.Headers {
		in.Headers = append(in.Headers, InputHeader{Name: h.Name, Value: h.Value, Secret: &h.Secret})
	}
	return in
}

// Merge applies a JSON merge patch (RFC 7396) to what s is, and reads the result
// as strictly as a creation: a member that is no field is refused.
func Merge(s *subscription.Subscription, patch []byte) (Input, error) {
	var change map[string]any
	if err := json.Unmarshal(patch, &change); err != nil || change == nil {
		return Input{}, problem.New(400, problem.CodeInvalid, "The body is not a JSON object: it looks like {\"active\": false}.")
	}
	if _, there := change["signing_secret"]; there {
		return Input{}, problem.Invalid(useRotation)
	}
	var fields []problem.Field
	for name := range change {
		if !known[name] {
			fields = append(fields, unknown(name))
		}
	}
	if len(fields) > 0 {
		slices.SortFunc(fields, func(a, b problem.Field) int { return strings.Compare(a.Pointer, b.Pointer) })
		return Input{}, problem.Invalid(fields...)
	}
	now, err := json.Marshal(Editable(s))
	if err != nil {
		return Input{}, err
	}
	var doc map[string]any
	if err := json.Unmarshal(now, &doc); err != nil {
		return Input{}, err
	}
	merged, err := json.Marshal(mergePatch(doc, change))
	if err != nil {
		return Input{}, err
	}
	return Decode(merged)
}

// known are the fields of Input.
var known = map[string]bool{
	"name": true, "endpoint": true, "active": true, "events": true, "headers": true, "signing_secret": true, "abp_secret": true, "format": true,
	"ou_scope": true, "filter": true, "timeout": true, "max_concurrency": true, "rate_limit": true, "schedule": true, "description": true,
}

// Actions are members of a subscription that have an action of their own.
var Actions = map[string]string{
	"paused_until": "This is set by pause and resume.", "discard_before": "This is set by stop-waiting.",
	"previous_secret_until": "This is set by rotate-secret.", "released": "This is set by send-waiting.",
}

func unknown(name string) problem.Field {
	f := problem.Field{Pointer: "/" + escapePointer(name), Code: problem.CodeUnknownField, Message: "There is no such field."}
	if message, ok := Actions[name]; ok {
		f.Code, f.Message = problem.CodeInvalid, message
	}
	return f
}

func mergePatch(target any, patch map[string]any) any {
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(object, name)
		case map[string]any:
			object[name] = mergePatch(object[name], v)
		default:
			object[name] = v
		}
	}
	return object
}

// Decode reads an Input and names the field of what it cannot take, without
// repeating its value.
func Decode(body []byte) (Input, error) {
	var in Input
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(&in)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return in, nil
	case errors.As(err, &wrong):
		return in, problem.Invalid(problem.Field{Pointer: "/" + strings.ReplaceAll(wrong.Field, ".", "/"), Code: problem.CodeInvalid,
			Message: "This has to be " + jsonType(wrong.Type.Kind().String()) + "."})
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name, _ := strconv.Unquote(strings.TrimPrefix(err.Error(), "json: unknown field "))
		return in, problem.Invalid(unknown(name))
	}
	return in, problem.New(400, problem.CodeInvalid, "The body is not JSON.")
}

func jsonType(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	case "slice":
		return "a list"
	case "struct", "map":
		return "an object"
	}
	return "a number"
}

func escapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func parseTimeout(s string) (time.Duration, *problem.Field) {
	if s == "" {
		return subscription.DefaultTimeout, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		if n, e := strconv.Atoi(s); e == nil {
			return time.Duration(n) * time.Second, nil
		}
		return 0, &problem.Field{Pointer: "/timeout", Code: problem.CodeInvalid, Message: "The time-out looks like 15s: 1s to 25s."}
	}
	return d, nil
}
