package postgres

import (
	"context"
	"fmt"
)

// Overwrite removes the versions of rows that nobody sees any more; autovacuum would
// wait until a fifth of a table is such. What the pages then hold in their free room,
// the log and its archive are the server's: see docs/operations.md.
func (e *engine) Overwrite(ctx context.Context) error {
	for _, table := range []string{"payloads", "events", "attempts", "deliveries", "rejections"} {
		if _, err := e.pool.ExecContext(ctx, `vacuum `+table); err != nil {
			return fmt.Errorf("vacuuming %s: %w", table, err)
		}
	}
	return nil
}
