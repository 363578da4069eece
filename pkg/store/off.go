package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Off is when a subscription was switched off last, and on again.
type Off struct {
	// From is zero when it never was off; To is zero while it is.
	From, To time.Time
}

// LastOff reads it from the versions of a subscription.
func (d *DB) LastOff(ctx context.Context, id string) (Off, error) {
	var off Off
	done := errors.New("enough")
	err := d.read(ctx, `select body, at from subscription_versions where subscription_id = $1 order by version desc`, []any{CleanID(id)}, func(rows *sql.Rows) error {
		var body []byte
		var at time.Time
		if err := rows.Scan(&body, instant{&at}); err != nil {
			return err
		}
		s, err := decodeSubscription(body)
		switch {
		case err != nil:
			return err
		case !s.Active:
			off.From = at
		case off.From.IsZero():
			off.To = at
		default:
			return done
		}
		return nil
	})
	if err != nil && !errors.Is(err, done) {
		return Off{}, fmt.Errorf("reading when a subscription was off: %w", err)
	}
	if off.From.IsZero() {
		return Off{}, nil
	}
	return off, nil
}
