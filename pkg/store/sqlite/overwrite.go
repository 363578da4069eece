package sqlite

import (
	"context"
	"errors"
	"fmt"
)

// Overwrite leaves nothing in the files of what was deleted: the write-ahead log is
// moved into the database, which zeros what is free, and cut to nothing. A file that
// was begun before deleted content was overwritten is written anew, once.
func (e *engine) Overwrite(ctx context.Context) error {
	var since int
	if err := e.writer.QueryRowContext(ctx, `select count(*) from settings where name = 'overwritten'`).Scan(&since); err != nil {
		return fmt.Errorf("reading whether free room is overwritten: %w", err)
	}
	if since == 0 {
		if _, err := e.writer.ExecContext(ctx, `vacuum`); err != nil {
			return fmt.Errorf("writing the database anew: %w", err)
		}
		if _, err := e.writer.ExecContext(ctx, `insert into settings (name, value) values ('overwritten', x'01') on conflict do nothing`); err != nil {
			return fmt.Errorf("noting that free room is overwritten: %w", err)
		}
	}
	var busy, pages, moved int
	if err := e.writer.QueryRowContext(ctx, `pragma wal_checkpoint(truncate)`).Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("emptying the write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("emptying the write-ahead log: somebody reads from it")
	}
	return nil
}
