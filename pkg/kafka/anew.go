package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrMadeAnew says that a topic is not the one any more that a client has read or
// written so far.
var ErrMadeAnew = errors.New("the topic was deleted and made again under us, and what was in it is gone: find out who did it; the next start reads the new one from its first record")

// Explained is err with what it means to whoever runs this, where the error of the
// broker does not say so.
func Explained(err error) error {
	if errors.Is(err, kerr.UnknownTopicID) && !errors.Is(err, ErrMadeAnew) {
		return fmt.Errorf("%w: %w", ErrMadeAnew, err)
	}
	return err
}
