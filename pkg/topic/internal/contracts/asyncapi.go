package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

const head = `# Written from pkg/topic, the JSON Schemas and the protobuf of this folder by
# "make generate"; do not edit.
`

// kinds are the internal records: the kind that the record's header names, the
// message of it, the file it stands in, and the topics that hold it.
var kinds = []struct {
	kind, message, file, title string
	topics                     []string
}{
	{"event/1", "Event", "event", "A CDR as the router took it", []string{topic.Events}},
	{"delivery/1", "Delivery", "delivery", "An event on its way to one subscription: the next attempt to make",
		append(append([]string{topic.Deliveries}, topic.DelayTopics()...), topic.GivenUp)},
	{"rejection/1", "Rejection", "rejection", "A record that cannot be a CDR, and why", []string{topic.Rejected}},
	{"attempt/1", "Attempt", "history", "One try, or an end without one", []string{topic.History}},
	{"deferral/1", "Deferral", "history", "Put off without a try, and why", []string{topic.History}},
	{"endpoint-change/1", "EndpointChange", "history", "An endpoint's state changed, as one sender sees it", []string{topic.History}},
	{"subscription/1", "Subscription", "subscription", "A webhook as administered", []string{topic.Subscriptions}},
	{"stop-retry/1", "StopRetry", "subscription", "Ends a waiting delivery; its key is stop/delivery_id", []string{topic.Subscriptions}},
	{"erasure/1", "Erasure", "subscription", "Personal data was erased; its key is erasure/ and the id", []string{topic.Subscriptions}},
}

// protoFiles are the files of the internal records, in the order of the flow.
var protoFiles = []string{"common", "event", "delivery", "rejection", "history", "subscription"}

func asyncAPI(root string) ([]byte, error) {
	channels, operations, messages, schemas := newObject(), newObject(), newObject(), newObject()
	for _, s := range topic.All() {
		channels.with(idOf(s.Name), channel(s))
	}
	for _, a := range topic.Accesses() {
		for _, t := range a.Reads {
			operations.with(a.Service+".receive."+idOf(t), operation("receive", a, t))
		}
		for _, t := range a.Writes {
			operations.with(a.Service+".send."+idOf(t), operation("send", a, t))
		}
	}
	for _, eventType := range cdrschema.Types() {
		m, err := cdrMessage(eventType)
		if err != nil {
			return nil, err
		}
		messages.with(eventType, m)
		schemas.with(eventType, newObject().
			with("schemaFormat", "application/schema+json;version=2020-12").
			with("schema", ref("cdr/v1/"+cdrschema.File(eventType))))
	}
	for _, k := range kinds {
		messages.with(k.message, newObject().
			with("name", k.message).
			with("title", k.title).
			with("contentType", "application/x-protobuf").
			with("headers", newObject().with("type", "object").with("required", []string{record.Header}).
				with("properties", newObject().with(record.Header, newObject().with("const", k.kind).
					with("description", "Kind and major version.")))).
			with("payload", ref("#/components/schemas/"+k.file+".proto")).
			with("x-protobuf-message", "aftercall.v1."+k.message))
	}
	for _, f := range protoFiles {
		text, err := os.ReadFile(filepath.Join(root, "proto", "aftercall", "v1", f+".proto"))
		if err != nil {
			return nil, fmt.Errorf("reading the protobuf: %w", err)
		}
		schemas.with(f+".proto", newObject().
			with("schemaFormat", "application/vnd.google.protobuf;version=3").
			with("schema", string(text)))
	}
	return newObject().
		with("asyncapi", "3.0.0").
		with("info", newObject().
			with("title", "Aftercall").
			with("version", "1.0.0").
			with("description", "Call-ended records (CDRs) come in on aftercall.cdr.*, one JSON object a record, by any\n"+
				"Kafka client. The other topics are Aftercall's own: protobuf, read with read_committed,\n"+
				"changed additively within a major version.\n").
			with("license", newObject().with("name", "Apache-2.0").with("url", "https://www.apache.org/licenses/LICENSE-2.0"))).
		with("defaultContentType", "application/json").
		with("servers", newObject().with("dev", newObject().
			with("host", "127.0.0.1:8421").with("protocol", "kafka").with("description", "The broker of aftercall dev."))).
		with("channels", channels).
		with("operations", operations).
		with("components", newObject().with("messages", messages).with("schemas", schemas)).
		bytes(head)
}

// idOf is the name of a topic without what all have in common.
func idOf(topicName string) string { return strings.TrimPrefix(topicName, "aftercall.") }

// messagesOf are the names of the messages that a topic holds.
func messagesOf(topicName string) []string {
	if eventType, ok := topic.Sources[topicName]; ok {
		switch topicName {
		case topic.CDRTest:
			// Any type, marked as a test; those of systems come by their own topic.
			return slices.DeleteFunc(cdrschema.Types(), topic.IsSystem)
		case topic.CDRSystem:
			return slices.DeleteFunc(cdrschema.Types(), func(t string) bool { return !topic.IsSystem(t) })
		}
		return []string{eventType}
	}
	var names []string
	for _, k := range kinds {
		if slices.Contains(k.topics, topicName) {
			names = append(names, k.message)
		}
	}
	return names
}

func channel(s topic.Spec) object {
	messages := newObject()
	for _, m := range messagesOf(s.Name) {
		messages.with(m, ref("#/components/messages/"+m))
	}
	settings := newObject()
	switch {
	case s.Compacted:
		settings.with("cleanup.policy", []string{"compact"})
	case s.Retention > 0:
		settings.with("cleanup.policy", []string{"delete"}).with("retention.ms", s.Retention.Milliseconds())
	}
	if !s.Upstream {
		settings.with("message.timestamp.type", "LogAppendTime")
	}
	o := newObject().with("address", s.Name)
	if s.Dwell > 0 {
		o.with("description", "Each record waits here for "+s.Name[strings.LastIndexByte(s.Name, '.')+1:]+".")
	}
	return o.with("messages", messages).
		with("bindings", newObject().with("kafka", newObject().
			with("topic", s.Name).
			with("partitions", int64(s.Partitions)).
			with("topicConfiguration", settings).
			with("bindingVersion", "0.5.0"))).
		with("x-key", string(s.Key))
}

func operation(action string, a topic.Access, topicName string) object {
	o := newObject().
		with("action", action).
		with("channel", ref("#/channels/"+idOf(topicName))).
		with("tags", []object{newObject().with("name", a.Service)})
	if group := a.Group(topicName); action == "receive" && group != "" {
		o.with("bindings", newObject().with("kafka", newObject().
			with("groupId", newObject().with("type", "string").with("const", group)).
			with("bindingVersion", "0.5.0")))
	}
	return o
}

// headers of a CDR, none of which has to be there.
var headers = []struct{ name, description string }{
	{cdr.HeaderID, "Identifies the record at its source."},
	{cdr.HeaderSource, "Names the producer."},
	{cdr.HeaderType, "The event type; must be that of the topic."},
	{cdr.HeaderTime, "When the call ended, RFC 3339 with a zone."},
	{cdr.HeaderTenant, "The tenant; default without."},
	{cdr.HeaderTarget, "On the test topic: the one subscription to send to."},
	{cdr.HeaderTraceparent, "W3C trace context, handed on with the webhook."},
}

func cdrMessage(eventType string) (object, error) {
	text, _ := cdrschema.ByType(eventType)
	var schema struct{ Title, Description string }
	if err := json.Unmarshal(text, &schema); err != nil {
		return object{}, fmt.Errorf("reading the schema of %s: %w", eventType, err)
	}
	sample, _ := cdrschema.Sample(eventType)
	properties := newObject()
	for _, h := range headers {
		properties.with(h.name, newObject().with("type", "string").with("description", h.description))
	}
	return newObject().
		with("name", eventType).
		with("title", schema.Title).
		with("summary", schema.Description).
		with("contentType", "application/json").
		with("headers", newObject().with("type", "object").with("properties", properties)).
		with("payload", ref("#/components/schemas/"+eventType)).
		with("examples", []object{newObject().with("payload", json.RawMessage(sample))}).
		with("bindings", newObject().with("kafka", newObject().
			with("key", newObject().with("type", "string").with("description", "The CallId; a record without a key is taken as well.")).
			with("bindingVersion", "0.5.0"))), nil
}
