package store

import (
	"context"
	"database/sql"
)

// SubscriptionNames are the names of all subscriptions by id, deleted ones too.
func (d *DB) SubscriptionNames(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	err := d.read(ctx, `select id, name from subscriptions`, nil, func(rows *sql.Rows) error {
		var id, name string
		err := rows.Scan(&id, &name)
		out[id] = name
		return err
	})
	return out, wrap("reading the names of subscriptions", err)
}
