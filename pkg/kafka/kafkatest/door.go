package kafkatest

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Door asks who comes in by SASL for a password or a token, by any mechanism that
// shows it, and asks again when the session is over. Clients without SASL pass: they
// are the test's own.
type Door struct {
	accepted          atomic.Pointer[string]
	admitted, refused atomic.Int64
}

// Guard sets a door up, whose sessions last so long.
func (b *Broker) Guard(accepted string, session time.Duration) *Door {
	d := &Door{}
	d.Change(accepted)
	b.Cluster().ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster().KeepControl()
		response := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		response.SupportedMechanisms = []string{"PLAIN", "OAUTHBEARER"}
		return response, nil, true
	})
	b.Cluster().ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster().KeepControl()
		response := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if bytes.Contains(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, []byte(*d.accepted.Load())) {
			d.admitted.Add(1)
			response.SessionLifetimeMillis = session.Milliseconds()
		} else {
			d.refused.Add(1)
			response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		}
		return response, nil, true
	})
	return d
}

// Change accepts another password or token from now on, and the former one no more.
func (d *Door) Change(accepted string) { d.accepted.Store(&accepted) }

// Refused counts those who were sent away.
func (d *Door) Refused() int64 { return d.refused.Load() }

// Admitted counts sessions begun or renewed.
func (d *Door) Admitted() int64 { return d.admitted.Load() }
