package kafkatest

import (
	"context"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"

	"github.com/twmb/franz-go/pkg/kadm"
)

// MakeAnew deletes topics and makes them again, empty, whoever reads them.
func MakeAnew(t testing.TB, c kafka.Config, topics ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	adm := Admin(t, c)
	before, err := adm.ListTopics(ctx, topics...)
	if err != nil || before.Error() != nil {
		t.Fatalf("listing topics: %v, %v", err, before.Error())
	}
	if deleted, err := adm.DeleteTopics(ctx, topics...); err != nil || deleted.Error() != nil {
		t.Fatalf("deleting topics: %v, %v", err, deleted.Error())
	}
	// A broker lets go of a name a moment after it has answered.
	WaitFor(t, "the topics to be made anew", func() bool {
		if err := kafka.Ensure(ctx, adm, topic.All(), kafka.EnsureOptions{Embedded: c.Embedded, Replication: 1, MaxRecordBytes: c.MaxRecordBytes}); err != nil {
			return false
		}
		now, err := adm.ListTopics(ctx, topics...)
		if err != nil {
			return false
		}
		anew := func(d kadm.TopicDetail) bool { return d.Err == nil && d.ID != before[d.Topic].ID }
		for _, name := range topics {
			if !anew(now[name]) {
				return false
			}
		}
		return true
	})
}
