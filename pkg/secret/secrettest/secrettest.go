// Package secrettest makes keysets for tests.
package secrettest

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/secret"
)

// Keyset is a new one.
func Keyset(t testing.TB) *secret.Keyset {
	t.Helper()
	text, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := secret.Open(text)
	if err != nil {
		t.Fatal(err)
	}
	return keyset
}
