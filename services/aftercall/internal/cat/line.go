package cat

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
)

// line is one record as it is printed.
type line struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      string            `json:"time"`
	Key       string            `json:"key,omitempty"`
	Record    string            `json:"record,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Error     string            `json:"error,omitempty"`
}

// lineOf shows a record, masked.
func lineOf(r *kgo.Record) line {
	l := line{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Time: r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		Key:  strings.ToValidUTF8(string(r.Key), "\uFFFD"),
	}
	l.Record = record.Kind(r)
	if l.Record == "" {
		l.Headers = headersOf(r)
		l.Value = maskCDR(r.Value)
		return l
	}
	message, err := record.Open(r)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err == nil {
		l.Value, err = maskInternal(text)
	}
	if err != nil {
		l.Error = err.Error()
	}
	return l
}

// headersOf are an upstream record's headers; those that Aftercall does not know
// may hold anything and are masked.
func headersOf(r *kgo.Record) map[string]string {
	if len(r.Headers) == 0 {
		return nil
	}
	shown := map[string]string{}
	for _, h := range r.Headers {
		switch h.Key {
		case cdr.HeaderID, cdr.HeaderSource, cdr.HeaderType, cdr.HeaderTime, cdr.HeaderTenant, cdr.HeaderTraceparent, cdr.HeaderTarget:
			shown[h.Key] = strings.ToValidUTF8(string(h.Value), "\uFFFD")
		default:
			if utf8.ValidString(h.Key) {
				shown[h.Key] = "***"
			}
		}
	}
	return shown
}

// ofCall says whether a record is about a call, by any of its ids.
func ofCall(r *kgo.Record, id string) bool {
	if record.Kind(r) == "" {
		typeOfTopic := topic.Sources[r.Topic]
		if r.Topic == topic.CDRTest {
			typeOfTopic = ""
		}
		c, err := cdr.Decode(cdr.Input{Topic: r.Topic, TypeOfTopic: typeOfTopic, Key: r.Key, Value: r.Value, Timestamp: time.Now(), MaxBytes: len(r.Value)})
		return err == nil && (c.CallID == id || c.ScenarioID == id || c.ParentID == id)
	}
	message, err := record.Open(r)
	return err == nil && namesCall(message, id)
}

// namesCall looks at the fields that hold ids of calls, whatever the message.
func namesCall(m proto.Message, id string) bool {
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch f.Name() {
		case "call_id", "scenario_id", "parent_id":
			if m.ProtoReflect().Get(f).String() == id {
				return true
			}
		}
	}
	return false
}
