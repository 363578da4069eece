package cdr

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aftercall/aftercall/pkg/topic"
)

// Record headers of a CDR; all are optional.
const (
	// HeaderID identifies the record at its source. Where it is given, a
	// corrected CDR is told from a repeated one by it.
	HeaderID = "ce_id"
	// HeaderSource names the producer.
	HeaderSource = "ce_source"
	// HeaderType names the event type; it must be that of the topic.
	HeaderType = "ce_type"
	// HeaderTime is when the call ended, RFC 3339.
	HeaderTime = "ce_time"
	// HeaderTenant names the tenant.
	HeaderTenant = "aftercall-tenant"
	// HeaderTraceparent is a W3C trace context.
	HeaderTraceparent = "traceparent"
	// HeaderTarget, on the test topic, names the one subscription to test.
	HeaderTarget = "aftercall-target"
)

// Limits of what is extracted, in characters.
const (
	// MaxCallID is the longest CallId. A longer ScenarioId or ParentId links to
	// no call and is ignored.
	MaxCallID = 256
	// MaxOUPath is the longest organization unit path that is matched. A longer
	// one is ignored: the record then matches no scoped subscription.
	MaxOUPath = 1024
	// MaxHeader is the longest ce_id, ce_source, ce_type, aftercall-tenant and
	// aftercall-target.
	MaxHeader = 256
)

// DefaultMaxBytes is the cap on a CDR's value unless configured otherwise.
const DefaultMaxBytes = 1 << 20

// DefaultTenant is the tenant of a record that names none.
const DefaultTenant = "default"

// Causes of an event.
const (
	CauseCallEnded = "call_ended"
	CauseTest      = "test"
)

// maxWarnings bounds what one record can say about itself.
const maxWarnings = 16

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Input is a record of a CDR topic.
type Input struct {
	Topic string
	// TypeOfTopic is the one event type that the topic carries. It is empty for
	// the test topic, which accepts every type (App.TestWebhook where the record
	// names none), and for topic.CDRSystem, where each record names its own.
	TypeOfTopic string
	Key, Value  []byte
	Headers     []Header
	// Timestamp of the record; OccurredAt where ce_time is absent.
	Timestamp time.Time
	// MaxBytes caps the value; DefaultMaxBytes when 0.
	MaxBytes int
}

// CDR is what Aftercall needs to know of a call detail record. The record's
// value stays as it is.
type CDR struct {
	EventID string
	Tenant  string
	// Source is ce_source, or empty.
	Source string
	Type   string
	// CeID is ce_id, or empty.
	CeID string
	// CallID is empty only on the test and system topics.
	CallID string
	// ScenarioID and ParentID are empty where absent, null or "Null".
	ScenarioID string
	ParentID   string
	// OUPath is the path of the organization unit, or empty.
	OUPath      string
	Traceparent string
	// OccurredAt is ce_time, else the record's timestamp, in UTC and within
	// the years 1970–9999.
	OccurredAt time.Time
	// TargetSubscription is the one subscription that a test is meant for, or
	// empty for all.
	TargetSubscription string
	// Cause is CauseTest on the test topic, else CauseCallEnded.
	Cause string
	// Warnings are deviations that do not keep the CDR from being delivered.
	Warnings []string
}

// Decode identifies a CDR. The error is always a *Rejected; the first of these
// that holds is reported: over the cap, not UTF-8, not JSON, not an object, the
// rules of CallId, of ce_type, of the headers that steer the record.
func Decode(in Input) (*CDR, error) {
	maxBytes := in.MaxBytes
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	if len(in.Value) > maxBytes {
		return nil, &Rejected{CodeTooLarge, "", fmt.Sprintf("the value has %d bytes, the cap is %d", len(in.Value), maxBytes)}
	}
	d := decoder{in: &in, cdr: &CDR{Cause: CauseCallEnded}}
	if in.TypeOfTopic == "" && in.Topic != topic.CDRSystem {
		d.cdr.Cause = CauseTest
	}
	steering := d.headers()
	if err := d.body(); err != nil {
		return nil, err
	}
	if err := d.callID(); err != nil {
		return nil, err
	}
	if err := d.checkType(); err != nil {
		return nil, err
	}
	if steering != nil {
		return nil, steering
	}
	d.cdr.ScenarioID = d.link("ScenarioId", d.scenarioID)
	d.cdr.ParentID = d.link("ParentId", d.parentID)
	d.ouPath()
	if d.suppressed > 0 {
		d.cdr.Warnings = append(d.cdr.Warnings, fmt.Sprintf("and %d more", d.suppressed))
	}
	d.cdr.EventID = EventID(d.cdr.Tenant, d.cdr.Source, d.cdr.Type, d.cdr.CeID, d.cdr.CallID, in.Value)
	return d.cdr, nil
}

type decoder struct {
	in  *Input
	cdr *CDR

	ceType  string
	typeBad bool // ce_type is there and cannot be a type
	fields  map[string]field
	seen    uint64 // bits of the fields that stood already

	// The fields of interest, the last of each name; kind 0 when absent.
	call, scenarioID, parentID, ouUpper, ouLower span
	// A name that differs from CallId in case only.
	misspelledCallID bool

	suppressed int
}

func (d *decoder) warn(format string, args ...any) {
	if len(d.cdr.Warnings) == maxWarnings {
		d.suppressed++
		return
	}
	d.cdr.Warnings = append(d.cdr.Warnings, fmt.Sprintf(format, args...))
}

// headers reads the record's headers. Its result rejects the record, unless
// something that counts more does.
func (d *decoder) headers() (rejected *Rejected) {
	c := d.cdr
	var id, source, eventType, when, tenant, trace, target *Header
	for i := range d.in.Headers {
		h := &d.in.Headers[i]
		switch h.Key {
		case HeaderID:
			id = h
		case HeaderSource:
			source = h
		case HeaderType:
			eventType = h
		case HeaderTime:
			when = h
		case HeaderTenant:
			tenant = h
		case HeaderTraceparent:
			trace = h
		case HeaderTarget:
			target = h
		}
	}

	c.CeID = d.informative(id)
	c.Source = d.informative(source)
	if eventType != nil && len(eventType.Value) > 0 {
		d.ceType = string(eventType.Value)
		d.typeBad = fault(eventType.Value) != ""
	}

	c.Tenant = DefaultTenant
	if tenant != nil && len(tenant.Value) > 0 {
		if what := fault(tenant.Value); what != "" {
			rejected = &Rejected{CodeHeaderInvalid, HeaderTenant, "the header " + what + "; without a tenant that can be read the record could reach another one"}
		}
		c.Tenant = string(tenant.Value)
	}
	if target != nil && len(target.Value) > 0 {
		switch what := fault(target.Value); {
		case c.Cause != CauseTest:
			d.warn("header %s counts on the test topic only, and is ignored", HeaderTarget)
		case what != "":
			rejected = &Rejected{CodeHeaderInvalid, HeaderTarget, "the header " + what + "; the test would go to every subscription"}
		default:
			c.TargetSubscription = string(target.Value)
		}
	}

	if trace != nil && len(trace.Value) > 0 {
		if validTraceparent(trace.Value) {
			c.Traceparent = string(trace.Value)
		} else {
			d.warn("header %s is no W3C trace context, and is ignored", HeaderTraceparent)
		}
	}
	d.occurredAt(when)
	return rejected
}

// informative is the text of a header that may be ignored when it is faulty.
func (d *decoder) informative(h *Header) string {
	if h == nil || len(h.Value) == 0 {
		return ""
	}
	if what := fault(h.Value); what != "" {
		d.warn("header %s %s, and is ignored", h.Key, what)
		return ""
	}
	return string(h.Value)
}

// fault says what keeps a header's value from being used as text.
func fault(v []byte) string {
	switch {
	case !utf8.Valid(v):
		return "is not UTF-8"
	case len(v) > MaxHeader && utf8.RuneCount(v) > MaxHeader:
		return fmt.Sprintf("is longer than %d characters", MaxHeader)
	}
	for _, c := range v {
		if c < 0x20 || c == 0x7f {
			return "holds a control character"
		}
	}
	return ""
}

func (d *decoder) occurredAt(when *Header) {
	c := d.cdr
	if when != nil && len(when.Value) > 0 {
		t, err := time.Parse(time.RFC3339, string(when.Value))
		t = t.UTC()
		if err == nil && plausible(t) {
			c.OccurredAt = t
			return
		}
		d.warn("header %s is no RFC 3339 time of the years 1970 to 9999; the record's own time counts", HeaderTime)
	}
	c.OccurredAt = d.in.Timestamp.UTC()
	if !plausible(c.OccurredAt) {
		d.warn("the record has no usable timestamp")
		c.OccurredAt = time.Unix(0, 0).UTC()
	}
}

func plausible(t time.Time) bool {
	return t.Unix() > 0 && t.Year() <= 9999
}

// validTraceparent checks the form of W3C Trace Context, section 3.2.
func validTraceparent(v []byte) bool {
	if len(v) != 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	for i, c := range v {
		if i == 2 || i == 35 || i == 52 {
			continue
		}
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return string(v[:2]) != "ff" && strings.Trim(string(v[3:35]), "0") != "" && strings.Trim(string(v[36:52]), "0") != ""
}

var bom = []byte("\xef\xbb\xbf")

func (d *decoder) body() error {
	value := d.in.Value
	if !utf8.Valid(value) {
		return &Rejected{CodeNotUTF8, "", fmt.Sprintf("byte %d: not UTF-8", validPrefix(value))}
	}
	if bytes.HasPrefix(value, bom) {
		return &Rejected{CodeNotJSON, "", "a byte order mark stands before the JSON text; send it without"}
	}
	byType := fieldsByType()
	if d.fields = byType[d.supposedType()]; d.fields == nil {
		d.fields = byType[""]
	}
	s := scanner{data: value}
	if s.space(); s.pos == len(value) {
		return &Rejected{CodeNotJSON, "", "the record has no value; a JSON object is needed"}
	}
	err := s.object(d.member)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotObject):
		return &Rejected{CodeNotObject, "", "the value is JSON, but not an object"}
	default:
		return &Rejected{CodeNotJSON, "", err.Error()}
	}
}

func validPrefix(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

func (d *decoder) member(name, value span) {
	raw := name.raw
	if name.escaped {
		raw = []byte(name.text())
	}
	f, known := d.fields[string(raw)]
	if !known {
		if len(raw) == len("CallId") && bytes.EqualFold(raw, []byte("CallId")) {
			d.misspelledCallID = true
		}
		return
	}
	switch f.use {
	case useCallID:
		d.call = value
	case useScenarioID:
		d.scenarioID = value
	case useParentID:
		d.parentID = value
	case useOUUpper:
		d.ouUpper = value
	case useOULower:
		d.ouLower = value
	}
	d.check(f, value)
}

func (d *decoder) callID() error {
	needed := d.in.TypeOfTopic != ""
	id, err := callID(d.call, d.misspelledCallID)
	switch {
	case err == nil:
		d.cdr.CallID = d.storable("CallId", id)
	case needed:
		return err
	case d.call.kind != 0 && d.call.kind != kindNull:
		d.warn("CallId is neither a string of 1 to %d characters nor an integer, and is ignored", MaxCallID)
	}
	return nil
}

func callID(v span, misspelled bool) (string, error) {
	invalid := func(what string) error {
		return &Rejected{CodeCallIDInvalid, "/CallId", fmt.Sprintf("CallId %s; a string of 1 to %d characters or an integer is needed", what, MaxCallID)}
	}
	switch v.kind {
	case 0:
		reason := "there is no CallId"
		if misspelled {
			reason += "; a member's name differs from it in upper and lower case only"
		}
		return "", &Rejected{CodeCallIDMissing, "/CallId", reason}
	case kindString:
		text := v.text()
		switch {
		case text == "":
			return "", invalid("is empty")
		case len(text) > MaxCallID && utf8.RuneCountInString(text) > MaxCallID:
			return "", invalid("is too long")
		}
		return text, nil
	case kindInteger:
		if len(v.raw) > MaxCallID {
			return "", invalid("is too long")
		}
		return string(v.raw), nil
	}
	return "", invalid("is " + v.kind.String())
}

// storable takes NUL out of a text that stores and indexes must hold. The value
// itself is delivered as it came.
func (d *decoder) storable(field, text string) string {
	if strings.IndexByte(text, 0) < 0 {
		return text
	}
	d.warn("%s holds NUL; it is kept under U+FFFD in searches", field)
	return strings.ReplaceAll(text, "\x00", "\uFFFD")
}

// supposedType is the type that the record has unless it is rejected.
func (d *decoder) supposedType() string {
	switch {
	case d.in.TypeOfTopic != "":
		return d.in.TypeOfTopic
	case d.ceType != "":
		return d.ceType
	case d.in.Topic == topic.CDRSystem:
		return ""
	}
	return topic.TypeTest
}

func (d *decoder) checkType() error {
	expected := d.in.TypeOfTopic
	if d.typeBad {
		return &Rejected{CodeTypeContradiction, HeaderType, "the header is no event type"}
	}
	switch d.cdr.Type = d.supposedType(); {
	case expected != "" && d.ceType != "" && d.ceType != expected:
		return &Rejected{CodeTypeContradiction, HeaderType, fmt.Sprintf("the header names another event type than the topic carries, which is %s", expected)}
	case d.cdr.Type == "":
		return &Rejected{CodeTypeContradiction, HeaderType, "the topic carries several event types; the header has to name one"}
	case d.in.Topic == topic.CDRSystem && expected == "" && !(topic.IsSystem(d.cdr.Type) && Known(d.cdr.Type)):
		return &Rejected{CodeTypeContradiction, HeaderType, "the topic carries what Aftercall tells about itself, and the header names another event type"}
	case d.cdr.Cause == CauseTest && !Known(d.cdr.Type):
		d.warn("header %s names an event type without a schema", HeaderType)
	}
	return nil
}

// link is the text of a field that links the record to others, or empty.
func (d *decoder) link(field string, v span) string {
	var text string
	switch v.kind {
	case kindString:
		text = v.text()
	case kindInteger:
		text = string(v.raw)
	}
	if text == "Null" || text == "null" {
		return ""
	}
	if len(text) > MaxCallID && utf8.RuneCountInString(text) > MaxCallID {
		d.warn("%s is longer than %d characters, and is ignored", field, MaxCallID)
		return ""
	}
	return d.storable(field, text)
}

// ouPath takes the path under the spelling of the type: OuPath on recordings,
// OUPath elsewhere. The other spelling counts where that one is absent.
func (d *decoder) ouPath() {
	name, v, other := "OUPath", d.ouUpper, d.ouLower
	otherName := "OuPath"
	if d.cdr.Type == topic.TypeRecording {
		name, otherName = otherName, name
		v, other = other, v
	}
	if v.kind == 0 && other.kind != 0 {
		d.warn("%s is spelled %s in this event type; it counts all the same", otherName, name)
		name, v = otherName, other
	}
	if v.kind != kindString {
		return
	}
	text := v.text()
	if text == "Null" || text == "null" {
		return
	}
	if len(text) > MaxOUPath && utf8.RuneCountInString(text) > MaxOUPath {
		d.warn("%s is longer than %d characters, and is ignored: the record matches no scoped subscription", name, MaxOUPath)
		return
	}
	d.cdr.OUPath = d.storable(name, text)
}
