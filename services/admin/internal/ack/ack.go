// Package ack produces one record and waits for its acknowledgement, but no
// longer than the caller does.
package ack

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer is what *kgo.Client is.
type Producer interface {
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
}

// Wait returns nil when r is acknowledged, and with it r.Offset is set. When ctx
// ends before, its error is returned, and r may still be written: a record that
// was sent without an answer cannot be taken back. ProduceSync would wait for it
// for as long as Kafka is away.
func Wait(ctx context.Context, p Producer, r *kgo.Record) error {
	acked := make(chan error, 1)
	p.Produce(ctx, r, func(_ *kgo.Record, err error) { acked <- err })
	select {
	case err := <-acked:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
