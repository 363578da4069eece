package webhooks

import (
	"context"
	"errors"
	"net/http"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/stream"
)

// Listen begins a stream, or says why there is none now.
func (s *Service) Listen(ctx context.Context, r stream.Request) (*stream.Listener, error) {
	l, err := s.Live.Listen(ctx, r, s.patience())
	switch {
	case errors.Is(err, stream.ErrTooMany):
		return nil, problem.New(http.StatusServiceUnavailable, problem.CodeTooManyStreams, "As many streams are open as this process allows. Close one, or try again later.")
	case errors.Is(err, stream.ErrAway), errors.Is(err, stream.ErrClosed):
		return nil, problem.New(http.StatusServiceUnavailable, problem.CodeKafkaUnavailable, "The history cannot be read from Kafka right now. Try again soon.")
	}
	return l, err
}

// Allowed says whether whoever was found out, or not, may go on listening.
func Allowed(p *access.Principal, err error) error {
	var known *problem.Problem
	switch {
	case errors.Is(err, store.ErrNotFound), errors.As(err, &known) && known.Status == http.StatusUnauthorized:
		return stream.ErrEnded
	case err != nil:
		return err
	case !p.May(access.Read):
		return stream.ErrEnded
	}
	return nil
}
