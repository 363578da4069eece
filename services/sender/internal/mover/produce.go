package mover

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// produce writes records for as long as it takes. The client itself outlasts all
// that passes, but not a token that has expired and is renewed too late.
func (m *Mover) produce(ctx context.Context, records []*kgo.Record) error {
	for {
		var left []*kgo.Record
		var refused error
		for _, r := range m.client.ProduceSync(ctx, records...) {
			switch {
			case r.Err == nil:
			case m.config.TokenRefused(r.Err):
				left, refused = append(left, r.Record), r.Err
			default:
				return r.Err //nolint:wrapcheck // the caller says what it was for
			}
		}
		if len(left) == 0 {
			return nil
		}
		records = left
		m.logger.Warn("delay.produce.refused", zap.Int("records", len(left)), zap.Error(refused))
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the caller says what it was for
		case <-time.After(kafka.AskAgain):
		}
	}
}
