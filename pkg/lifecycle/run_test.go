package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aftercall/aftercall/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func untilCancelled(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRunEndsCleanlyWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := lifecycle.Run(ctx, map[string]func(context.Context) error{
		"router": untilCancelled,
		"sender": func(ctx context.Context) error { <-ctx.Done(); return nil },
	})
	if err != nil {
		t.Fatalf("want nil, got %v", err)
	}
}

func TestTheFirstDeathCancelsAllAndIsNamed(t *testing.T) {
	cause := errors.New("broker gone")
	stopped := make(chan struct{})
	err := lifecycle.Run(t.Context(), map[string]func(context.Context) error{
		"router": func(context.Context) error { return cause },
		"sender": func(ctx context.Context) error {
			<-ctx.Done()
			close(stopped)
			return ctx.Err()
		},
	})
	if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "router: ") {
		t.Fatalf("want the router's error under its name, got %v", err)
	}
	select {
	case <-stopped:
	default:
		t.Fatal("Run returned before the other part had stopped")
	}
}

func TestAPartThatEndsUnaskedIsAnError(t *testing.T) {
	err := lifecycle.Run(t.Context(), map[string]func(context.Context) error{
		"projector": func(context.Context) error { return nil },
		"sender":    untilCancelled,
	})
	if !errors.Is(err, lifecycle.ErrEnded) || !strings.HasPrefix(err.Error(), "projector: ") {
		t.Fatalf("want ErrEnded of the projector, got %v", err)
	}
}

func TestErrorsWhileStoppingAreReportedToo(t *testing.T) {
	first, second := errors.New("first"), errors.New("flushing")
	err := lifecycle.Run(t.Context(), map[string]func(context.Context) error{
		"a": func(context.Context) error { return first },
		"b": func(ctx context.Context) error { <-ctx.Done(); return second },
	})
	if !errors.Is(err, first) || !errors.Is(err, second) {
		t.Fatalf("want both errors, got %v", err)
	}
}

func TestRunWithoutPartsReturnsAtOnce(t *testing.T) {
	done := make(chan error, 1)
	go func() { done <- lifecycle.Run(t.Context(), nil) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}
