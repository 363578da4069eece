package kafka

import (
	"context"
	"net"

	"github.com/twmb/franz-go/pkg/sasl"
)

// Dialer is how clients of other libraries connect: encrypted as the settings
// say, files read again for every connection. It is nil where theirs does.
func (s Security) Dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.dial(nil)
}

// SASL is the mechanism by which clients of other libraries authenticate, nil for
// none.
func (s Security) SASL() sasl.Mechanism { return s.authentication() }
