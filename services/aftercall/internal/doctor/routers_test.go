package doctor

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// takeOver makes a router's member of the group, which takes the name from another,
// and returns once it has its partitions.
func takeOver(ctx context.Context, c kafka.Config, name string) (*kgo.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, kafkatest.Patience)
	defer cancel()
	member, err := kgo.NewClient(slices.Concat(c.Opts(), c.Group(kafka.GroupOptions{Group: topic.GroupRouter, Topics: []string{topic.CDRQueue}, Instance: name}),
		[]kgo.Opt{
			kgo.ClientID(topic.GroupRouter + "-" + name), kgo.TransactionalID(topic.GroupRouter + "-" + name),
			kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { cancel() }),
		})...)
	if err != nil {
		return nil, err
	}
	<-ctx.Done()
	return member, nil
}

func takePart(t testing.TB, c kafka.Config, name string) *kgo.Client {
	t.Helper()
	member, err := takeOver(t.Context(), c, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	return member
}

func epoch(t testing.TB, adm *kadm.Client, name string) int16 {
	t.Helper()
	id := topic.GroupRouter + "-" + name
	described, err := adm.DescribeTransactions(t.Context(), id)
	if err != nil || described[id].Err != nil {
		t.Fatal(err, described[id].Err)
	}
	return described[id].ProducerEpoch
}

func TestARouterThatJustCommitsIsAloneUnderItsName(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		adm := kafkatest.Admin(t, c)
		router := takePart(t, c, "router-0")
		if _, _, err := router.ProducerID(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := epoch(t, adm, "router-0")
		var w watched
		for range 2 * takeovers {
			if err := w.look(t.Context(), adm); err != nil {
				t.Fatal(err)
			}
			if err := router.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := router.ProduceSync(t.Context(), &kgo.Record{Topic: topic.Events, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := router.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
		}
		if moved := epoch(t, adm, "router-0") - before; moved < takeovers {
			t.Errorf("the epoch moved %d times: these commits prove nothing", moved)
		}
		if twins := w.twins(); len(twins) != 0 || len(w.hosts) != 1 {
			t.Errorf("%q of %v", twins, w.hosts)
		}
	})
}

func TestANameThatIsTakenOverAgainAndAgainBelongsToTwoRouters(t *testing.T) {
	c := kafkatest.Start(t).Config()
	adm := kafkatest.Admin(t, c)
	var w watched
	for i := range takeovers + 1 {
		takePart(t, c, "router-0")
		if err := w.look(t.Context(), adm); err != nil {
			t.Fatal(err)
		}
		twins := w.twins()
		if i < takeovers && len(twins) != 0 {
			t.Errorf("a restart is taken for two routers: %q", twins)
		}
		if i == takeovers && (len(twins) != 1 || twins[0] != "the name router-0 was taken over 2 times while it was watched") {
			t.Errorf("%q", twins)
		}
	}
}
