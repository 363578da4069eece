package secret

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// rotated is a keyset, the same with a second key as the primary one, and that
// without the first.
func rotated(t *testing.T) (before, during, after *Keyset) {
	t.Helper()
	must := func(data []byte, err error) ([]byte, *Keyset) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		k, err := Open(data)
		if err != nil {
			t.Fatal(err)
		}
		return data, k
	}
	one, before := must(NewKeyset())
	two, id, err := WithNewKey(one)
	if err != nil {
		t.Fatal(err)
	}
	three, during := must(WithPrimary(two, id))
	_, after = must(WithoutKey(three, before.PrimaryKeyID()))
	return before, during, after
}

func sealed(t *testing.T, k *Keyset) *subscription.Subscription {
	t.Helper()
	seal := func(field, plain string) []byte {
		out, err := k.Seal("sub_1", field, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return &subscription.Subscription{
		ID: "sub_1", Version: 7, SealedSecret: seal(FieldSecret, "current"), SealedPreviousSecret: seal(FieldPreviousSecret, "previous"),
		SealedAbpSecret: seal(FieldAbpSecret, "abp"),
		Headers: []subscription.Header{
			{Name: "X-Plain", Value: "plain"},
			{Name: "Authorization", Secret: true, Sealed: seal(HeaderField("Authorization"), "header")},
		},
	}
}

func TestWhatIsSealedAgainOpensWithoutTheOldKey(t *testing.T) {
	before, during, after := rotated(t)
	s := sealed(t, before)
	original := sealed(t, before)
	*original = *s
	original.Headers = append([]subscription.Header(nil), s.Headers...)

	out, changed, err := Reseal(s, during)
	if err != nil || !changed || out == s {
		t.Fatalf("changed %v: %v", changed, err)
	}
	if !reflect.DeepEqual(s, original) {
		t.Error("the subscription given was changed")
	}
	for field, c := range map[string]struct {
		sealed []byte
		want   string
	}{
		FieldSecret: {out.SealedSecret, "current"}, FieldPreviousSecret: {out.SealedPreviousSecret, "previous"},
		FieldAbpSecret: {out.SealedAbpSecret, "abp"}, HeaderField("authorization"): {out.Headers[1].Sealed, "header"},
	} {
		plain, err := after.Unseal("sub_1", field, c.sealed)
		if err != nil || string(plain) != c.want {
			t.Errorf("%s: %q, %v", field, plain, err)
		}
	}
	if out.Version != 7 || out.Headers[0].Value != "plain" {
		t.Errorf("%+v", out)
	}
}

func TestNothingIsSealedTwiceUnderTheSameKey(t *testing.T) {
	before, during, _ := rotated(t)
	s := sealed(t, before)
	if out, changed, err := Reseal(s, before); err != nil || changed || out != s {
		t.Errorf("changed %v: %v", changed, err)
	}
	once, _, err := Reseal(s, during)
	if err != nil {
		t.Fatal(err)
	}
	if out, changed, err := Reseal(once, during); err != nil || changed || out != once {
		t.Errorf("changed %v: %v", changed, err)
	}
	// Only what is old changes.
	mixed := *once
	mixed.SealedAbpSecret = s.SealedAbpSecret
	out, changed, err := Reseal(&mixed, during)
	if err != nil || !changed || !bytes.Equal(out.SealedSecret, once.SealedSecret) || bytes.Equal(out.SealedAbpSecret, s.SealedAbpSecret) {
		t.Errorf("changed %v: %v", changed, err)
	}
	if out, changed, err := Reseal(&subscription.Subscription{ID: "sub_2"}, during); err != nil || changed || out.ID != "sub_2" {
		t.Errorf("without secrets: changed %v: %v", changed, err)
	}
}

func TestWhatCannotBeOpenedStaysAsItIs(t *testing.T) {
	before, _, after := rotated(t)
	s := sealed(t, before)
	if out, changed, err := Reseal(s, after); !errors.Is(err, ErrWrongKey) || changed || out != s {
		t.Errorf("changed %v: %v", changed, err)
	}
	s.SealedSecret = []byte("plain text")
	if _, changed, err := Reseal(s, before); !errors.Is(err, ErrNotSealed) || changed {
		t.Errorf("changed %v: %v", changed, err)
	}
}
