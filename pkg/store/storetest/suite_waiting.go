package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func namedLocks(t *testing.T, db *store.DB) {
	release, ok, err := db.Lock(ctx, "one")
	must(t, err)
	if !ok {
		t.Fatal("nobody holds it, and it is not given")
	}
	if _, ok, err := db.Lock(ctx, "one"); ok || err != nil {
		t.Errorf("given twice: %v, %v", ok, err)
	}
	for _, name := range []string{"another", "one "} {
		other, ok, err := db.Lock(ctx, name)
		if err != nil || !ok {
			t.Fatalf("it stands in the way of %q: %v", name, err)
		}
		other()
	}
	publishing, ok, err := db.PublishLock(ctx)
	if err != nil || !ok {
		t.Fatalf("it stands in the way of the publisher: %v", err)
	}
	publishing()
	// Given back twice, it is not taken from whoever has it then.
	release()
	again, ok, err := db.Lock(ctx, "one")
	if err != nil || !ok {
		t.Fatalf("not given again: %v", err)
	}
	release()
	if _, ok, err := db.Lock(ctx, "one"); ok || err != nil {
		t.Errorf("given while another has it: %v, %v", ok, err)
	}
	again()
}

func sendingWhatWaits(t *testing.T, db *store.DB) {
	if _, err := db.LastSendWaiting(ctx, "sub_1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the last of none is %v", err)
	}
	if err := db.CancelSendWaiting(ctx, "sub_1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("cancelling none answered %v", err)
	}
	create := func(id, subscription string) error {
		return db.CreateSendWaiting(ctx, &store.SendWaiting{ID: id, SubscriptionID: subscription, RequestedBy: "a\x00da"})
	}
	must(t, create("snd_1", "sub_1"))
	if err := create("snd_2", "sub_1"); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second one of a subscription answered %v", err)
	}
	must(t, create("snd_3", "sub_2"))
	if open := openSending(t, db); !slices.Equal(open, []string{"snd_1 running", "snd_3 running"}) {
		t.Errorf("open are %v", open)
	}

	// Progress comes back whole, and only from whoever read it last.
	w, err := db.LastSendWaiting(ctx, "sub_1")
	must(t, err)
	stale := *w
	w.Planned, w.Sent, w.Scanned, w.Total, w.Fault = true, 3, 5, 9, "later"
	w.Partitions = []store.SendPartition{{Topic: "t", Partition: 2, Next: 1 << 40, End: 1<<40 + 4, Found: 3}}
	must(t, db.SaveSendWaiting(ctx, w))
	read, err := db.LastSendWaiting(ctx, "sub_1")
	must(t, err)
	if !read.Planned || read.Sent != 3 || read.Scanned != 5 || read.Total != 9 || read.Fault != "later" || !slices.Equal(read.Partitions, w.Partitions) || read.Revision != w.Revision {
		t.Errorf("read back %+v", read)
	}
	stale.Sent = 1
	if err := db.SaveSendWaiting(ctx, &stale); !errors.Is(err, store.ErrVersion) {
		t.Errorf("saving from an older place answered %v", err)
	}

	// Whoever runs it learns of a cancellation when it saves, which does not undo it.
	must(t, db.CancelSendWaiting(ctx, "sub_1"))
	w.Sent = 4
	must(t, db.SaveSendWaiting(ctx, w))
	if w.State != store.SendCancelling {
		t.Errorf("saved after it was cancelled, it is %s", w.State)
	}
	if err := create("snd_4", "sub_1"); !errors.Is(err, store.ErrExists) {
		t.Errorf("beginning beside one that is being cancelled answered %v", err)
	}
	w.State = store.SendCancelled
	must(t, db.SaveSendWaiting(ctx, w))
	if open := openSending(t, db); !slices.Equal(open, []string{"snd_3 running"}) {
		t.Errorf("open are %v", open)
	}
	must(t, create("snd_5", "sub_1"))
	if last, err := db.LastSendWaiting(ctx, "sub_1"); err != nil || last.ID != "snd_5" || last.Sent != 0 || last.Planned {
		t.Errorf("the last is %+v, %v", last, err)
	}
}

func openSending(t *testing.T, db *store.DB) (out []string) {
	t.Helper()
	open, err := db.OpenSendWaiting(ctx)
	must(t, err)
	for _, w := range open {
		out = append(out, w.ID+" "+w.State)
	}
	return out
}

func recentEvents(t *testing.T, db *store.DB) {
	event := func(n int, cause aftercallv1.Cause) *aftercallv1.Event {
		at := timestamppb.New(Start.Add(time.Duration(n) * time.Second))
		return &aftercallv1.Event{EventId: fmt.Sprintf("evt_%d", n), EventType: "App.QueueWebhook", CallId: fmt.Sprintf("c-%d", n), OccurredAt: at, RoutedAt: at, Cause: cause,
			Position: &aftercallv1.Position{Topic: "aftercall.cdr.queue", Offset: int64(n)}, Payload: fmt.Appendf(nil, `{"n":%d}`, n)}
	}
	b := &store.Batch{}
	for n := range 5 {
		b.Events = append(b.Events, event(n, aftercallv1.Cause_CAUSE_CALL_ENDED))
	}
	// Tests are no calls, and a repeat of a record is no second one.
	b.Events = append(b.Events, event(5, aftercallv1.Cause_CAUSE_TEST))
	repeat := event(6, aftercallv1.Cause_CAUSE_CALL_ENDED)
	repeat.DuplicateOf = &aftercallv1.Position{Topic: "aftercall.cdr.queue", Offset: 4}
	b.Events = append(b.Events, repeat)
	project(t, db, b)

	recent := func(limit int, payloads bool, enough int) (out []string) {
		must(t, db.RecentEvents(ctx, limit, payloads, func(e *store.Event, payload []byte) bool {
			out = append(out, fmt.Sprintf("%s %s", e.EventID, payload))
			return len(out) != enough
		}))
		return out
	}
	for name, c := range map[string]struct{ got, want []string }{
		"newest first, so many":       {recent(2, true, 0), []string{`evt_4 {"n":4}`, `evt_3 {"n":3}`}},
		"all of them":                 {recent(100, false, 0), []string{"evt_4 ", "evt_3 ", "evt_2 ", "evt_1 ", "evt_0 "}},
		"until the reader has enough": {recent(100, true, 1), []string{`evt_4 {"n":4}`}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	must(t, db.ExpirePayloads(ctx, time.Now()))
	if got := recent(1, true, 0); !slices.Equal(got, []string{"evt_4 "}) {
		t.Errorf("with its payload expired: %q", got)
	}
}
