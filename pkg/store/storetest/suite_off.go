package storetest

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
)

func lastOff(t *testing.T, db *store.DB) {
	s := subscriptionOf("sub_off")
	s.Active = true
	must(t, db.CreateSubscription(ctx, s, ada))
	become := func(active bool) {
		next := *s
		next.Version, next.Active = s.Version+1, active
		must(t, db.UpdateSubscription(ctx, &next, s.Version, ada))
		s = &next
	}
	read := func() store.Off {
		off, err := db.LastOff(ctx, "sub_off")
		must(t, err)
		return off
	}
	become(true)
	if off := read(); !off.From.IsZero() || !off.To.IsZero() {
		t.Errorf("never off, it was off %+v", off)
	}
	become(false)
	first := read()
	become(false)
	if off := read(); first.From.IsZero() || !off.From.Equal(first.From) || !off.To.IsZero() {
		t.Errorf("an edit while it is off makes %+v of %+v", off, first)
	}
	become(true)
	on := read()
	become(true)
	if off := read(); !off.From.Equal(first.From) || off.To.Before(off.From) || !off.To.Equal(on.To) {
		t.Errorf("an edit after it is on makes %+v of %+v", off, on)
	}
	become(false)
	if off := read(); off.From.Before(on.To) || !off.To.IsZero() {
		t.Errorf("off again, it was off %+v", off)
	}
	if off, err := db.LastOff(ctx, "none"); err != nil || !off.From.IsZero() {
		t.Errorf("an unknown one was off %+v, %v", off, err)
	}
}
