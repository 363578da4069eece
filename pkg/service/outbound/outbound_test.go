package outbound_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/service/outbound"
)

func TestTheDeploymentsOwnAddressesAreDeniedWhateverIsAllowed(t *testing.T) {
	p, err := outbound.Config{AllowAddresses: []string{"10.2.0.0/16:*"}}.Policy("10.2.0.7:9092", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(netip.MustParseAddrPort("10.2.0.8:9092")); err != nil {
		t.Errorf("an allowed neighbour: %v", err)
	}
	if err := p.Check(netip.MustParseAddrPort("10.2.0.7:9092")); !errors.Is(err, safedial.ErrDenied) {
		t.Errorf("the broker: want denied, got %v", err)
	}
}

func TestAMissingKeysetSaysWhichVariable(t *testing.T) {
	if _, err := (outbound.Config{}).Secrets(); err == nil || !strings.Contains(err.Error(), "AFTERCALL_KEYSET_FILE") {
		t.Fatalf("got %v", err)
	}
	if _, err := (outbound.Config{Keyset: "hunter2"}).Secrets(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("want an error without the value, got %v", err)
	}
	keyset, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (outbound.Config{Keyset: string(keyset)}).Secrets(); err != nil {
		t.Fatal(err)
	}
}

func TestAnAllowListThatCannotBeReadNamesItsVariable(t *testing.T) {
	if _, err := (outbound.Config{AllowAddresses: []string{"everything"}}).Policy(); err == nil || !strings.Contains(err.Error(), "AFTERCALL_ALLOW_ADDRESSES") {
		t.Fatalf("got %v", err)
	}
}
