package secret

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Fields of a subscription that are sealed.
const (
	FieldSecret         = "secret"
	FieldPreviousSecret = "previous_secret"
	FieldAbpSecret      = "abp_secret"
)

// HeaderField is the field of an Additional Webhook Header.
func HeaderField(name string) string { return "header:" + strings.ToLower(name) }

// Why something cannot be opened.
var (
	// ErrWrongKey: it was sealed with a key that this keyset does not hold. The
	// data may be intact; this process needs the right keyset.
	ErrWrongKey = errors.New("sealed with a key that this keyset does not hold")
	// ErrNotAuthentic: the key is there, but this is not what was sealed with it
	// for this subscription and field: altered, damaged, or of another field.
	ErrNotAuthentic = errors.New("not what was sealed for this subscription and field")
	// ErrNotSealed: it is not cipher text of a keyset.
	ErrNotSealed = errors.New("not sealed")
	// ErrKeyset: it is not a keyset that can be used here.
	ErrKeyset = errors.New("invalid keyset")
)

const (
	aesGCM      = "type.googleapis.com/google.crypto.tink.AesGcmKey"
	tinkVersion = 0x01
	// tinkPrefix is how many bytes Tink puts before the cipher text: its version
	// and the id of the key.
	tinkPrefix = 5
)

// Keyset seals and opens. It is safe for concurrent use, and never changes.
type Keyset struct {
	aead    tink.AEAD
	primary uint32
	ids     map[uint32]bool
	macs    map[uint32][]byte
}

// NewKeyset makes a keyset with one new key, in the JSON form for a file or
// variable. Whoever has it can open everything: keep it as a password.
func NewKeyset() ([]byte, error) {
	manager := keyset.NewManager()
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("making a keyset: %w", err)
	}
	return write(manager)
}

// WithNewKey returns the keyset with one more key, which is not the primary one
// yet, and that key's id.
func WithNewKey(keysetJSON []byte) ([]byte, uint32, error) {
	manager, err := managerOf(keysetJSON)
	if err != nil {
		return nil, 0, err
	}
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, 0, fmt.Errorf("making a key: %w", err)
	}
	out, err := write(manager)
	return out, id, err
}

// WithPrimary returns the keyset with another of its keys as the primary one.
func WithPrimary(keysetJSON []byte, id uint32) ([]byte, error) {
	manager, err := managerOf(keysetJSON)
	if err != nil {
		return nil, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("making key %d the primary one: %w", id, err)
	}
	return write(manager)
}

// WithoutKey returns the keyset without one of its keys, which is not the primary
// one. What is still sealed with it is lost.
func WithoutKey(keysetJSON []byte, id uint32) ([]byte, error) {
	manager, err := managerOf(keysetJSON)
	if err != nil {
		return nil, err
	}
	if err := manager.Delete(id); err != nil {
		return nil, fmt.Errorf("dropping key %d: %w", id, err)
	}
	return write(manager)
}

// Open reads a keyset. The errors contain nothing of it.
func Open(keysetJSON []byte) (*Keyset, error) {
	handle, err := handleOf(keysetJSON)
	if err != nil {
		return nil, err
	}
	k := &Keyset{ids: map[uint32]bool{}}
	info := handle.KeysetInfo()
	k.primary = info.GetPrimaryKeyId()
	for _, key := range info.GetKeyInfo() {
		if key.GetTypeUrl() != aesGCM || key.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			return nil, fmt.Errorf("%w: key %d is not AES-GCM with Tink's prefix; make one with `aftercall keyset new FILE`", ErrKeyset, key.GetKeyId())
		}
		if key.GetStatus() == tinkpb.KeyStatusType_ENABLED {
			k.ids[key.GetKeyId()] = true
		}
	}
	if k.aead, err = aead.New(handle); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyset, err)
	}
	if k.macs, err = macKeys(handle, k.ids); err != nil {
		return nil, err
	}
	return k, nil
}

// PrimaryKeyID is the id of the key that seals.
func (k *Keyset) PrimaryKeyID() uint32 { return k.primary }

// KeyIDs are the ids of the keys that open, in ascending order.
func (k *Keyset) KeyIDs() []uint32 { return slices.Sorted(maps.Keys(k.ids)) }

// Has tells whether the keyset can open what was sealed with a key.
func (k *Keyset) Has(keyID uint32) bool { return k.ids[keyID] }

// Seal encrypts plain for one field of one subscription, under the primary key.
func (k *Keyset) Seal(subscriptionID, field string, plain []byte) ([]byte, error) {
	data, err := associated(subscriptionID, field)
	if err != nil {
		return nil, err
	}
	sealed, err := k.aead.Encrypt(plain, data)
	if err != nil {
		return nil, fmt.Errorf("sealing %s of %s: %w", field, subscriptionID, err)
	}
	return sealed, nil
}

// Unseal opens what Seal made for the same subscription and field. The error is
// ErrNotSealed, ErrWrongKey or ErrNotAuthentic.
func (k *Keyset) Unseal(subscriptionID, field string, sealed []byte) ([]byte, error) {
	data, err := associated(subscriptionID, field)
	if err != nil {
		return nil, err
	}
	id, ok := SealedWith(sealed)
	if !ok {
		return nil, fmt.Errorf("unsealing %s of %s: %w", field, subscriptionID, ErrNotSealed)
	}
	if !k.ids[id] {
		return nil, fmt.Errorf("unsealing %s of %s: %w (key %d)", field, subscriptionID, ErrWrongKey, id)
	}
	plain, err := k.aead.Decrypt(sealed, data)
	if err != nil {
		// Tink's own error says no more than that.
		return nil, fmt.Errorf("unsealing %s of %s: %w", field, subscriptionID, ErrNotAuthentic)
	}
	return plain, nil
}

// SealedWith is the id of the key that something was sealed with; false when it
// is not cipher text of a keyset.
func SealedWith(sealed []byte) (keyID uint32, ok bool) {
	if len(sealed) <= tinkPrefix || sealed[0] != tinkVersion {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:tinkPrefix]), true
}

// associated is the associated data. Neither part may contain the separator: two
// different pairs never make the same data.
func associated(subscriptionID, field string) ([]byte, error) {
	// A header's name may contain the separator (RFC 9110 section 5.6.2), so it
	// is the first part that may not.
	if subscriptionID == "" || field == "" || strings.Contains(subscriptionID, "|") {
		return nil, fmt.Errorf("sealing needs a subscription id without | and a field: %q, %q", subscriptionID, field)
	}
	return []byte(subscriptionID + "|" + field), nil
}

func handleOf(keysetJSON []byte) (*keyset.Handle, error) {
	// Tink's reader echoes what it cannot parse: say the likely causes instead.
	if len(bytes.TrimSpace(keysetJSON)) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrKeyset)
	}
	if !json.Valid(keysetJSON) {
		return nil, fmt.Errorf("%w: it is not JSON", ErrKeyset)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetJSON)))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a Tink keyset in JSON with a primary key", ErrKeyset)
	}
	return handle, nil
}

func managerOf(keysetJSON []byte) (*keyset.Manager, error) {
	handle, err := handleOf(keysetJSON)
	if err != nil {
		return nil, err
	}
	return keyset.NewManagerFromHandle(handle), nil
}

func write(manager *keyset.Manager) ([]byte, error) {
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("making a keyset: %w", err)
	}
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out)); err != nil {
		return nil, fmt.Errorf("writing a keyset: %w", err)
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
}
