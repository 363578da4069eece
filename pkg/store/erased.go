package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aftercall/aftercall/pkg/phone"
)

// Digester makes the keyed digests under which the store remembers what was
// erased; *secret.Keyset is one.
type Digester interface {
	// Digest is a digest of data for a purpose, and the id of its key.
	Digest(purpose string, data []byte) (keyID uint32, sum []byte)
	// DigestWith is Digest under that key; false when it is not held.
	DigestWith(keyID uint32, purpose string, data []byte) (sum []byte, ok bool)
}

// ErrErasureKey says that the store holds erasures that this process cannot
// recognise: without the key of their digests it would bring back what was erased.
var ErrErasureKey = errors.New("erasures were made under a key that this process does not hold; give it the deployment's keyset (AFTERCALL_KEYSET_FILE)")

// Tx is a transaction, whichever driver runs it.
type Tx interface {
	Exec(ctx context.Context, text string, args ...any) (int64, error)
	Query(ctx context.Context, text string, args []any, scan func(Row) error) error
	// Time is t as an argument.
	Time(t time.Time) any
	// Dialect is "postgres" or "sqlite".
	Dialect() string
}

// Row is a row of an answer.
type Row interface{ Scan(into ...any) error }

// Purposes of digests, which are also the kinds of keys.
const (
	keyNumber = "number"
	keyCall   = "call"
)

// Eraser remembers, between transactions, what was erased.
type Eraser struct {
	mu       sync.Mutex
	digester Digester
	revision int64
	known    *Erased
}

// SetDigester gives the store the keys of digests.
func (d *DB) SetDigester(k Digester) {
	d.eraser.mu.Lock()
	defer d.eraser.mu.Unlock()
	d.eraser.digester, d.eraser.known = k, nil
}

func (e *Eraser) keys() Digester {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.digester
}

// Known is what was erased, as of this transaction. To read it first makes an
// erasure that begins meanwhile wait for the transaction's end, so that it finds
// what the transaction wrote.
func (e *Eraser) Known(ctx context.Context, tx Tx) (*Erased, error) {
	var revision int64
	err := tx.Query(ctx, `select coalesce(max(revision), 0) from erasures`, nil, func(r Row) error { return r.Scan(&revision) })
	if err != nil {
		return nil, fmt.Errorf("reading erasures: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if revision == 0 {
		e.known = nil // revisions begin anew when all are pruned
		return &Erased{}, nil
	}
	if e.known == nil || e.revision != revision {
		known, err := loadErased(ctx, tx, e.digester, `select id from erasures where state in ('running', 'done')`)
		if err != nil {
			return nil, err
		}
		e.known, e.revision = known, revision
	}
	out := *e.known
	out.sums = map[string][][]byte{}
	return &out, nil
}

// Erased recognises what was erased. It is for one goroutine.
type Erased struct {
	digester Digester
	keyIDs   []uint32
	numbers  map[string]span
	calls    map[string][]span
	events   map[string]string
	sums     map[string][][]byte
}

// span is when a record must have happened to be concerned.
type span struct {
	from, to time.Time
	erasure  string
}

func (s span) holds(t time.Time) bool {
	return !t.Before(s.from) && (s.to.IsZero() || !t.After(s.to))
}

func loadErased(ctx context.Context, tx Tx, digester Digester, erasures string, args ...any) (*Erased, error) {
	e := &Erased{digester: digester, numbers: map[string]span{}, calls: map[string][]span{}, events: map[string]string{}, sums: map[string][][]byte{}}
	held := map[uint32]bool{}
	err := tx.Query(ctx, `select erasure_id, kind, key_id, digest, from_at, to_at from erasure_keys where erasure_id in (`+erasures+`)`, args, func(r Row) error {
		var s span
		var kind string
		var keyID int64
		var digest []byte
		if err := r.Scan(&s.erasure, &kind, &keyID, &digest, &instant{&s.from}, &instant{&s.to}); err != nil {
			return err
		}
		id := uint32(keyID)
		if !held[id] {
			held[id] = true
			if digester == nil {
				return ErrErasureKey
			}
			if _, ok := digester.DigestWith(id, kind, nil); !ok {
				return fmt.Errorf("%w: key %d", ErrErasureKey, id)
			}
			e.keyIDs = append(e.keyIDs, id)
		}
		if kind == keyNumber {
			if old, there := e.numbers[string(digest)]; !there || s.to.After(old.to) {
				e.numbers[string(digest)] = s
			}
			return nil
		}
		e.calls[string(digest)] = append(e.calls[string(digest)], s)
		return nil
	})
	if err == nil {
		err = tx.Query(ctx, `select event_id, erasure_id from erased_events where erasure_id in (`+erasures+`)`, args, func(r Row) error {
			var event, erasure string
			err := r.Scan(&event, &erasure)
			e.events[event] = erasure
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was erased: %w", err)
	}
	return e, nil
}

// None says that nothing was erased.
func (e *Erased) None() bool { return len(e.keyIDs) == 0 && len(e.events) == 0 }

// digests of a text for a purpose, under each key in use.
func (e *Erased) digests(purpose, text string) [][]byte {
	memo := purpose + "\x00" + text
	if sums, ok := e.sums[memo]; ok {
		return sums
	}
	var sums [][]byte
	for _, id := range e.keyIDs {
		if sum, ok := e.digester.DigestWith(id, purpose, []byte(text)); ok {
			sums = append(sums, sum)
		}
	}
	e.sums[memo] = sums
	return sums
}

// Number is the erasure that concerns one of these numbers at a time, or "".
func (e *Erased) Number(numbers []string, at time.Time) string {
	if len(e.numbers) == 0 {
		return ""
	}
	for _, n := range numbers {
		for _, sum := range e.digests(keyNumber, n) {
			if s, ok := e.numbers[string(sum)]; ok && s.holds(at) {
				return s.erasure
			}
		}
	}
	return ""
}

// Call is the erasure that concerns a record with one of these ids, or "".
func (e *Erased) Call(at time.Time, ids ...string) string {
	if len(e.calls) == 0 {
		return ""
	}
	for _, id := range ids {
		if !linking(id) {
			continue
		}
		for _, sum := range e.digests(keyCall, id) {
			for _, s := range e.calls[string(sum)] {
				if s.holds(at) {
					return s.erasure
				}
			}
		}
	}
	return ""
}

// Event is the erasure that an event fell to, or "".
func (e *Erased) Event(id string) string { return e.events[id] }

// Record is the erasure that a record falls to, by its ids and what it holds.
func (e *Erased) Record(payload []byte, at time.Time, ids ...string) string {
	if by := e.Call(at, ids...); by != "" {
		return by
	}
	if len(e.numbers) == 0 {
		return ""
	}
	for _, id := range ids {
		if by := e.Number(phone.InText(id), at); by != "" {
			return by
		}
	}
	return e.Number(phone.InRecord(payload), at)
}

// alias stands for an id that holds an erased number; another id stays itself.
const aliasPrefix = "erased-"

// Alias is what stands in the place of an id from now on.
func (e *Erased) Alias(id string, at time.Time) string {
	if len(e.numbers) == 0 || id == "" || e.Number(phone.InText(id), at) == "" {
		return id
	}
	_, sum := e.digester.Digest("alias", []byte(id))
	return aliasPrefix + hex.EncodeToString(sum[:12])
}

func aliased(id string) bool { return strings.HasPrefix(id, aliasPrefix) }
