package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// CreateSubscription adds a subscription as it is given, with its ID, Version
// and times. ErrExists when the id is taken.
func (d *DB) CreateSubscription(ctx context.Context, s *subscription.Subscription, a Actor) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		body, err := encodeSubscription(s)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into subscriptions (id, version, tenant, name, endpoint, active, deleted, body, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, s.ID, s.Version, s.Tenant, Clean(s.Name), Clean(s.Endpoint), s.Active, s.Deleted, body,
			d.stamp(s.CreatedAt), d.stamp(s.UpdatedAt))
		if err != nil {
			return err
		}
		return d.recordVersion(ctx, tx, s, body, a, "subscription.created")
	})
	if d.engine.Conflict(err) {
		return ErrExists
	}
	return wrap("creating subscription", err)
}

// UpdateSubscription replaces a subscription whose version is ifVersion.
// s.Version must be above it: one above in an ordinary change. ErrVersion when
// the version is another one, ErrNotFound when it is absent or deleted.
func (d *DB) UpdateSubscription(ctx context.Context, s *subscription.Subscription, ifVersion int64, a Actor) error {
	return wrap("updating subscription", d.write(ctx, func(tx *sql.Tx) error {
		return d.replace(ctx, tx, s, ifVersion, a, "subscription.updated")
	}))
}

// DeleteSubscription turns a subscription into a tombstone of the next version
// and answers it. ifVersion 0 deletes whatever version is there. ErrVersion,
// ErrNotFound as with UpdateSubscription.
func (d *DB) DeleteSubscription(ctx context.Context, id string, ifVersion int64, a Actor) (*subscription.Subscription, error) {
	var tombstone *subscription.Subscription
	err := d.write(ctx, func(tx *sql.Tx) error {
		old, err := d.current(ctx, tx, id)
		if err != nil {
			return err
		}
		if old.Deleted {
			return ErrNotFound
		}
		if ifVersion != 0 && old.Version != ifVersion {
			return ErrVersion
		}
		tombstone = &subscription.Subscription{
			ID: old.ID, Version: old.Version + 1, Tenant: old.Tenant, Name: old.Name, CreatedAt: old.CreatedAt, UpdatedAt: d.timestamp(), Deleted: true,
		}
		return d.replace(ctx, tx, tombstone, old.Version, a, "subscription.deleted")
	})
	if err != nil {
		return nil, wrap("deleting subscription", err)
	}
	return tombstone, nil
}

// RaiseSubscriptionVersion gives a subscription, deleted ones too, a version
// above its present one and changes nothing else: for a publisher that finds a
// later version in the topic than in a restored database. ErrVersion when the
// present version is that high already.
func (d *DB) RaiseSubscriptionVersion(ctx context.Context, id string, version int64) (*subscription.Subscription, error) {
	var s *subscription.Subscription
	err := d.write(ctx, func(tx *sql.Tx) error {
		var err error
		if s, err = d.current(ctx, tx, id); err != nil {
			return err
		}
		old := s.Version
		if version <= old {
			return ErrVersion
		}
		s.Version = version
		return d.replace(ctx, tx, s, old, Actor{Name: "publisher", Kind: "system"}, "subscription.raised")
	})
	if err != nil {
		return nil, wrap("raising the version of a subscription", err)
	}
	return s, nil
}

// Subscription is one subscription as it is now. ErrNotFound when it is absent
// or deleted.
func (d *DB) Subscription(ctx context.Context, id string) (*subscription.Subscription, error) {
	s, err := d.current(ctx, d.sql, id)
	if err != nil {
		return nil, wrap("reading subscription", err)
	}
	if s.Deleted {
		return nil, ErrNotFound
	}
	return s, nil
}

// Subscriptions are all subscriptions, oldest first.
func (d *DB) Subscriptions(ctx context.Context, q SubscriptionQuery) ([]*subscription.Subscription, error) {
	where := ` where not deleted`
	if q.IncludeDeleted {
		where = ``
	}
	out := []*subscription.Subscription{}
	err := d.read(ctx, `select body from subscriptions`+where+` order by created_at, id`, nil, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		s, err := decodeSubscription(body)
		out = append(out, s)
		return err
	})
	if err != nil {
		return nil, wrap("reading subscriptions", err)
	}
	return out, nil
}

func (d *DB) replace(ctx context.Context, tx *sql.Tx, s *subscription.Subscription, ifVersion int64, a Actor, action string) error {
	if s.Version <= ifVersion {
		return fmt.Errorf("version %d does not follow %d", s.Version, ifVersion)
	}
	body, err := encodeSubscription(s)
	if err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, `update subscriptions set version = $1, tenant = $2, name = $3, endpoint = $4, active = $5, deleted = $6, body = $7, updated_at = $8
		where id = $9 and version = $10`, s.Version, s.Tenant, Clean(s.Name), Clean(s.Endpoint), s.Active, s.Deleted, body, d.stamp(s.UpdatedAt), s.ID, ifVersion)
	if err != nil {
		return err
	}
	if n, _ := res.RowsAffected(); n == 0 {
		old, err := d.current(ctx, tx, s.ID)
		switch {
		case err != nil:
			return err
		case old.Deleted:
			return ErrNotFound
		}
		return ErrVersion
	}
	return d.recordVersion(ctx, tx, s, body, a, action)
}

func (d *DB) recordVersion(ctx context.Context, tx *sql.Tx, s *subscription.Subscription, body []byte, a Actor, action string) error {
	_, err := tx.ExecContext(ctx, `insert into subscription_versions (subscription_id, version, body, actor, at) values ($1, $2, $3, $4, $5)`,
		s.ID, s.Version, body, Clean(a.Name), d.stamp(d.timestamp()))
	if err != nil {
		return err
	}
	return d.addAudit(ctx, tx, AuditEntry{
		Actor: a.Name, Kind: a.Kind, Address: a.Address, Action: action, Object: s.ID,
		Detail: map[string]string{"name": s.Name, "version": strconv.FormatInt(s.Version, 10)},
	})
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (d *DB) current(ctx context.Context, q queryer, id string) (*subscription.Subscription, error) {
	var body []byte
	err := q.QueryRowContext(ctx, `select body from subscriptions where id = $1`, CleanID(id)).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return decodeSubscription(body)
}

// encodeSubscription keeps a subscription as it is published.
func encodeSubscription(s *subscription.Subscription) ([]byte, error) {
	b, err := proto.Marshal(subscription.ToProto(s))
	if err != nil {
		return nil, fmt.Errorf("encoding subscription: %w", err)
	}
	return b, nil
}

func decodeSubscription(body []byte) (*subscription.Subscription, error) {
	var m aftercallv1.Subscription
	if err := proto.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("decoding subscription: %w", err)
	}
	return subscription.FromProto(&m), nil
}

// wrap says what was being done, but leaves the kinds that callers act on bare.
func wrap(doing string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrVersion), errors.Is(err, ErrExists):
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}
