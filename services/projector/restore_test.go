package projector_test

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector"
)

// As docs/operations.md says it: pg_dump, and later pg_restore into an empty
// database. The projector goes on at the offsets that were restored with the rows,
// whatever its group has committed since.
func TestAnOlderBackupIsRestoredAndTheProjectorBringsItUpToDate(t *testing.T) {
	address := storetest.PostgresURL(t)
	c := kafkatest.Start(t).Config()
	var kept []storetest.Record
	for _, r := range storetest.Feed(5, 40) {
		if r.Event != nil || r.Attempt != nil {
			kept = append(kept, r)
		}
	}
	db := storetest.PostgresAt(t, address)
	early := kept[:len(kept)/2]
	produce(t, c, early)
	projectAll(t, c, db, early)
	backup := filepath.Join(t.TempDir(), "aftercall.dump")
	tool(t, address, "pg_dump", "--format=custom", "--file="+backup, "--schema="+schemaOf(t, address))

	produce(t, c, kept[len(early):])
	projectAll(t, c, db, kept)
	if _, err := db.SQL().Exec("drop schema " + schemaOf(t, address) + " cascade"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	tool(t, address, "pg_restore", "--exit-on-error", "--no-owner", backup)
	restored := storetest.PostgresAt(t, address)
	if attempts, _ := rows(restored); attempts != len(storetest.ModelOf(early).Attempts) {
		t.Fatalf("the restored store has %d attempts", attempts)
	}
	projectAll(t, c, restored, kept)
	storetest.CheckModel(t, restored, storetest.ModelOf(kept))
}

func produce(t *testing.T, c kafka.Config, records []storetest.Record) {
	t.Helper()
	for _, r := range records {
		if r.Event != nil {
			kafkatest.Produce(t, c, record.New(topic.Events, r.Event.EventId, r.Event, time.Now()))
		} else {
			kafkatest.Produce(t, c, record.New(topic.History, r.Attempt.DeliveryId, r.Attempt.Attempt, time.Now()))
		}
	}
}

func rows(db *store.DB) (attempts, events int) {
	if err := db.SQL().QueryRow("select (select count(*) from attempts), (select count(*) from events)").Scan(&attempts, &events); err != nil {
		return 0, 0
	}
	return attempts, events
}

// projectAll runs a projector until all of these are in the store.
func projectAll(t *testing.T, c kafka.Config, db *store.DB, records []storetest.Record) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- projector.Run(ctx, projector.Config{Kafka: c, Instance: "projector-1"}, projector.Deps{Store: db})
	}()
	m := storetest.ModelOf(records)
	kafkatest.WaitFor(t, "everything to be in the store", func() bool {
		attempts, events := rows(db)
		return attempts == len(m.Attempts) && events == len(m.Events)
	})
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("the projector ended with %v", err)
	}
}

func schemaOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("search_path")
}

// tool runs a program of PostgreSQL on the test's schema.
func tool(t *testing.T, address, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// Debian keeps them here.
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		if len(found) == 0 {
			if os.Getenv("AFTERCALL_REQUIRE_REAL") == "1" {
				t.Fatalf("there is no %s", name)
			}
			t.Skipf("needs %s: apt-get install postgresql", name)
		}
		path = slices.Max(found)
	}
	// search_path is a parameter of the driver's, not of libpq's.
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("search_path")
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"--dbname=" + u.String()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
