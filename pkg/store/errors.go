package store

import (
	"errors"
	"fmt"
)

// Kinds of failure that callers act on.
var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a row of this id or name is there already.
	ErrExists = errors.New("already there")
	// ErrVersion says that the subscription has changed since it was read.
	ErrVersion = errors.New("the version is not the current one")
	// ErrCursor says that a cursor was not made by this store for this list.
	ErrCursor = errors.New("the cursor is not one of this list")
	// ErrOffsetMoved says that somebody else has projected from these offsets:
	// nothing was written, and the offsets are to be read again.
	ErrOffsetMoved = errors.New("the projected offset has moved")
	// ErrPayloadExpired says that the event is known but its payload is gone.
	ErrPayloadExpired = errors.New("the payload has expired")
	// ErrPayloadErased is ErrPayloadExpired of an event whose personal data was
	// erased.
	ErrPayloadErased = fmt.Errorf("%w: its personal data was erased", ErrPayloadExpired)
	// ErrLastAdmin says that nobody would be left who can administer.
	ErrLastAdmin = errors.New("the last administrator stays")
	// ErrUnstorable says that the database refuses what one of the rows holds,
	// and would refuse it again: trying again without that row is the way on.
	ErrUnstorable = errors.New("the database refuses a value")
	// ErrNoRoom says that the disk of the database is full: the same is stored when
	// there is room again.
	ErrNoRoom = errors.New("the database's disk is full: make room there; nothing is lost, what is to be stored waits in Kafka, and webhooks go out meanwhile")
)
