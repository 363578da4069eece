package cdr

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"io"
)

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// EventID is the identity of a CDR: "evt_" and the base32 of a SHA-256 over
// length-prefixed (tenant, source, event type, and either ce_id or, where the
// producer gave none, CallId and value). A record produced twice is therefore
// the same event, and a corrected one is a new event.
func EventID(tenant, source, eventType, ceID, callID string, value []byte) string {
	h := sha256.New()
	writeField(h, tenant)
	writeField(h, source)
	writeField(h, eventType)
	if ceID != "" {
		// The tag keeps a ce_id apart from a CallId that reads the same.
		writeField(h, "ce_id")
		writeField(h, ceID)
	} else {
		writeField(h, "call_id")
		writeField(h, callID)
		writeLength(h, len(value))
		h.Write(value)
	}
	var sum [sha256.Size]byte
	return "evt_" + lower32.EncodeToString(h.Sum(sum[:0]))
}

// DeliveryID is the identity of one delivery: "dlv_" and the base32 of 16 bytes
// of a SHA-256. It depends on nothing but its arguments, so that a delivery
// routed twice is one delivery. requestID is that of a resend or replay, and
// empty for what the router makes.
func DeliveryID(eventID, subscriptionID, cause, requestID string) string {
	h := sha256.New()
	writeField(h, eventID)
	writeField(h, subscriptionID)
	writeField(h, cause)
	writeField(h, requestID)
	var sum [sha256.Size]byte
	return "dlv_" + lower32.EncodeToString(h.Sum(sum[:0])[:16])
}

func writeField(h hash.Hash, s string) {
	writeLength(h, len(s))
	_, _ = io.WriteString(h, s) // a hash never fails
}

func writeLength(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}
