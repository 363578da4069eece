package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// BenchmarkProject projects batches of 5,000 records: events and attempts of
// one delivery each, as a busy deployment with healthy endpoints has them.
func BenchmarkProject(b *testing.B) { storetest.BenchmarkProject(b, storetest.Postgres(b)) }

// BenchmarkProjectAgainstCopy projects batches of 5,000 attempts, and in turns
// with it, in the same run, copies the very rows that came of them into
// temporary tables and from there, "on conflict do nothing", into tables that
// have a primary key and nothing else: the ceiling. Each attempt is two rows, of
// attempts and of deliveries.
func BenchmarkProjectAgainstCopy(b *testing.B) {
	const attempts = 5000
	url := storetest.PostgresURL(b)
	db := storetest.PostgresAt(b, url)
	ceiling := newCeiling(b, url)
	var ours, copied time.Duration
	n := 0
	for b.Loop() {
		batch := storetest.BusyBatch(n, attempts)
		batch.Events = nil
		batch.Offsets = []store.Offset{{Topic: "aftercall.history", From: int64(n * attempts), To: int64((n + 1) * attempts)}}
		began := time.Now()
		if _, err := db.Project(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		copied += ceiling.copy(b, batch)
		n++
	}
	b.ReportMetric(float64(2*n*attempts)/ours.Seconds(), "rows/s")
	b.ReportMetric(float64(2*n*attempts)/copied.Seconds(), "copied-rows/s")
	b.ReportMetric(100*copied.Seconds()/ours.Seconds(), "%ofcopy")
	b.ReportMetric(0, "ns/op")
}

// ceiling copies rows that are in the store already.
type ceiling struct {
	conn *pgx.Conn
}

func newCeiling(b *testing.B, url string) *ceiling {
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.Background()) })
	for _, table := range []string{"attempts", "deliveries"} {
		key := strings.TrimSuffix(table, "s") + "_id"
		if table == "deliveries" {
			key = "delivery_id"
		}
		for _, text := range []string{
			"create table bare_" + table + " (like " + table + ")",
			"alter table bare_" + table + " add primary key (" + key + ")",
			"create temporary table incoming_" + table + " (like " + table + ") on commit delete rows",
		} {
			if _, err := conn.Exec(context.Background(), text); err != nil {
				b.Fatal(err)
			}
		}
	}
	return &ceiling{conn}
}

// copy copies the rows of a batch and answers how long that took, the reading of
// them not counted.
func (c *ceiling) copy(b *testing.B, batch *store.Batch) time.Duration {
	ctx := context.Background()
	ids := make([]string, len(batch.Attempts))
	for i, a := range batch.Attempts {
		ids[i] = a.DeliveryId
	}
	type table struct {
		name    string
		columns []string
		rows    [][]any
	}
	var tables []table
	for _, name := range []string{"attempts", "deliveries"} {
		rows, err := c.conn.Query(ctx, "select * from "+name+" where delivery_id = any($1)", ids)
		if err != nil {
			b.Fatal(err)
		}
		t := table{name: name}
		for _, f := range rows.FieldDescriptions() {
			t.columns = append(t.columns, f.Name)
		}
		for rows.Next() {
			v, err := rows.Values()
			if err != nil {
				b.Fatal(err)
			}
			t.rows = append(t.rows, v)
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
		if len(t.rows) != len(ids) {
			b.Fatalf("%d rows of %s", len(t.rows), name)
		}
		tables = append(tables, t)
	}
	began := time.Now()
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback(ctx)
	for _, t := range tables {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "incoming_" + t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			b.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "insert into bare_"+t.name+" select * from incoming_"+t.name+" on conflict do nothing"); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
