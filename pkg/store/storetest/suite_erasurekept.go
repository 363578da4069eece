package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

// erasureEnds: digests are forgotten when nothing in Kafka is that old any more.
func erasureEnds(t *testing.T, db *store.DB) {
	db.SetDigester(digester(t))
	now := time.Now()
	e := &store.Erasure{Kind: store.ErasureNumber, RequestedBy: "ada", KeptUntil: now.Add(30 * day), Copies: []store.ErasureCopy{{Topic: "aftercall.events", Retention: 7 * day, GoneBy: now.Add(7 * day).UTC()}}}
	must(t, db.CreateErasure(ctx, e, "12025550199"))
	if err := db.StartErasure(ctx, "era_none", "ada"); !errors.Is(err, store.ErrVersion) {
		t.Errorf("starting none: %v", err)
	}
	must(t, db.StartErasure(ctx, e.ID, "ada"))
	if err := db.StartErasure(ctx, e.ID, "ada"); !errors.Is(err, store.ErrVersion) {
		t.Errorf("starting it twice: %v", err)
	}
	if err := db.CancelErasure(ctx, e.ID); !errors.Is(err, store.ErrVersion) {
		t.Errorf("cancelling a running one: %v", err)
	}
	open, err := db.OpenErasures(ctx)
	must(t, err)
	if len(open) != 1 || len(open[0].Copies) != 1 || open[0].Copies[0].Topic != "aftercall.events" {
		t.Fatalf("open: %+v", open)
	}
	eraseOn(t, db, open[0])
	project(t, db, &store.Batch{})
	dropped := &store.Erasure{Kind: store.ErasureCall, RequestedBy: "ada"}
	must(t, db.CreateErasure(ctx, dropped, "call-1"))
	must(t, db.CancelErasure(ctx, dropped.ID))
	stale := &store.Erasure{Kind: store.ErasureCall, RequestedBy: "ada"}
	must(t, db.CreateErasure(ctx, stale, "call-2"))
	keys := func() (n int) {
		must(t, db.Writer().QueryRowContext(ctx, `select count(*) from erasure_keys`).Scan(&n))
		return n
	}
	if keys() != 2 {
		t.Errorf("%d keys, want the done one's and the planned one's", keys())
	}
	for _, c := range []struct {
		after time.Duration
		keys  int
	}{{time.Hour, 2}, {2 * day, 1}, {31 * day, 0}} {
		_, err := db.Prune(ctx, now.Add(c.after), store.Retention{Audit: 365 * day})
		must(t, err)
		if keys() != c.keys {
			t.Errorf("after %s %d keys, want %d", c.after, keys(), c.keys)
		}
	}
	defer func() {
		// When all are forgotten, the next one counts from its start as the first did.
		_, err := db.Prune(ctx, now.Add(800*day), store.Retention{Audit: 365 * day})
		must(t, err)
		project(t, db, &store.Batch{})
		Erase(t, db, store.ErasureNumber, canary)
		records, _ := callersFeed(1, 4)
		project(t, db, BatchOf(records...))
		if found := Traces(t, db, canaryTraces...); len(found) > 0 {
			t.Errorf("after all were pruned the next one is not known: %s", found[0])
		}
	}()
	page, next, err := db.Erasures(ctx, store.ErasureQuery{Page: store.Page{Limit: 2}})
	must(t, err)
	if len(page) != 2 || page[0].ID != stale.ID || page[0].State != store.ErasureCancelled || next == "" {
		t.Errorf("the first page: %+v, then %q", page, next)
	}
}

// erasureRestored: what is kept of an erasure outside of the store makes another
// store erase the same.
func erasureRestored(t *testing.T, db *store.DB, open func(testing.TB) *store.DB) {
	keys := digester(t)
	db.SetDigester(keys)
	records, concerned := callersFeed(5, 12)
	_, done := Erase(t, db, store.ErasureNumber, canary)
	kept, err := db.KeptErasures(ctx)
	must(t, err)
	if len(kept) != 1 || kept[0].ID != done.ID || kept[0].Kind != store.ErasureNumber || kept[0].Until.IsZero() || len(kept[0].Digest) != 32 {
		t.Fatalf("kept are %+v", kept)
	}
	other := open(t)
	other.SetDigester(keys)
	half := len(records) / 2
	project(t, other, BatchOf(records[:half]...))
	for i, want := range []bool{true, false} {
		if got, err := other.RestoreErasure(ctx, kept[0]); err != nil || got != want {
			t.Fatalf("restoring it for the %d. time answered %v, %v", i+1, got, err)
		}
	}
	project(t, other, BatchOf(records[half:]...))
	running, err := other.OpenErasures(ctx)
	must(t, err)
	if len(running) != 1 || running[0].ID != done.ID {
		t.Fatalf("open are %+v", running)
	}
	eraseOn(t, other, running[0])
	if found := Traces(t, other, canaryTraces...); len(found) > 0 {
		t.Errorf("left in %d places: %s", len(found), found[0])
	}
	for id := range concerned {
		if _, err := other.Payload(ctx, id); !errors.Is(err, store.ErrPayloadErased) {
			t.Fatalf("%s: %v", id, err)
		}
	}
}
