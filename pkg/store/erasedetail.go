package store

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/phone"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// EventWithout is an event's detail without what may repeat its payload: the texts
// of filter errors.
func EventWithout(detail []byte) []byte {
	var m aftercallv1.Event
	if err := proto.Unmarshal(detail, &m); err != nil {
		return []byte{}
	}
	for _, d := range m.GetDecisions() {
		d.Detail = ""
	}
	return marshalled(&m)
}

// AttemptWithout is an attempt's detail without what a receiver answered, and
// without headers that hold an erased number. It answers whether that changed it.
func (e *Erased) AttemptWithout(detail []byte, at time.Time) (out []byte, changed bool) {
	var m aftercallv1.Attempt
	if err := proto.Unmarshal(detail, &m); err != nil {
		return []byte{}, len(detail) > 0
	}
	m.ResponseBody, m.ResponseHeaders, m.ResponseTruncated, m.Error = nil, nil, false, ""
	kept := m.GetRequestHeaders()[:0]
	for _, h := range m.GetRequestHeaders() {
		if e.Number(phone.InText(h.GetValue()), at) == "" {
			kept = append(kept, h)
		}
	}
	m.RequestHeaders = kept
	out = marshalled(&m)
	return out, !bytes.Equal(out, detail)
}

// Attempt is the erasure that an attempt falls to, by its event, its call, and what
// was answered; or "". happened is when its call ended.
func (e *Erased) Attempt(eventID, callID string, detail []byte, started time.Time) (by string, happened time.Time) {
	happened = started
	var m aftercallv1.Attempt
	if err := proto.Unmarshal(detail, &m); err != nil {
		return "", happened
	}
	if m.GetOccurredAt() != nil {
		if t := CleanTime(m.GetOccurredAt().AsTime()); !t.IsZero() {
			happened = t
		}
	}
	if by = e.Event(eventID); by != "" {
		return by, happened
	}
	if by = e.Record(m.GetResponseBody(), happened, callID); by != "" {
		return by, happened
	}
	if len(e.numbers) == 0 {
		return "", happened
	}
	texts := []string{m.GetError()}
	for _, hs := range [][]*aftercallv1.HttpHeader{m.GetRequestHeaders(), m.GetResponseHeaders()} {
		for _, h := range hs {
			texts = append(texts, h.GetValue())
		}
	}
	for _, text := range texts {
		if by = e.Number(phone.InText(text), happened); by != "" {
			return by, happened
		}
	}
	return "", happened
}

func marshalled(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || b == nil {
		return []byte{}
	}
	return b
}
