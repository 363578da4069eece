package cdr

import (
	"slices"
	"strings"
	"sync"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

// field is what the decoder knows of a member of the outermost object.
type field struct {
	name string
	// bit is the field's own in a set of seen ones, 0 when the type's schema
	// does not name it.
	bit uint64
	// kinds that the schema allows.
	kinds kind
	// flag: a string has to be "True" or "False".
	flag bool
	use  use
}

// use says what the decoder takes from a field.
type use uint8

const (
	useNone use = iota
	useCallID
	useScenarioID
	useParentID
	useOUUpper // OUPath
	useOULower // OuPath
)

var used = map[string]use{
	"CallId": useCallID, "ScenarioId": useScenarioID, "ParentId": useParentID, "OUPath": useOUUpper, "OuPath": useOULower,
}

// fieldsByType are the schemas, boiled down to what one lookup per member can
// check. The zero type holds the fields that count in every type.
var fieldsByType = sync.OnceValue(func() map[string]map[string]field {
	all := map[string]map[string]field{}
	for _, eventType := range append(cdrschema.Types(), "") {
		fields := map[string]field{}
		for name, use := range used {
			fields[name] = field{name: name, use: use}
		}
		for i, p := range cdrschema.Properties(eventType) {
			f := field{name: p.Name, bit: 1 << i, flag: p.Kind == "flag", use: used[p.Name]}
			for _, t := range p.Types {
				f.kinds |= kindsOf[t]
			}
			fields[p.Name] = f
		}
		all[eventType] = fields
	}
	return all
})

// kindsOf are JSON Schema's types.
var kindsOf = map[string]kind{
	"string": kindString, "integer": kindInteger, "number": kindInteger | kindNumber,
	"boolean": kindBool, "null": kindNull, "array": kindArray, "object": kindObject,
}

// check says whether a value deviates from the schema, in what can be seen at a
// glance.
func (d *decoder) check(f field, v span) {
	if f.bit == 0 {
		return
	}
	if d.seen&f.bit != 0 {
		d.warn("%s stands more than once; the last one counts", f.name)
	}
	d.seen |= f.bit
	switch {
	case f.use == useCallID: // has rules of its own
	case v.kind&f.kinds == 0:
		d.warn("%s is %s; the schema has %s", f.name, v.kind, f.kinds.list())
	case f.flag && v.kind == kindString && v.text() != "True" && v.text() != "False":
		d.warn(`%s is neither "True" nor "False"`, f.name)
	}
}

// list names the kinds of a set.
func (k kind) list() string {
	var names []string
	for bit := kindString; bit <= kindObject && bit != 0; bit <<= 1 {
		if k&bit != 0 {
			names = append(names, bit.String())
		}
	}
	if k&kindNumber != 0 {
		names = slices.DeleteFunc(names, func(n string) bool { return n == kindInteger.String() })
		names[slices.Index(names, kindNumber.String())] = "a number"
	}
	return strings.Join(names, " or ")
}

// Known tells whether an event type has a schema.
func Known(eventType string) bool {
	_, ok := fieldsByType()[eventType]
	return ok && eventType != ""
}
