package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/cdrclient"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// log of when calls were sent, counted from its making.
type sendLog struct {
	start time.Time
	mu    sync.Mutex
	at    []time.Duration
}

func (l *sendLog) send(_ context.Context, records ...cdrclient.CDR) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Since(l.start))
	return nil
}

func TestSixCallsInTheFirstFiveSecondsThenOneEachTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &sendLog{start: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		if err := run(ctx, Options{Burst: 6, Interval: 10 * time.Second}, l.send); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{0, 833333333, 1666666666, 2500 * time.Millisecond, 3333333333, 4166666666, 5 * time.Second, 15 * time.Second, 25 * time.Second, 35 * time.Second}
		if !slices.Equal(l.at, want) {
			t.Fatalf("calls ended at %v, want %v", l.at, want)
		}
	})
}

func TestTheRateIsKeptHoweverSlowTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &sendLog{start: time.Now()}
		slow := func(ctx context.Context, records ...cdrclient.CDR) error {
			time.Sleep(500 * time.Millisecond) // on the fake clock: a slow acknowledgement
			return l.send(ctx, records...)
		}
		if err := run(t.Context(), Options{Calls: 100, Rate: 50}, slow); err != nil {
			t.Fatal(err)
		}
		if len(l.at) != 100 || l.at[99] != 99*20*time.Millisecond+500*time.Millisecond {
			t.Fatalf("%d calls, the last one at %v", len(l.at), l.at[len(l.at)-1])
		}
	})
}

func TestTheFirstFailureEndsTheRunAndIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		err := run(t.Context(), Options{Interval: time.Second}, func(context.Context, ...cdrclient.CDR) error { return broken })
		if !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestWhatIsBeingSentWhenTheContextEndsIsSentWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var whole bool
		err := run(ctx, Options{Interval: time.Second}, func(sending context.Context, _ ...cdrclient.CDR) error {
			cancel()
			time.Sleep(time.Second) // on the fake clock
			whole = sending.Err() == nil
			return sending.Err()
		})
		if err != nil || !whole {
			t.Fatalf("cut off: %v", err)
		}
	})
}

func TestARunThatIsStoppedEndsWithThatItIsDoneInPart(t *testing.T) {
	c := kafkatest.Start(t).Config()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := Command()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs([]string{"--brokers", c.Brokers[0], "--calls", "1000", "--interval", "1h"})
	first := kafkatest.Client(t, c, kgo.ConsumeTopics(topic.CDRIvr, topic.CDRQueue, topic.CDRAgent, topic.CDRRecording), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	go func() {
		// The first call goes out at once, the second in an hour.
		for ctx.Err() == nil && first.PollFetches(ctx).Empty() {
		}
		cancel()
	}()
	err := cmd.ExecuteContext(ctx)
	var exit *client.ExitError
	if !errors.As(err, &exit) || exit.Code != client.ExitPartly || !strings.Contains(err.Error(), "stopped after 1 of 1000 calls") {
		t.Errorf("it ends with %v", err)
	}
}

func TestSimulatedCallsArriveOnTheirTopics(t *testing.T) {
	kafkatest.OnBoth(t, simulatedCallsArriveOnTheirTopics)
}

func simulatedCallsArriveOnTheirTopics(t *testing.T, c kafka.Config) {
	var progress bytes.Buffer
	if err := Run(t.Context(), Options{Brokers: c.Brokers, Calls: 25, Rate: 500, Seed: 5, Tenant: "contoso", Mix: Mix{Answered: 1}, Opening: []string{Transferred}, Progress: &progress}); err != nil {
		t.Fatal(err)
	}
	perTopic, events := map[string]int{}, map[string]bool{}
	for _, r := range kafkatest.ReadAll(t, c, topic.CDRIvr, topic.CDRQueue, topic.CDRAgent, topic.CDRRecording) {
		in := cdr.Input{Topic: r.Topic, TypeOfTopic: topic.Sources[r.Topic], Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
		for _, h := range r.Headers {
			in.Headers = append(in.Headers, cdr.Header{Key: h.Key, Value: h.Value})
		}
		got, err := cdr.Decode(in)
		if err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		if got.CallID != string(r.Key) || got.Tenant != "contoso" || got.Source != "aftercall/simulator" || len(got.Warnings) != 0 {
			t.Fatalf("key %s: %+v", r.Key, got)
		}
		perTopic[r.Topic]++
		events[got.EventID] = true
	}
	// The first is transferred, all others are one queue call each; not all are recorded.
	if perTopic[topic.CDRIvr] != 25 || perTopic[topic.CDRQueue] < 26 || perTopic[topic.CDRAgent] != perTopic[topic.CDRQueue] || perTopic[topic.CDRRecording] < 10 {
		t.Fatalf("per topic %v, %d events", perTopic, len(events))
	}
	if want := fmt.Sprintf("sent: 25 calls, %d records in ", len(events)); !strings.HasPrefix(progress.String(), want) {
		t.Errorf("progress says %q, want %q", progress.String(), want)
	}
}

func TestAWrongBrokerAddressIsNamedAtOnce(t *testing.T) {
	// Its client alone would try on for minutes.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	address := kafkatest.Address(t)
	err := Run(ctx, Options{Brokers: []string{address}, Calls: 1})
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--calls", "-1"}, {"--rate", "-1"}, {"--rate", "NaN"}, {"--interval", "-1s"}, {"--brokers", ""}, {"--rate", "1", "--interval", "1s"}, {"--mix", "nobody=1"}, {"extra"}} {
		cmd := Command()
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		if cmd.ExecuteContext(t.Context()) == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
