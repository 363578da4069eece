package store

import (
	"context"
	"fmt"
	"time"
)

// ExpirePayloads drops the payloads of events routed before a time. The events
// stay, and say that their payload has expired.
func (d *DB) ExpirePayloads(ctx context.Context, before time.Time) error {
	if _, err := d.writer.ExecContext(ctx, `delete from payloads where stored_at < $1`, d.stamp(before)); err != nil {
		return fmt.Errorf("expiring payloads: %w", err)
	}
	return nil
}
