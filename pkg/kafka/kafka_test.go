package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

func TestPingNamesAWrongAddressInsteadOfTryingOn(t *testing.T) {
	addr := kafkatest.Address(t)
	err := kafka.Ping(t.Context(), kafka.Config{Brokers: []string{addr}})
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Ping = %v, want an error naming %s and the refusal", err, addr)
	}
}

func TestPingWithoutBrokersNamesTheVariable(t *testing.T) {
	if err := kafka.Ping(t.Context(), kafka.Config{}); err == nil || !strings.Contains(err.Error(), "AFTERCALL_BROKERS") {
		t.Errorf("Ping = %v", err)
	}
}

func TestPrepareMakesAllTopicsAndFindsNothingToRefuse(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		if err := kafka.Prepare(t.Context(), c, topic.All()); err != nil {
			t.Fatal(err)
		}
		details, err := kafkatest.Admin(t, c).ListTopics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range topic.All() {
			want := s.Partitions
			if c.Embedded {
				want = s.EmbeddedPartitions
			}
			if got := len(details[s.Name].Partitions); got != int(want) {
				t.Errorf("%s has %d partitions, want %d", s.Name, got, want)
			}
		}
	})
}

func TestPrepareRefusesAMissingTopicWhenItMayNotMakeIt(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	if _, err := kafkatest.Admin(t, c).DeleteTopics(t.Context(), topic.Events); err != nil {
		t.Fatal(err)
	}
	c.EnsureTopics, c.Embedded = false, false
	err := kafka.Prepare(t.Context(), c, topic.All())
	if err == nil || !strings.Contains(err.Error(), topic.Events+" does not exist") {
		t.Errorf("Prepare = %v", err)
	}
}

func TestVerifyRefusesSettingsThatLoseRecords(t *testing.T) {
	c := kafkatest.Start(t).Config()
	adm := kafkatest.Admin(t, c)
	set := func(name, key, value string) {
		t.Helper()
		if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, name); err != nil {
			t.Fatal(err)
		}
	}
	set(topic.Deliveries, "cleanup.policy", "compact")
	set(topic.History, "retention.ms", "3600000")
	set(topic.Events, "max.message.bytes", "1000")
	findings, err := kafka.Verify(t.Context(), adm, topic.All(), kafka.EnsureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name, part string) bool {
		for _, f := range findings {
			if f.Topic == name && f.Severity == kafka.Refuse && strings.Contains(f.Message, part) {
				return true
			}
		}
		return false
	}
	for name, part := range map[string]string{
		topic.Deliveries:    "cleanup.policy=delete",
		topic.History:       "retention.ms",
		topic.Events:        "max.message.bytes",
		topic.Subscriptions: "cleanup.policy=compact",
		topic.Rejected:      "LogAppendTime",
	} {
		if !refused(name, part) {
			t.Errorf("%s is not refused for %s", name, part)
		}
	}
}

func TestEnsureRaisesTheRecordCapOfExistingTopics(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		adm := kafkatest.Admin(t, c)
		o := kafka.EnsureOptions{Embedded: c.Embedded, MaxRecordBytes: 4 << 20}
		if err := kafka.Ensure(t.Context(), adm, topic.All(), o); err != nil {
			t.Fatal(err)
		}
		large := c
		large.MaxRecordBytes = 4 << 20
		kafkatest.Produce(t, large, kafkatest.CDR(topic.CDRQueue, "", strings.Repeat("x", 4<<20)))
	})
}

func TestARecordAsLargeAsTheCapPassesAndALargerOneIsRefusedByTheClient(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRQueue, "", strings.Repeat("x", kafka.DefaultMaxRecordBytes)))
		client := kafkatest.Client(t, c, c.Producer()...)
		if err := client.ProduceSync(t.Context(), kafkatest.CDR(topic.CDRQueue, "", strings.Repeat("x", c.RecordCap()))).FirstErr(); err == nil {
			t.Error("a record over the cap was accepted")
		}
	})
}

// offsets as a group without commits fetches them.
func offsets(at int64) map[string]map[int32]kgo.Offset {
	o := kgo.NewOffset().AtStart()
	if at >= 0 {
		o = kgo.NewOffset().At(at)
	}
	return map[string]map[int32]kgo.Offset{topic.CDRTest: {0: o}}
}

func TestGuardOffsets(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		for range 10 {
			kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRTest, "", "{}"))
		}
		guard := func(startAt string, at int64) (int64, error) {
			t.Helper()
			c := c
			c.StartAt = startAt
			var stopped error
			got, err := c.GuardOffsets("g", func(err error) { stopped = err })(t.Context(), offsets(at))
			if !errors.Is(stopped, err) {
				t.Errorf("stop was called with %v, the error is %v", stopped, err)
			}
			return got[topic.CDRTest][0].EpochOffset().Offset, err
		}
		expect := func(what string, got int64, err error, want int64) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("%s: starts at %d, %v; want %d", what, got, err, want)
			}
		}
		got, err := guard("", -1)
		expect("a new group on a new log", got, err, 0)
		got, err = guard("", 4)
		expect("a committed offset", got, err, 4)
		got, err = guard("", 10)
		expect("a group that has read all", got, err, 10)
		if _, err = guard("", 11); !errors.Is(err, kafka.ErrOffsets) {
			t.Errorf("an offset beyond the end: %v", err)
		}

		trimmed, err := kafkatest.Admin(t, c).DeleteRecords(t.Context(), kadm.Offsets{topic.CDRTest: {0: {Topic: topic.CDRTest, At: 6}}})
		if err != nil || trimmed.Error() != nil {
			t.Fatal(err, trimmed.Error())
		}
		got, err = guard("", 4)
		expect("an offset before the start", got, err, 6)
		if _, err = guard("", -1); !errors.Is(err, kafka.ErrOffsets) || !strings.Contains(err.Error(), "AFTERCALL_START_AT") {
			t.Errorf("nothing committed on a trimmed log: %v", err)
		}
		got, err = guard("earliest", -1)
		expect("earliest", got, err, 6)
		got, err = guard("latest", -1)
		expect("latest", got, err, 10)
		got, err = guard(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), -1)
		expect("an hour ago", got, err, 6)
		got, err = guard("latest", 7)
		expect("a commit wins over the choice", got, err, 7)
	})
}

func TestReadAllSeesNoAbortedRecord(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		client := kafkatest.Client(t, c, append(c.Producer(), kgo.TransactionalID("aftercall-test"))...)
		for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			value := []string{"a", "aborted", "b", "aborted"}[i]
			if err := client.ProduceSync(t.Context(), kafkatest.CDR(topic.Events, "k", value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := client.EndTransaction(t.Context(), commit); err != nil {
				t.Fatal(err)
			}
		}
		var seen []string
		for _, r := range kafkatest.ReadAll(t, c, topic.Events) {
			seen = append(seen, string(r.Value))
		}
		if strings.Join(seen, " ") != "a b" {
			t.Errorf("read %q", seen)
		}
	})
}

func TestTheBrokerWorksOnAFakeClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := kafkatest.StartVirtual(t)
		kafkatest.Produce(t, b.Config(), kafkatest.CDR(topic.CDRTest, "", "{}"))
		time.Sleep(time.Hour)
		if got := kafkatest.ReadAll(t, b.Config(), topic.CDRTest); len(got) != 1 {
			t.Errorf("read %d records", len(got))
		}
		if time.Since(began) < time.Hour {
			t.Error("the clock is not fake")
		}
	})
}

func TestStartAtRefusesWhatItDoesNotKnow(t *testing.T) {
	if _, err := kafka.ParseStartAt("yesterday"); err == nil {
		t.Error("accepted")
	}
}

func TestTheBrokersOfAFreshClusterRaiseNoWarning(t *testing.T) {
	c := kafkatest.Real(t)
	findings, err := kafka.VerifyBrokers(t.Context(), kafkatest.Client(t, c))
	if err != nil || len(findings) > 0 {
		t.Errorf("findings %v, %v", findings, err)
	}
}
