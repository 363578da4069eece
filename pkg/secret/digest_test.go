package secret

import (
	"bytes"
	"testing"
)

func TestADigestIsTheSameForOneKeyPurposeAndTextOnly(t *testing.T) {
	data, k := newKeyset(t)
	id, sum := k.Digest("number", []byte("12025550142"))
	if again, ok := k.DigestWith(id, "number", []byte("12025550142")); !ok || !bytes.Equal(again, sum) || id != k.PrimaryKeyID() || len(sum) != 32 {
		t.Fatalf("%x, then %x", sum, again)
	}
	if _, other := k.Digest("call", []byte("12025550142")); bytes.Equal(other, sum) {
		t.Error("two purposes have one digest")
	}
	rotated, newID, err := WithNewKey(data)
	if err == nil {
		rotated, err = WithPrimary(rotated, newID)
	}
	if err != nil {
		t.Fatal(err)
	}
	after, err := Open(rotated)
	if err != nil {
		t.Fatal(err)
	}
	// What was made before a rotation is still known after it.
	if old, ok := after.DigestWith(id, "number", []byte("12025550142")); !ok || !bytes.Equal(old, sum) {
		t.Errorf("after a rotation %x, %v", old, ok)
	}
	if now, fresh := after.Digest("number", []byte("12025550142")); now != newID || bytes.Equal(fresh, sum) {
		t.Errorf("the new key makes %x under %d", fresh, now)
	}
	_, stranger := newKeyset(t)
	if _, ok := stranger.DigestWith(id, "number", nil); ok {
		t.Error("a key that is not held makes a digest")
	}
}
