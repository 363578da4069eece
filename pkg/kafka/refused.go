package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrMadeAnew says that a topic is not the one any more that a client has read or
// written so far.
var ErrMadeAnew = errors.New("the topic was deleted and made again under us, and what was in it is gone: find out who did it; the next start reads the new one from its first record")

// Explained is err with what it means to whoever runs this, where the error of the
// broker does not say so.
func Explained(err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("%w: %w", ErrMadeAnew, err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("the brokers do not accept AFTERCALL_KAFKA_SASL_USERNAME and AFTERCALL_KAFKA_SASL_PASSWORD any more, which are read at a start: %w", err)
	}
	return err
}

// Denied says that the brokers do not let us do what we must, now and whenever we
// ask again.
func (c Config) Denied(err error) bool {
	for _, denied := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
	} {
		if errors.Is(err, denied) {
			return true
		}
	}
	return errors.Is(err, kerr.SaslAuthenticationFailed) && !c.TokenRefused(err)
}

// AskAgain is how long to wait before a broker is asked again that did not take our
// token.
const AskAgain = time.Second

// TokenRefused says that the brokers did not take our token. That passes: it may be
// renewed any time, and is read again for every connection.
func (c Config) TokenRefused(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) && c.Security.mechanism() == mechanismOAuth
}
