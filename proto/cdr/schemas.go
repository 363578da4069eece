// Package cdrschema holds the JSON Schemas (draft 2020-12) of the call detail
// records that Aftercall takes and delivers, one for each event type, with a
// sample of each; and those of what Aftercall tells about itself (Aftercall.*).
//
// The names of properties are those of the reference, quirks of spelling
// included (TrasnferToId, OuPath): they are what stands on the wire. Types are
// loose on purpose, because the reference leaves them open: an id is a string or
// an integer, a duration or a score a number or a string, a flag "True", "False"
// or a boolean, and all but CallId may be null. Unknown properties are allowed
// and kept.
//
// Two keywords are our own: x-kind says what a property is (id, text, datetime,
// duration, score, count, flag, value, list), x-personal-data that it can hold
// data about a person, and of what sort (name, account, phone, input, speech).
package cdrschema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

//go:embed v1/*.schema.json v1/*.sample.json
var files embed.FS

// names of the files by event type, in the order of a call.
var names = []struct{ eventType, file string }{
	{"App.IvrWebhook", "ivr"},
	{"App.QueueWebhook", "queue"},
	{"App.AgentWebhook", "agent"},
	{"App.RecordingWebhook", "recording"},
	{"App.TestWebhook", "test"},
	{"Aftercall.EndpointFailing", "failing"},
	{"Aftercall.EndpointRecovered", "recovered"},
	{"Aftercall.EndpointDisabled", "disabled"},
	{"Aftercall.DeliveryGivenUp", "givenup"},
}

// Types lists the event types that have a schema.
func Types() []string {
	types := make([]string, len(names))
	for i, n := range names {
		types[i] = n.eventType
	}
	return types
}

// ByType is the schema of an event type.
func ByType(eventType string) (schema []byte, ok bool) { return read(eventType, "schema") }

// Sample is a realistic CDR of an event type, with an example of each property
// that usually has a value.
func Sample(eventType string) (cdr []byte, ok bool) { return read(eventType, "sample") }

// File is the name of an event type's schema below v1, empty for a type without
// one.
func File(eventType string) string {
	for _, n := range names {
		if n.eventType == eventType {
			return n.file + ".schema.json"
		}
	}
	return ""
}

func read(eventType, what string) ([]byte, bool) {
	for _, n := range names {
		if n.eventType == eventType {
			text, err := files.ReadFile("v1/" + n.file + "." + what + ".json")
			if err != nil {
				panic(fmt.Sprintf("cdrschema: reading an embedded file: %v", err))
			}
			return text, true
		}
	}
	return nil, false
}

// Property is one property of an event type.
type Property struct {
	// Name as it stands on the wire.
	Name        string `json:"-"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// Kind is id, text, datetime, duration, score, count, flag, value or list.
	Kind string `json:"x-kind"`
	// Types are JSON Schema's names of the types it may have.
	Types []string `json:"type"`
	// PersonalData is name, account, phone, input or speech where it can hold
	// data about a person, else empty.
	PersonalData string            `json:"x-personal-data"`
	Examples     []json.RawMessage `json:"examples"`
	// Items are the properties of a list's elements.
	Items []Property `json:"-"`
}

var parsed = sync.OnceValue(func() map[string][]Property {
	all := map[string][]Property{}
	for _, t := range Types() {
		text, _ := ByType(t)
		properties, err := parse(text)
		if err != nil {
			panic(fmt.Sprintf("cdrschema: parsing the embedded schema of %s: %v", t, err))
		}
		all[t] = properties
	}
	return all
})

// Properties lists the properties of an event type in the order of its schema,
// nil for a type without one. The list is shared: it must not be changed.
func Properties(eventType string) []Property { return parsed()[eventType] }

// PersonalData lists where a CDR of an event type can hold data about a person,
// as JSON pointers in which * stands for any element of a list
// ("/IvrInputs/*/ParameterValue").
func PersonalData(eventType string) []string {
	var pointers []string
	for _, p := range Properties(eventType) {
		if p.PersonalData != "" {
			pointers = append(pointers, "/"+p.Name)
		}
		for _, item := range p.Items {
			if item.PersonalData != "" {
				pointers = append(pointers, "/"+p.Name+"/*/"+item.Name)
			}
		}
	}
	return pointers
}

// Personal tells, for all event types at once, whether a property of this name
// can hold data about a person. It serves masking where the type is unknown.
func Personal(name string) bool { return personalNames()[name] }

var personalNames = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for _, properties := range parsed() {
		for _, p := range properties {
			if p.PersonalData != "" {
				all[p.Name] = true
			}
			for _, item := range p.Items {
				if item.PersonalData != "" {
					all[item.Name] = true
				}
			}
		}
	}
	return all
})

// parse reads the properties of an object's schema, in their order.
func parse(schema []byte) ([]Property, error) {
	var object struct {
		Properties json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(schema, &object); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(object.Properties))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var properties []Property
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var p struct {
			Property
			Items json.RawMessage `json:"items"`
		}
		if err := d.Decode(&p); err != nil {
			return nil, fmt.Errorf("reading property %v: %w", name, err)
		}
		p.Name = name.(string)
		if len(p.Items) > 0 {
			if p.Property.Items, err = parse(p.Items); err != nil {
				return nil, fmt.Errorf("reading the elements of %v: %w", name, err)
			}
		}
		properties = append(properties, p.Property)
	}
	return slices.Clip(properties), nil
}
