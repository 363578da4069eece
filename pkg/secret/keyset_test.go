package secret

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newKeyset(t *testing.T) ([]byte, *Keyset) {
	t.Helper()
	data, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	return data, k
}

func TestWhatIsSealedOpensForTheSameSubscriptionAndFieldOnly(t *testing.T) {
	_, k := newKeyset(t)
	plain := []byte("whsec_this-is-plain")
	sealed, err := k.Seal("sub_1", FieldSecret, plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, plain) {
		t.Fatal("the cipher text contains the plain text")
	}
	got, err := k.Unseal("sub_1", FieldSecret, sealed)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, other := range [][2]string{{"sub_2", FieldSecret}, {"sub_1", FieldPreviousSecret}, {"sub_1", HeaderField("Authorization")}} {
		if _, err := k.Unseal(other[0], other[1], sealed); !errors.Is(err, ErrNotAuthentic) {
			t.Errorf("%v: %v, want ErrNotAuthentic", other, err)
		}
	}
	for i := range sealed[tinkPrefix:] {
		altered := bytes.Clone(sealed)
		altered[tinkPrefix+i] ^= 1
		if _, err := k.Unseal("sub_1", FieldSecret, altered); !errors.Is(err, ErrNotAuthentic) {
			t.Fatalf("byte %d altered: %v, want ErrNotAuthentic", i, err)
		}
	}
}

func TestAnotherKeysetSaysThatItsKeyIsWrong(t *testing.T) {
	_, k := newKeyset(t)
	_, other := newKeyset(t)
	sealed, _ := k.Seal("sub_1", FieldSecret, []byte("plain"))
	_, err := other.Unseal("sub_1", FieldSecret, sealed)
	if !errors.Is(err, ErrWrongKey) {
		t.Fatalf("%v, want ErrWrongKey", err)
	}
	for _, garbage := range [][]byte{nil, {}, {1}, {1, 2, 3, 4, 5}, []byte("whsec_plain"), bytes.Repeat([]byte{0}, 100)} {
		if _, err := k.Unseal("sub_1", FieldSecret, garbage); !errors.Is(err, ErrNotSealed) {
			t.Errorf("%x: %v, want ErrNotSealed", garbage, err)
		}
	}
}

func TestDifferentPairsNeverShareTheirAssociatedData(t *testing.T) {
	_, k := newKeyset(t)
	if _, err := k.Seal("sub|header:a", "b", nil); err == nil {
		t.Error("an id with a separator is taken")
	}
	for _, pair := range [][2]string{{"", "secret"}, {"sub", ""}} {
		if _, err := k.Seal(pair[0], pair[1], nil); err == nil {
			t.Errorf("%q is taken", pair)
		}
	}
	// A header's name may contain the separator.
	sealed, err := k.Seal("sub", HeaderField("X|Y"), []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unseal("sub", HeaderField("x|y"), sealed); err != nil || string(got) != "v" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestARotationLosesNothing(t *testing.T) {
	data1, k1 := newKeyset(t)
	old, _ := k1.Seal("sub_1", FieldSecret, []byte("plain"))

	// Everyone learns the new key before anyone seals with it.
	data2, id, err := WithNewKey(data1)
	if err != nil {
		t.Fatal(err)
	}
	k2, err := Open(data2)
	if err != nil {
		t.Fatal(err)
	}
	if k2.PrimaryKeyID() != k1.PrimaryKeyID() || !k2.Has(id) || k1.Has(id) {
		t.Fatalf("primary %d, want %d; has the new key: %v", k2.PrimaryKeyID(), k1.PrimaryKeyID(), k2.Has(id))
	}
	data3, err := WithPrimary(data2, id)
	if err != nil {
		t.Fatal(err)
	}
	k3, err := Open(data3)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := k3.Seal("sub_1", FieldSecret, []byte("plain"))
	for name, k := range map[string]*Keyset{"before": k2, "after": k3} {
		for _, sealed := range [][]byte{old, fresh} {
			if got, err := k.Unseal("sub_1", FieldSecret, sealed); err != nil || string(got) != "plain" {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
	}
	if with, ok := SealedWith(fresh); !ok || with != id {
		t.Errorf("sealed with %d, want %d", with, id)
	}
	if with, _ := SealedWith(old); with != k1.PrimaryKeyID() {
		t.Errorf("sealed with %d, want %d", with, k1.PrimaryKeyID())
	}
	data4, err := WithoutKey(data3, k1.PrimaryKeyID())
	if err != nil {
		t.Fatal(err)
	}
	k4, err := Open(data4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k4.Unseal("sub_1", FieldSecret, old); !errors.Is(err, ErrWrongKey) {
		t.Errorf("%v, want ErrWrongKey", err)
	}
	if _, err := WithoutKey(data3, id); err == nil {
		t.Error("the primary key can be dropped")
	}
}

func TestWhatIsNoKeysetIsRefusedWithoutBeingRepeated(t *testing.T) {
	good, _ := newKeyset(t)
	for _, bad := range []string{"", "  \n", "hunter2", `{"password":"hunter2"}`, `[]`, `null`, string(good[:len(good)/2]), `{"primaryKeyId":1,"key":[]}`} {
		_, err := Open([]byte(bad))
		if !errors.Is(err, ErrKeyset) {
			t.Errorf("%q: %v, want ErrKeyset", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats it: %v", err)
		}
	}
}

func TestAKeyFileIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aftercall.key")
	k1, created, err := OpenOrCreateFile(path)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	k2, created, err := OpenOrCreateFile(path)
	if err != nil || created || k2.PrimaryKeyID() != k1.PrimaryKeyID() {
		t.Fatalf("created %v, %v", created, err)
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAKeyFileThatOthersCanReadIsRefusedWithWhatToDo(t *testing.T) {
	for _, mode := range []os.FileMode{0o604, 0o640, 0o644, 0o660} {
		path := filepath.Join(t.TempDir(), "aftercall.key")
		if _, _, err := OpenOrCreateFile(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := OpenOrCreateFile(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestADamagedKeyFileIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aftercall.key")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenOrCreateFile(path); !errors.Is(err, ErrKeyset) {
		t.Fatalf("%v, want ErrKeyset", err)
	}
	if data, _ := os.ReadFile(path); len(data) != 0 {
		t.Fatal("the file was replaced")
	}
}

func TestANewKeyFileNeverReplacesOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aftercall.key")
	k1, err := CreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateFile(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want fs.ErrExist", err)
	}
	if k2, _, err := OpenOrCreateFile(path); err != nil || k2.PrimaryKeyID() != k1.PrimaryKeyID() {
		t.Errorf("the key was replaced: %v", err)
	}
	if _, err := CreateFile(filepath.Join(t.TempDir(), "no", "folder")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

func TestProcessesThatMakeTheKeyFileAtOnceShareIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aftercall.key")
	var wg sync.WaitGroup
	ids := make([]uint32, 8)
	made := make([]bool, len(ids))
	for i := range ids {
		wg.Go(func() {
			k, created, err := OpenOrCreateFile(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i], made[i] = k.PrimaryKeyID(), created
		})
	}
	wg.Wait()
	makers := 0
	for i := range ids {
		if ids[i] != ids[0] {
			t.Errorf("keys %v", ids)
		}
		if made[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d made it, want 1", makers)
	}
}
