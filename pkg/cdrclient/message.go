package cdrclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// CDR is one call detail record: a typed one, a Raw, or a Message around either.
type CDR interface {
	// EventType is App.QueueWebhook, App.IvrWebhook and so on.
	EventType() string
}

// Raw is a CDR that is JSON already. It is sent byte for byte.
type Raw struct {
	Type string
	JSON []byte
}

// EventType is r.Type.
func (r Raw) EventType() string { return r.Type }

// Message adds to a CDR what stands beside it in the record. All but CDR may be
// left out.
type Message struct {
	CDR CDR
	// ID identifies the record at its source. Where it is given, a second record
	// with the same ID is a repeat, whatever is in it, and a corrected CDR needs
	// an ID of its own. Where not, a repeat is a record with the same value.
	ID string
	// Time the call ended at. Otherwise EndDateTime is taken where it is RFC
	// 3339, else the time of sending.
	Time time.Time
	// Source and Tenant override those of the Config.
	Source string
	Tenant string
	// Traceparent is a W3C trace context that the webhooks carry on.
	Traceparent string
	// Test sends the CDR to the test topic: its webhooks are marked as tests, and
	// neither its CallId nor organization units matter.
	Test bool
}

// EventType is that of the CDR inside.
func (m Message) EventType() string {
	if m.CDR == nil {
		return ""
	}
	return m.CDR.EventType()
}

// Topics by event type, unless Config.Topics says otherwise.
var topics = map[string]string{
	"App.IvrWebhook":       "aftercall.cdr.ivr",
	"App.QueueWebhook":     "aftercall.cdr.queue",
	"App.AgentWebhook":     "aftercall.cdr.agent",
	"App.RecordingWebhook": "aftercall.cdr.recording",
	typeTest:               "aftercall.cdr.test",
}

const typeTest = "App.TestWebhook"

// encode is the JSON text of a CDR.
func encode(c CDR) ([]byte, error) {
	if raw, ok := c.(Raw); ok {
		return raw.JSON, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return nil, fmt.Errorf("encoding %T: %w", c, err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if replaced(text) {
		return nil, &InvalidError{"not_utf8", "", "a text in the CDR is not UTF-8"}
	}
	return text, nil
}

// replaced says whether encoding/json has put the escape \ufffd in the place of
// bytes that are not UTF-8: it writes the character itself where a text holds it.
// A CDR with a damaged name is refused, not sent damaged.
func replaced(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if bytes.HasPrefix(text[i+1:], []byte("ufffd")) {
				return true
			}
			i++ // past what is escaped
		}
	}
	return false
}

// record makes the Kafka message of a CDR, or says why it would be rejected.
func (c *Client) record(cdr CDR, now time.Time) (kafka.Message, string, error) {
	m, ok := cdr.(Message)
	if !ok {
		m = Message{CDR: cdr}
	}
	if m.CDR == nil {
		return kafka.Message{}, "", &InvalidError{"not_object", "", "there is no CDR"}
	}
	eventType := m.EventType()
	topicType := eventType
	if m.Test {
		topicType = typeTest
	}
	topic := c.config.Topics[topicType]
	if topic == "" {
		topic = topics[topicType]
	}
	if topic == "" {
		return kafka.Message{}, "", &InvalidError{"type_unknown", "ce_type", fmt.Sprintf("no topic is known for the event type %.64q; Config.Topics can name one", eventType)}
	}
	value, err := encode(m.CDR)
	if err != nil {
		return kafka.Message{}, "", err
	}
	found, err := inspect(topicType, value, c.config.MaxBytes)
	if err != nil {
		return kafka.Message{}, found.callID, err
	}
	if m.Source == "" {
		m.Source = c.config.Source
	}
	if m.Tenant == "" {
		m.Tenant = c.config.Tenant
	}
	if m.Time.IsZero() {
		if end, err := time.Parse(time.RFC3339, found.end); err == nil && end.Unix() > 0 && end.Year() <= 9999 {
			m.Time = end
		} else {
			m.Time = now
		}
	}
	record := kafka.Message{Topic: topic, Value: value, Time: now}
	if found.callID != "" {
		record.Key = []byte(found.callID)
	}
	for _, h := range []struct{ name, value string }{
		{"ce_id", m.ID},
		{"ce_source", m.Source},
		{"ce_type", eventType},
		{"ce_time", string(At(m.Time))},
		{"aftercall-tenant", m.Tenant},
		{"traceparent", m.Traceparent},
	} {
		if h.value == "" {
			continue
		}
		if err := checkHeader(h.name, h.value); err != nil {
			return kafka.Message{}, found.callID, err
		}
		record.Headers = append(record.Headers, kafka.Header{Key: h.name, Value: []byte(h.value)})
	}
	return record, found.callID, nil
}
