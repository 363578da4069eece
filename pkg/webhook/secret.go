package webhook

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// SecretPrefix starts every signing secret in its written form.
const SecretPrefix = "whsec_"

// Sizes of the random part of a signing secret, in bytes (Standard Webhooks:
// between 24 and 64).
const (
	MinSecretBytes = 24
	MaxSecretBytes = 64
	newSecretBytes = 32
)

// ErrSecret is what every error of ParseSecret is.
var ErrSecret = errors.New("invalid signing secret")

// AbpSecretPrefix starts every secret of FormatAbp.
const AbpSecretPrefix = "whs_"

// Lengths of what follows AbpSecretPrefix, in characters. ASP.NET Boilerplate
// makes 32; some people put their own in.
const (
	minAbpSecret = 16
	maxAbpSecret = 256
	newAbpBytes  = 16
)

// NewAbpSecret makes a secret for FormatAbp in the form of ASP.NET Boilerplate's
// own: whs_ and 32 hexadecimal digits. random is as in NewSecret.
func NewAbpSecret(random io.Reader) string {
	raw := make([]byte, newAbpBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		panic(fmt.Sprintf("webhook: reading randomness: %v", err))
	}
	return AbpSecretPrefix + hex.EncodeToString(raw)
}

// CheckAbpSecret tells whether a text can be the secret of FormatAbp, where it
// signs as it is, prefix included. The errors are ErrSecret and never repeat it.
func CheckAbpSecret(s string) error {
	rest, ok := strings.CutPrefix(s, AbpSecretPrefix)
	if !ok {
		return fmt.Errorf("%w: one of ASP.NET Zero starts with %q", ErrSecret, AbpSecretPrefix)
	}
	if len(rest) < minAbpSecret || len(rest) > maxAbpSecret {
		return fmt.Errorf("%w: %d to %d characters follow %q, here %d do", ErrSecret, minAbpSecret, maxAbpSecret, AbpSecretPrefix, len(rest))
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%w: it has a space, a control character or one beyond ASCII", ErrSecret)
	}
	return nil
}

// NewSecret makes a signing secret from 32 bytes of random, in its written form.
// random is crypto/rand.Reader everywhere but in tests; a source that cannot
// deliver is a panic, because no secret may ever be weaker than it looks.
func NewSecret(random io.Reader) string {
	raw := make([]byte, newSecretBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		panic(fmt.Sprintf("webhook: reading randomness: %v", err))
	}
	return SecretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// ParseSecret returns the raw bytes behind a written secret, for Sign and
// Verify. The errors never repeat the secret.
func ParseSecret(s string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(s, SecretPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: it starts with %q", ErrSecret, SecretPrefix)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	// DecodeString skips line breaks; the published libraries of other languages
	// do not agree on that.
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, fmt.Errorf("%w: what follows %q is base64 with padding", ErrSecret, SecretPrefix)
	}
	if len(raw) < MinSecretBytes || len(raw) > MaxSecretBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, and needs %d to %d of them",
			ErrSecret, len(raw), MinSecretBytes, MaxSecretBytes)
	}
	return raw, nil
}
