package kafka_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

func TestWhereAGroupBeginsIsChosenOnce(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		const group = "aftercall-test-begin"
		topics := []string{topic.CDRTest, topic.CDRQueue}
		committed := func(name string) int64 {
			t.Helper()
			var offsets kadm.OffsetResponses
			kafkatest.WaitFor(t, "the group's coordinator", func() (answered bool) {
				var err error
				offsets, err = kafkatest.Admin(t, c).FetchOffsets(t.Context(), group)
				return err == nil || errors.Is(err, kerr.GroupIDNotFound)
			})
			sum := int64(-1)
			offsets.Offsets().Each(func(o kadm.Offset) {
				if o.Topic == name {
					sum = max(sum, 0) + o.At
				}
			})
			return sum
		}
		begin := func(startAt string) {
			t.Helper()
			c := c
			c.StartAt = startAt
			if err := c.Begin(t.Context(), group, topics); err != nil {
				t.Fatalf("beginning at %q: %v", startAt, err)
			}
		}
		produce := func(n int) {
			for range n {
				kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRTest, "", "{}"))
			}
		}
		produce(3)
		begin("")
		if at := committed(topic.CDRTest); at != -1 {
			t.Errorf("without a choice %d was committed", at)
		}
		begin("latest")
		if at, quiet := committed(topic.CDRTest), committed(topic.CDRQueue); at != 3 || quiet != 0 {
			t.Errorf("committed %d, and %d of a topic without records", at, quiet)
		}
		// While the group was away something came in: it is not skipped.
		produce(2)
		begin("latest")
		begin("earliest")
		if at := committed(topic.CDRTest); at != 3 {
			t.Errorf("a second start moved it to %d", at)
		}

		member := kafkatest.Client(t, c, c.Group(kafka.GroupOptions{Group: group, Topics: topics})...)
		got := 0
		for got < 2 {
			fetches := member.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			got += fetches.NumRecords()
		}
		topics = append(topics, topic.CDRIvr)
		begin("latest")
		if at := committed(topic.CDRIvr); at != -1 || got != 2 {
			t.Errorf("beside a member %d was committed; it read %d records, want 2", at, got)
		}
	})
}
