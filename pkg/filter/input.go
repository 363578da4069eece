package filter

import (
	"bytes"
	"encoding/json"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// Names that expressions know.
const (
	nameCDR        = "cdr"
	nameEvent      = "event"
	nameOccurredAt = nameEvent + ".occurred_at"
)

// envelopeTexts are the fields of event that are texts.
var envelopeTexts = []string{"type", "call_id", "scenario_id", "parent_id", "ou_path", "source", "tenant"}

// Envelope is what is known of an event beside its record.
type Envelope struct {
	Type, CallID, ScenarioID, ParentID, OUPath, Source, Tenant string
	OccurredAt                                                 time.Time
}

// Input is one event, for any number of filters: its record is decoded when the
// first filter asks for it, and only then. It serves one goroutine at a time.
type Input struct {
	payload  []byte
	envelope Envelope
	record   *record
	// broken: the record is one that CDRs allow and filters do not.
	broken bool
}

// NewInput makes the input of a CDR. The payload is not changed, nor kept beyond
// the Input's own life.
func NewInput(payload []byte, e Envelope) *Input { return &Input{payload: payload, envelope: e} }

// ResolveName makes an Input what CEL evaluates over.
func (in *Input) ResolveName(name string) (any, bool) {
	switch name {
	case nameCDR:
		return in.decoded(), true
	case nameOccurredAt:
		return types.Timestamp{Time: in.envelope.OccurredAt.UTC()}, true
	case "event.type":
		return types.String(in.envelope.Type), true
	case "event.call_id":
		return types.String(in.envelope.CallID), true
	case "event.scenario_id":
		return types.String(in.envelope.ScenarioID), true
	case "event.parent_id":
		return types.String(in.envelope.ParentID), true
	case "event.ou_path":
		return types.String(in.envelope.OUPath), true
	case "event.source":
		return types.String(in.envelope.Source), true
	case "event.tenant":
		return types.String(in.envelope.Tenant), true
	}
	return nil, false
}

// Parent of the activation: none.
func (in *Input) Parent() interpreter.Activation { return nil }

func (in *Input) decoded() *record {
	if in.record != nil {
		return in.record
	}
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(in.payload))
	// A number may be larger than a float64 holds.
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		in.broken = true
		members = nil
	}
	normalize(members)
	in.record = newRecord(members)
	return in.record
}
