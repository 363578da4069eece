package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/feed"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func version(id string, v int64) *kgo.Record {
	return record.New(topic.Subscriptions, id, &aftercallv1.Subscription{Id: id, Version: v, Name: fmt.Sprintf("v%d", v), Active: true}, time.Now())
}

func tombstone(id string, v int64) *kgo.Record {
	return record.New(topic.Subscriptions, id, &aftercallv1.Subscription{Id: id, Version: v, Deleted: true}, time.Now())
}

// follow runs a feed until the end of the test.
func follow(t *testing.T, c kafka.Config, changed func(*subscription.Subscription)) *feed.Feed {
	t.Helper()
	f, err := feed.New(c, changed)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return f
}

func ready(t *testing.T, f *feed.Feed) {
	t.Helper()
	select {
	case <-f.Ready():
	case <-time.After(kafkatest.Patience):
		t.Fatal("the feed did not get ready")
	}
}

func name(f *feed.Feed, id string) string {
	s, ok := f.Get(id)
	if !ok {
		return "none"
	}
	return s.Name
}

func TestAnEmptyTopicIsReadyAtOnce(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		f := follow(t, c, nil)
		ready(t, f)
		if f.Offset() != 0 {
			t.Errorf("Offset = %d", f.Offset())
		}
	})
}

func TestReadyComesAfterAllThatWasThere(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		var records []*kgo.Record
		for i := range 1000 {
			records = append(records, version(fmt.Sprintf("sub_%d", i), 1))
		}
		kafkatest.Produce(t, c, records...)
		f := follow(t, c, nil)
		ready(t, f)
		if f.Offset() < 1000 {
			t.Errorf("ready at offset %d", f.Offset())
		}
		for i := range 1000 {
			if _, ok := f.Get(fmt.Sprintf("sub_%d", i)); !ok {
				t.Fatalf("sub_%d is unknown", i)
			}
		}
	})
}

func TestAnOlderVersionIsIgnoredAlsoAfterADeletion(t *testing.T) {
	c := kafkatest.Start(t).Config()
	var mu sync.Mutex
	var changes []string
	f := follow(t, c, func(s *subscription.Subscription) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, fmt.Sprintf("%s@%d deleted=%v", s.ID, s.Version, s.Deleted))
	})
	ready(t, f)
	kafkatest.Produce(t, c, version("a", 2), version("a", 1), version("a", 2), version("b", 1), tombstone("b", 3), version("b", 2), version("a", 4))
	kafkatest.WaitFor(t, "all seven records", func() bool { return f.Offset() == 7 })
	if name(f, "a") != "v4" || name(f, "b") != "none" {
		t.Errorf("a is %s, b is %s", name(f, "a"), name(f, "b"))
	}
	mu.Lock()
	defer mu.Unlock()
	want := "a@2 deleted=false, b@1 deleted=false, b@3 deleted=true, a@4 deleted=false"
	if got := strings.Join(changes, ", "); got != want {
		t.Errorf("changes are %s\nwant %s", got, want)
	}
}

func TestARecordOfANewerMajorVersionIsNamedAndTheKnownStateKept(t *testing.T) {
	c := kafkatest.Start(t).Config()
	newer := version("a", 2)
	newer.Headers[0].Value = []byte("subscription/2")
	kafkatest.Produce(t, c, version("a", 1), newer, version("b", 1))
	f := follow(t, c, nil)
	ready(t, f)
	if err := f.Err(); !errors.Is(err, record.ErrUnknownVersion) || !strings.Contains(err.Error(), "subscription/2") {
		t.Errorf("Err = %v", err)
	}
	if name(f, "a") != "v1" || name(f, "b") != "v1" {
		t.Errorf("a is %s, b is %s", name(f, "a"), name(f, "b"))
	}
}

func TestWhatCouldNotBeReadCountsUntilItIsReplaced(t *testing.T) {
	c := kafkatest.Start(t).Config()
	garbage := func(key string) *kgo.Record {
		return &kgo.Record{Topic: topic.Subscriptions, Key: []byte(key), Value: []byte("garbage")}
	}
	nothing := func(key string) *kgo.Record { return &kgo.Record{Topic: topic.Subscriptions, Key: []byte(key)} }
	f := follow(t, c, nil)
	ready(t, f)
	offset := int64(0)
	for _, step := range []struct {
		record *kgo.Record
		names  string // the subscription in Err, empty for none
	}{
		{version("a", 2), ""},
		{garbage("a"), "subscription a"},
		{garbage("b"), "subscription b"},
		{version("b", 1), "subscription a"},
		{version("a", 1), "subscription a"}, // an older state says nothing of what was unreadable
		{version("a", 2), ""},
		{garbage("a"), "subscription a"},
		{nothing("a"), "subscription a"}, // a live one is not deleted in this way
		{version("a", 3), ""},
		{garbage("c"), "subscription c"},
		{tombstone("c", 2), ""},
		{garbage("d"), "subscription d"},
		{nothing("d"), ""},
	} {
		kafkatest.Produce(t, c, step.record)
		offset++
		kafkatest.WaitFor(t, "the record", func() bool { return f.Offset() >= offset })
		switch err := f.Err(); {
		case step.names == "" && err != nil:
			t.Errorf("after record %d: %v", offset, err)
		case step.names != "" && (err == nil || !strings.Contains(err.Error(), step.names)):
			t.Errorf("after record %d: Err = %v, want one of %s", offset, err, step.names)
		}
	}
	if name(f, "a") != "v3" || name(f, "b") != "v1" {
		t.Errorf("a is %s, b is %s", name(f, "a"), name(f, "b"))
	}
}

func TestTheFeedOutlastsTheBroker(t *testing.T) {
	dir := t.TempDir()
	b := kafkatest.Start(t, func(c *embedded.Config) { c.Dir, c.Listen = dir, kafkatest.Address(t) })
	kafkatest.Produce(t, b.Config(), version("a", 1))
	f := follow(t, b.Config(), nil)
	ready(t, f)
	b.Close()
	b = kafkatest.Start(t, func(c *embedded.Config) { c.Dir, c.Listen = dir, b.Addr })
	kafkatest.Produce(t, b.Config(), version("a", 2))
	kafkatest.WaitFor(t, "the change", func() bool { return name(f, "a") == "v2" })
}

func TestATopicMadeAnewEndsTheFeed(t *testing.T) {
	c := kafkatest.Start(t).Config()
	kafkatest.Produce(t, c, version("a", 1), version("b", 1))
	f, err := feed.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(t.Context()) }()
	ready(t, f)
	adm := kafkatest.Admin(t, c)
	if _, err := adm.DeleteTopics(t.Context(), topic.Subscriptions); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, topic.Subscriptions); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("Run ended without an error")
		}
	case <-time.After(kafkatest.Patience):
		t.Fatal("Run goes on")
	}
}
