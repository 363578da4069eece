// Package outbound holds the settings that sender and admin share: where webhooks
// may go, and the keyset that opens their secrets. Both judge an endpoint by the
// same rules: admin when it is saved, sender at every connection.
package outbound

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// Config of what goes out.
type Config struct {
	AllowAddresses []string `env:"ALLOW_ADDRESSES" envSeparator:","`
	DenyAddresses  []string `env:"DENY_ADDRESSES" envSeparator:","`
	AllowHTTP      bool     `env:"ALLOW_HTTP"`
	Keyset         string   `env:"KEYSET"`
}

// Policy is the address policy. The deployment's own addresses, host:port each,
// are denied whatever else is allowed; empty ones are left out.
func (c Config) Policy(own ...string) (*safedial.Policy, error) {
	deny := slices.DeleteFunc(slices.Concat(c.DenyAddresses, own), func(s string) bool { return s == "" })
	p, err := safedial.NewPolicy(safedial.Options{Allow: c.AllowAddresses, Deny: deny, AllowHTTPPort80: c.AllowHTTP})
	if err != nil {
		return nil, fmt.Errorf("reading AFTERCALL_ALLOW_ADDRESSES and AFTERCALL_DENY_ADDRESSES: %w", err)
	}
	return p, nil
}

// URLRules are the rules for an endpoint's URL that go with the policy.
func (c Config) URLRules(p *safedial.Policy) webhook.URLRules {
	ports, every := p.AllowedPorts()
	return webhook.URLRules{AllowHTTP: c.AllowHTTP, AllowPorts: ports, AllowAnyPort: every}
}

// Secrets opens the keyset.
func (c Config) Secrets() (*secret.Keyset, error) {
	if c.Keyset == "" {
		return nil, errors.New("AFTERCALL_KEYSET_FILE (or AFTERCALL_KEYSET) is not set: without the keyset no signing secret can be opened; " +
			"admin, projectors and senders need the same one")
	}
	k, err := secret.Open([]byte(c.Keyset))
	if err != nil {
		return nil, fmt.Errorf("opening AFTERCALL_KEYSET: %w", err)
	}
	return k, nil
}
