package doctor

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestARealClusterAndDatabaseAreSeenAsTheyAre(t *testing.T) {
	address := storetest.PostgresURL(t)
	d := deployOn(t, kafkatest.Real(t))
	d.environ["AFTERCALL_DATABASE_URL"] = address
	r := d.look()
	if r.Count(Fail) != 0 || !r.Has(CheckMigration, Warn) || !strings.Contains(r.text(), "no tables of Aftercall's yet") || !r.Has(CheckCluster, Warn) {
		t.Errorf("an empty database, one broker:\n%s", r.text())
	}
	storetest.PostgresAt(t, address)
	if r = d.look(); r.Count(Fail) != 0 || !r.Has(CheckMigration, OK) || !r.Has(CheckClock, OK) {
		t.Errorf("%s", r.text())
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "delete from goose_db_version where version_id > 1"); err != nil {
		t.Fatal(err)
	}
	if r = d.look(); r.Count(Fail) != 1 || !r.Has(CheckMigration, Fail) {
		t.Errorf("%s", r.text())
	}
}
