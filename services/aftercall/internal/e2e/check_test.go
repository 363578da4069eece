package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// projected waits until the store has everything that the topics have, what is in a
// transaction now included.
func projected(t *testing.T, c kafka.Config, db *store.DB) {
	t.Helper()
	ends := kafkatest.StableEnds(t, c, topic.Events, topic.Rejected, topic.History)
	if err := ends.Error(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the projector to catch up", func() bool {
		offsets, err := db.ProjectedOffsets(t.Context())
		if err != nil {
			return false
		}
		behind := false
		ends.Each(func(end kadm.ListedOffset) { behind = behind || offsets[end.Topic][end.Partition] < end.Offset })
		return !behind
	})
}

// contents are all rows of the store.
func contents(t *testing.T, db *store.DB) *verify.Store {
	t.Helper()
	ctx := t.Context()
	out := &verify.Store{}
	all(t, func(p store.Page) (next string, err error) {
		rows, next, err := db.Events(ctx, store.EventQuery{Page: p})
		out.Events = append(out.Events, rows...)
		return next, err
	})
	all(t, func(p store.Page) (next string, err error) {
		rows, next, err := db.Deliveries(ctx, store.DeliveryQuery{Page: p})
		out.Deliveries = append(out.Deliveries, rows...)
		return next, err
	})
	all(t, func(p store.Page) (next string, err error) {
		rows, next, err := db.Attempts(ctx, store.AttemptQuery{Page: p})
		out.Attempts = append(out.Attempts, rows...)
		return next, err
	})
	all(t, func(p store.Page) (next string, err error) {
		rows, next, err := db.Rejections(ctx, store.RejectionQuery{Page: p})
		out.Rejections = append(out.Rejections, rows...)
		return next, err
	})
	return out
}

func all(t *testing.T, page func(store.Page) (string, error)) {
	t.Helper()
	p := store.Page{Limit: 1000}
	for {
		next, err := page(p)
		if err != nil {
			t.Fatal(err)
		}
		if next == "" {
			return
		}
		p.Cursor = next
	}
}

// everyTopic lists all topics.
func everyTopic() []string {
	var names []string
	for _, s := range topic.All() {
		names = append(names, s.Name)
	}
	return names
}

// check judges a run that has come to rest. change completes the run: what was
// wanted, what bounds hold.
func check(t *testing.T, c kafka.Config, db *store.DB, u *upstream, requests []listen.Entry, change func(*verify.Run)) *verify.Report {
	t.Helper()
	projected(t, c, db)
	run := &verify.Run{
		Acknowledged: u.acknowledged(), Requests: requests,
		Records: kafkatest.ReadAll(t, c, everyTopic()...), Store: contents(t, db),
		Secrets: map[string][][]byte{}, Skew: time.Second,
	}
	if change != nil {
		change(run)
	}
	report := verify.Check(run)
	t.Log(report)
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	return report
}
