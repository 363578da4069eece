package postgres_test

import (
	"context"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// A rollback leaves the tables as they are: migrations only add.
func TestAnOlderProgramStartsOnANewerSchema(t *testing.T) {
	address := storetest.PostgresURL(t)
	db := storetest.PostgresAt(t, address)
	if _, err := db.SQL().ExecContext(context.Background(), `insert into goose_db_version (version_id, is_applied, tstamp) values (99999, true, now())`); err != nil {
		t.Fatal(err)
	}
	storetest.PostgresAt(t, address)
}
