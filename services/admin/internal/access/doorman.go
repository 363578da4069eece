package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Doorman checks passwords: a few at a time, since each takes memory and most of
// a core, and ever more slowly for a name whose passwords were wrong. A name that
// nobody has is treated like every other: same answer, same work, same slow-down.
//
// The slow-down goes by name and not by address: behind a proxy everybody has the
// same address, and guesses that come from many are guesses all the same. It is
// of this process, and forgotten with it.
type Doorman struct {
	now   func() time.Time
	slots chan struct{}
	queue chan struct{}
	dummy func() string

	mu    sync.Mutex
	wrong map[string]*wrongs
}

// wrongs of one name.
type wrongs struct {
	n     int
	last  time.Time
	until time.Time
}

// Limits of a doorman.
const (
	checksAtOnce  = 2
	checksWaiting = 32
	checkPatience = 5 * time.Second
	freeTries     = 5 // wrong ones before the slow-down begins
	longestWait   = time.Minute
	forgetAfter   = time.Hour
	namesKept     = 10_000
)

// Answers of a doorman.
var (
	// ErrWrong says that name and password do not belong together, and not which
	// of them is at fault.
	ErrWrong = errors.New("the name or the password is wrong")
	// ErrBusy says that too many passwords are being checked.
	ErrBusy = errors.New("too many passwords are being checked")
)

// SlowDownError says that a name has to wait until its next password is looked at.
type SlowDownError struct{ For time.Duration }

// Error says for how long.
func (e *SlowDownError) Error() string {
	return fmt.Sprintf("too many wrong passwords: wait for %s", e.For)
}

// NewDoorman makes one. now may be nil.
func NewDoorman(now func() time.Time) *Doorman {
	if now == nil {
		now = time.Now
	}
	return &Doorman{
		now: now, slots: make(chan struct{}, checksAtOnce), queue: make(chan struct{}, checksWaiting), wrong: map[string]*wrongs{},
		dummy: sync.OnceValue(func() string { return hashPassword(NewText()) }),
	}
}

// check compares a password with the hash of a name, "" when the name has none.
// ErrWrong, ErrBusy and *SlowDownError are its refusals.
func (d *Doorman) check(ctx context.Context, name, hash, password string) (again bool, err error) {
	if err := d.admit(name); err != nil {
		return false, err
	}
	known := hash != ""
	if !known {
		hash = d.dummy()
	}
	if len(password) > 4*MaxPassword {
		password, known = "", false
	}
	var right bool
	if busy := d.work(ctx, func() { right, again, err = checkPassword(hash, password) }); busy != nil {
		d.excuse(name)
		return false, busy
	}
	if err != nil {
		return false, err
	}
	if !right || !known {
		return false, ErrWrong
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.wrong, name)
	return again, nil
}

// hash makes the hash of a new password.
func (d *Doorman) hash(ctx context.Context, password string) (hash string, err error) {
	err = d.work(ctx, func() { hash = hashPassword(password) })
	return hash, err
}

// work runs f beside few others.
func (d *Doorman) work(ctx context.Context, f func()) error {
	select {
	case d.queue <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-d.queue }()
	patience := time.NewTimer(checkPatience)
	defer patience.Stop()
	select {
	case d.slots <- struct{}{}:
	case <-patience.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.slots }()
	f()
	return nil
}

// before is how many tries of a name were wrong since the last right one.
func (d *Doorman) before(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wrong[name]; w != nil && d.now().Sub(w.last) < forgetAfter {
		return w.n
	}
	return 0
}

// admit counts a try as a wrong one, before it is known: many at once are not
// cheaper than one after the other.
func (d *Doorman) admit(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	w := d.wrong[name]
	if w != nil && now.Sub(w.last) >= forgetAfter {
		w = nil
	}
	if w == nil {
		w = &wrongs{}
		d.makeRoom(now)
		d.wrong[name] = w
	}
	if wait := w.until.Sub(now); wait > 0 {
		return &SlowDownError{For: wait}
	}
	w.n++
	w.last = now
	if w.n >= freeTries {
		w.until = now.Add(min(longestWait, time.Second<<min(w.n-freeTries, 10)))
	}
	return nil
}

// excuse takes back a try that was not looked at.
func (d *Doorman) excuse(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wrong[name]; w != nil {
		w.n--
		w.until = time.Time{}
	}
}

// makeRoom keeps the names few: what is old goes, and if need be the oldest.
func (d *Doorman) makeRoom(now time.Time) {
	if len(d.wrong) < namesKept {
		return
	}
	var oldest string
	for name, w := range d.wrong {
		if now.Sub(w.last) >= forgetAfter {
			delete(d.wrong, name)
			continue
		}
		if have := d.wrong[oldest]; have == nil || w.last.Before(have.last) {
			oldest = name
		}
	}
	if len(d.wrong) >= namesKept {
		delete(d.wrong, oldest)
	}
}
