package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
)

// tended is a broker with a folder and all topics, and a janitor that works when
// it is told to.
type tended struct {
	*janitor
	client *kgo.Client
	said   error
}

func tend(t *testing.T, dir string) *tended {
	t.Helper()
	b, err := Start(Config{Dir: dir, Logger: zap.NewNop(), OnFatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	c := b.Kafka()
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	adm := kadm.NewClient(client)
	if err := kafka.Ensure(t.Context(), adm, topic.All(), kafka.EnsureOptions{Embedded: true, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	x := &tended{client: client}
	x.janitor = &janitor{broker: b, adm: adm, log: zap.NewNop(), report: func(err error) { x.said = err }}
	return x
}

func (x *tended) produce(t *testing.T, name string, at ...time.Time) {
	t.Helper()
	for i, when := range at {
		r := &kgo.Record{Topic: name, Value: []byte(fmt.Sprint(i)), Timestamp: when}
		if err := x.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func (x *tended) commit(t *testing.T, group, name string, at int64) {
	t.Helper()
	var o kadm.Offsets
	o.AddOffset(name, 0, at, -1)
	if err := x.adm.CommitAllOffsets(t.Context(), group, o); err != nil {
		t.Fatal(err)
	}
}

func (x *tended) start(t *testing.T, name string) int64 {
	t.Helper()
	starts, err := x.adm.ListStartOffsets(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := starts.Lookup(name, 0)
	return o.Offset
}

func TestWhatIsOldAndReadIsDeleted(t *testing.T) {
	now := time.Now()
	old, young := now.Add(-8*24*time.Hour), now.Add(-6*24*time.Hour)
	x := tend(t, t.TempDir())
	x.produce(t, topic.CDRQueue, old, old, old, young, young)
	x.produce(t, topic.CDRAgent, old, old, old, old)
	x.produce(t, topic.CDRIvr, old, old, old)
	x.produce(t, topic.Events, old, old)
	x.produce(t, topic.GivenUp, old, old, now.Add(-29*24*time.Hour), old)
	x.produce(t, topic.Subscriptions, old, old)
	x.commit(t, topic.GroupRouter, topic.CDRQueue, 5)
	x.commit(t, topic.GroupRouter, topic.CDRAgent, 4)
	x.commit(t, topic.GroupRouter, topic.CDRIvr, 1)
	x.commit(t, "somebody-else", topic.CDRQueue, 0)
	if err := x.watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want int64
		why  string
	}{
		{topic.CDRQueue, 3, "the young ones stay"},
		{topic.CDRAgent, 3, "the last one stays, though it is old"},
		{topic.CDRIvr, 1, "what is not read stays"},
		{topic.Events, 0, "nobody has read it yet"},
		{topic.GivenUp, 0, "it keeps 28 days, from its first record on"},
		{topic.Subscriptions, 0, "it is kept for ever"},
	} {
		if got := x.start(t, c.name); got != c.want {
			t.Errorf("%s begins at %d, want %d: %s", c.name, got, c.want, c.why)
		}
	}
}

func TestWhenThereIsTooMuchWhatIsReadGoesHoweverYoung(t *testing.T) {
	now := time.Now()
	x := tend(t, t.TempDir())
	x.produce(t, topic.CDRQueue, now, now, now, now)
	x.commit(t, topic.GroupRouter, topic.CDRQueue, 2)
	x.broker.config.Limits.MaxData = 1
	if err := x.watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.sweep(t.Context(), now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := x.start(t, topic.CDRQueue); got != 2 {
		t.Errorf("the topic begins at %d, want 2: all that is read, and nothing else", got)
	}
}

func TestWithoutRoomCDRsAreRefusedAndTheRestGoesOn(t *testing.T) {
	for what, crowd := range map[string]func(*Limits){
		"disk": func(l *Limits) { l.KeepFree = 1 << 60 },
		"data": func(l *Limits) { l.MaxData = 1 },
	} {
		t.Run(what, func(t *testing.T) {
			x := tend(t, t.TempDir())
			x.produce(t, topic.CDRQueue, time.Now())
			crowd(&x.broker.config.Limits)
			if err := x.watch(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !errors.Is(x.said, ErrNoRoom) {
				t.Fatalf("it says %v", x.said)
			}
			c := x.broker.Kafka()
			hasty, err := kgo.NewClient(append(append(c.Opts(), c.Producer()...), kgo.RecordDeliveryTimeout(time.Second))...)
			if err != nil {
				t.Fatal(err)
			}
			defer hasty.Close()
			if err := hasty.ProduceSync(t.Context(), &kgo.Record{Topic: topic.CDRQueue, Value: []byte("{}")}).FirstErr(); err == nil {
				t.Fatal("a CDR was taken without room for it")
			}
			x.produce(t, topic.History, time.Now())
			x.produce(t, topic.CDRSystem, time.Now())

			// A client that tries on is served as soon as there is room.
			patient, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
			if err != nil {
				t.Fatal(err)
			}
			defer patient.Close()
			done := make(chan error, 1)
			patient.Produce(context.Background(), &kgo.Record{Topic: topic.CDRQueue, Value: []byte("{}")}, func(_ *kgo.Record, err error) { done <- err })
			x.broker.config.Limits = Limits{KeepFree: 1, MaxData: 1 << 60}
			if err := x.watch(t.Context()); err != nil {
				t.Fatal(err)
			}
			if x.said != nil {
				t.Errorf("with room it still says %v", x.said)
			}
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("the CDR of a patient client: %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("the CDR of a patient client was not taken")
			}
		})
	}
}

func TestTendSaysThatThereIsRoomAndEndsWithItsContext(t *testing.T) {
	x := tend(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	said := make(chan error, 1)
	ended := make(chan error, 1)
	go func() { ended <- x.broker.Tend(ctx, func(err error) { once.Do(func() { said <- err }) }) }()
	if err := <-said; err != nil {
		t.Errorf("it says %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
