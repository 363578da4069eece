package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// A cursor is the base64 of: 8 bytes of a keyed digest, 8 bytes of the time in
// microseconds, the id. The digest covers the name of the list too, and its key
// is the store's own: a cursor serves every process on this store and no other.

const cursorMAC = 8

func (d *DB) makeCursor(list string, at time.Time, id string) (string, error) {
	key, err := d.cursorKey()
	if err != nil {
		return "", err
	}
	body := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro()))
	body = append(body, id...)
	return base64.RawURLEncoding.EncodeToString(append(cursorSum(key, list, body), body...)), nil
}

func (d *DB) openCursor(list, cursor string) (time.Time, string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < cursorMAC+8 {
		return time.Time{}, "", ErrCursor
	}
	key, err := d.cursorKey()
	if err != nil {
		return time.Time{}, "", err
	}
	sum, body := raw[:cursorMAC], raw[cursorMAC:]
	if !hmac.Equal(sum, cursorSum(key, list, body)) {
		return time.Time{}, "", ErrCursor
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(body))).UTC(), string(body[8:]), nil
}

func cursorSum(key []byte, list string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(list))
	h.Write([]byte{0})
	h.Write(body)
	return h.Sum(nil)[:cursorMAC]
}

// cursorKey is made by whoever needs it first.
func (d *DB) cursorKey() ([]byte, error) {
	d.keyMu.Lock()
	defer d.keyMu.Unlock()
	if d.key != nil {
		return d.key, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fresh := make([]byte, 32)
	rand.Read(fresh)
	var key []byte
	_, err := d.writer.ExecContext(ctx, `insert into settings (name, value) values ('cursor key', $1) on conflict do nothing`, fresh)
	if err == nil {
		err = d.sql.QueryRowContext(ctx, `select value from settings where name = 'cursor key'`).Scan(&key)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key of cursors: %w", err)
	}
	d.key = key
	return key, nil
}

// pageOf cuts a list read with one row too many, and makes the cursor of the
// next page from its last row.
func pageOf[T any](d *DB, list string, rows []T, limit int, key func(*T) (time.Time, string)) ([]T, string, error) {
	if len(rows) <= limit {
		return rows, "", nil
	}
	rows = rows[:limit]
	at, id := key(&rows[limit-1])
	next, err := d.makeCursor(list, at, id)
	return rows, next, err
}
