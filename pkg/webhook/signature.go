package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Names of the headers of Standard Webhooks 1.0.0.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Tolerance is how far a receiver's clock may be from a signature's timestamp,
// in both directions. It is what the published Standard Webhooks libraries use.
const Tolerance = 5 * time.Minute

// Why a request does not verify.
var (
	ErrUnsigned       = errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	ErrTimestamp      = errors.New("webhook-timestamp is not a number of seconds")
	ErrTooOld         = errors.New("webhook-timestamp is too old")
	ErrTooNew         = errors.New("webhook-timestamp is in the future")
	ErrWrongSignature = errors.New("no signature matches")
)

// signaturePrefix names the scheme: HMAC-SHA256 with a shared secret.
const signaturePrefix = "v1,"

// Sign signs one attempt: "v1," and the base64 of HMAC-SHA256 over
// "id.timestamp.body", keyed with the raw bytes that ParseSecret returns. The
// timestamp counts whole unix seconds, the same as in HeaderTimestamp.
func Sign(secret []byte, id string, ts time.Time, body []byte) string {
	return signaturePrefix + base64.StdEncoding.EncodeToString(mac(secret, id, strconv.FormatInt(ts.Unix(), 10), body))
}

// SignAll signs with every secret that is valid now, separated by spaces: during
// a rotation a receiver that knows either of them accepts the request.
func SignAll(secrets [][]byte, id string, ts time.Time, body []byte) string {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		signatures[i] = Sign(secret, id, ts, body)
	}
	return strings.Join(signatures, " ")
}

// Verify checks a received request as a receiver does: one of the signatures
// matches, and the timestamp is within Tolerance of now. id, timestamp and
// signature are the values of the three headers, as received.
func Verify(secret []byte, id, timestamp, signature string, body []byte, now time.Time) error {
	if id == "" || timestamp == "" || signature == "" {
		return ErrUnsigned
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrTimestamp, timestamp)
	}
	ts := time.Unix(seconds, 0)
	if ts.Before(now.Add(-Tolerance)) {
		return ErrTooOld
	}
	if ts.After(now.Add(Tolerance)) {
		return ErrTooNew
	}
	want := mac(secret, id, timestamp, body)
	for one := range strings.SplitSeq(signature, " ") {
		encoded, ok := strings.CutPrefix(one, signaturePrefix)
		if !ok {
			continue
		}
		got, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return ErrWrongSignature
}

func mac(secret []byte, id, timestamp string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(id))
	h.Write([]byte{'.'})
	h.Write([]byte(timestamp))
	h.Write([]byte{'.'})
	h.Write(body)
	return h.Sum(nil)
}
