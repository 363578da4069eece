package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Digest is a keyed digest (HMAC-SHA256) of data for a purpose, and the id of the
// key under which it was made, the primary one. Without the keyset nobody can try
// out what the data was; digests for two purposes cannot be compared.
func (k *Keyset) Digest(purpose string, data []byte) (keyID uint32, sum []byte) {
	sum, _ = k.DigestWith(k.primary, purpose, data)
	return k.primary, sum
}

// DigestWith is Digest under another key; false when this keyset does not hold it.
func (k *Keyset) DigestWith(keyID uint32, purpose string, data []byte) (sum []byte, ok bool) {
	key, ok := k.macs[keyID]
	if !ok {
		return nil, false
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose))
	h.Write([]byte{0})
	h.Write(data)
	return h.Sum(nil), true
}

// macKeys derives a key for digests from each key that opens.
func macKeys(handle *keyset.Handle, ids map[uint32]bool) (map[uint32][]byte, error) {
	out := map[uint32][]byte{}
	for _, key := range insecurecleartextkeyset.KeysetMaterial(handle).GetKey() {
		if !ids[key.GetKeyId()] {
			continue
		}
		derived, err := hkdf.Key(sha256.New, key.GetKeyData().GetValue(), nil, "aftercall digests", sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("deriving the key of digests: %w", err)
		}
		out[key.GetKeyId()] = derived
	}
	return out, nil
}
