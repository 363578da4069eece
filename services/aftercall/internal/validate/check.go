package validate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

// Kinds of findings.
const (
	Rejected = "rejected"
	Warning  = "warning"
	Schema   = "schema"
)

// Finding is one thing said about a CDR.
type Finding struct {
	Kind string `json:"kind"`
	// Code of a rejection, else empty.
	Code string `json:"code,omitempty"`
	// Field is a JSON pointer or a header's name, empty for the whole.
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// Report is all that is said about one CDR.
type Report struct {
	File      string `json:"file"`
	EventType string `json:"event_type"`
	// Guessed: the event type was guessed from the properties.
	Guessed bool `json:"guessed,omitempty"`
	// EventID that the CDR would have without record headers, CallID and OUPath;
	// empty when it is rejected.
	EventID  string    `json:"event_id,omitempty"`
	CallID   string    `json:"call_id,omitempty"`
	OUPath   string    `json:"ou_path,omitempty"`
	Findings []Finding `json:"findings"`
}

// Deliverable says whether the router would take the CDR.
func (r Report) Deliverable() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == Rejected })
}

// Check looks at a value as the router would, without record headers. maxBytes 0
// is the default cap.
func Check(eventType string, value []byte, maxBytes int) (Report, error) {
	report := Report{EventType: eventType, Findings: []Finding{}}
	in := cdr.Input{TypeOfTopic: eventType, Value: value, Timestamp: time.Now(), MaxBytes: maxBytes}
	for name, t := range topic.Sources {
		if t == eventType {
			in.Topic = name
		}
	}
	switch {
	case eventType == topic.TypeTest:
		in.TypeOfTopic = "" // its topic takes every type
	case topic.IsSystem(eventType):
		in.Topic, in.TypeOfTopic = topic.CDRSystem, ""
		in.Headers = []cdr.Header{{Key: cdr.HeaderType, Value: []byte(eventType)}}
	}
	decoded, err := cdr.Decode(in)
	if rejected, ok := errors.AsType[*cdr.Rejected](err); ok {
		report.Findings = append(report.Findings, Finding{Rejected, rejected.Code, rejected.Field, rejected.Reason})
	} else {
		report.EventID, report.CallID, report.OUPath = decoded.EventID, decoded.CallID, decoded.OUPath
		for _, w := range decoded.Warnings {
			report.Findings = append(report.Findings, Finding{Kind: Warning, Reason: w})
		}
	}
	found, err := bySchema(eventType, value)
	if err != nil {
		return report, err
	}
	report.Findings = append(report.Findings, found...)
	return report, nil
}

// bySchema gives the findings of the full JSON Schema, none where value is no JSON:
// that is a rejection already.
func bySchema(eventType string, value []byte) ([]Finding, error) {
	text, ok := cdrschema.ByType(eventType)
	if !ok {
		return nil, fmt.Errorf("there is no schema of %s", eventType)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return nil, nil //nolint:nilerr // what is no JSON is a rejection already
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", eventType, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(eventType, document); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", eventType, err)
	}
	schema, err := compiler.Compile(eventType)
	if err != nil {
		return nil, fmt.Errorf("compiling the schema of %s: %w", eventType, err)
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](schema.Validate(instance))
	if !ok {
		return nil, nil
	}
	var findings []Finding
	var leaves func(e *jsonschema.ValidationError)
	english := message.NewPrinter(language.English)
	leaves = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			leaves(cause)
		}
		if len(e.Causes) == 0 {
			findings = append(findings, Finding{Kind: Schema, Field: pointer(e.InstanceLocation), Reason: e.ErrorKind.LocalizedString(english)})
		}
	}
	leaves(invalid)
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Reason, b.Reason))
	})
	return findings, nil
}

func pointer(location []string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, part := range location {
		b.WriteString("/" + escape.Replace(part))
	}
	return b.String()
}

// Guess finds the event type that a CDR's properties point to: the one whose own
// properties, which no other type has, stand in it.
func Guess(value []byte) (string, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return "", false
	}
	best, second, guess := 0, 0, ""
	for _, t := range cdrschema.Types() {
		if topic.IsSystem(t) {
			continue // nobody upstream produces it
		}
		score := 0
		for _, p := range cdrschema.Properties(t) {
			if _, there := members[p.Name]; there && own(t, p.Name) {
				score++
			}
		}
		if score > best {
			best, second, guess = score, best, t
		} else if score > second {
			second = score
		}
	}
	return guess, best > second
}

// own says whether a property stands in one event type only.
func own(eventType, name string) bool {
	for _, t := range cdrschema.Types() {
		if t != eventType && slices.ContainsFunc(cdrschema.Properties(t), func(p cdrschema.Property) bool { return p.Name == name }) {
			return false
		}
	}
	return true
}
