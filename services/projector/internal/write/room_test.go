package write_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestADatabaseWithoutRoomIsWaitedForAndSaidSoUntilItTakesTheNextBatch(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	f := &faulty{DB: db}
	var tries atomic.Int64
	f.set(func(*store.Batch) error {
		tries.Add(1)
		return fmt.Errorf("%w: could not extend file", store.ErrNoRoom)
	}, nil)
	b := run(t, broker.Config(), f, nil)
	out, kept := records(storetest.Feed(4, 30))
	kafkatest.Produce(t, broker.Config(), out...)
	full := func() bool { _, err := b.status.of(); return errors.Is(err, store.ErrNoRoom) }
	kafkatest.WaitFor(t, "the loop to say that there is no room", full)
	// It answers questions all the while, which is no reason to call it well.
	before := tries.Load()
	kafkatest.WaitFor(t, "tries over several sessions", func() bool {
		if !full() {
			t.Error("a database without room is called well")
		}
		return tries.Load() > before+10 || t.Failed()
	})
	f.set(nil, nil)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	kafkatest.WaitFor(t, "the loop to be well", func() bool { k, d := b.status.of(); return k == nil && d == nil })
	b.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}

// The same with PostgreSQL's own error, which a trigger makes.
func TestPostgresWithoutRoomIsWaitedForAndCaughtUp(t *testing.T) {
	db := storetest.Postgres(t)
	execute(t, db, `create function no_room() returns trigger language plpgsql as
		$$ begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$`,
		`create trigger no_room before insert on events for each row execute function no_room()`)
	broker := kafkatest.Start(t)
	b := run(t, broker.Config(), db, nil)
	out, kept := records(storetest.Feed(4, 30))
	kafkatest.Produce(t, broker.Config(), out...)
	kafkatest.WaitFor(t, "the loop to say that there is no room", func() bool { _, err := b.status.of(); return errors.Is(err, store.ErrNoRoom) })
	execute(t, db, `drop trigger no_room on events`)
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	kafkatest.WaitFor(t, "the loop to be well", func() bool { k, d := b.status.of(); return k == nil && d == nil })
	b.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}

func execute(t *testing.T, db *store.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}
