//go:build proof

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// onCluster are three brokers, and all services under load on them.
type onCluster struct {
	*cluster
	stage    *stage
	admin    *kadm.Client
	receiver *receiver
	upstream *upstream
	// stop ends the load.
	stop func() int
	// limit is what may be repeated.
	limit int
}

func clusterUnderLoad(t *testing.T, perSecond int) *onCluster {
	t.Helper()
	c := newCluster(t, 3, nil)
	k := c.config()
	makeTopics(t, k)
	s := newStage(t, t.TempDir(), k, realDatabase(t))
	s.env = append(s.env, "AFTERCALL_TOPIC_REPLICATION=3")
	o := &onCluster{cluster: c, stage: s, admin: kafkatest.Admin(t, k), receiver: newReceiver(t, listen.Options{Delay: 5 * time.Millisecond}), upstream: newUpstream(t, k)}
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: o.receiver.URL + "/ok"})
	for _, name := range []string{"router", "projector"} {
		s.start(name)
	}
	s.start("sender", append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...)...)
	o.stop = o.upstream.sustain(topic.CDRQueue, perSecond)
	return o
}

// cut counts what one fault may repeat: a sender that is cut off from its group
// makes again what it could not commit.
func (o *onCluster) cut() {
	o.limit += inFlight + int(float64(rate(o.receiver.since(10*time.Second)))*5)
}

// finish judges, and writes the line.
func (o *onCluster) finish(fault string, runs int, back *recovery) {
	total := o.stop()
	o.stage.settled(o.receiver, total)
	report := o.stage.judge(o.upstream, o.receiver, o.limit)
	note(o.t, proven{fault, "real Kafka (3 nodes), PostgreSQL", runs, total, lost(report), report.Repeats, o.limit, back.String()})
}

// topics are all, those for groups and transactions too.
func (o *onCluster) topics() kadm.TopicDetails {
	o.t.Helper()
	var topics kadm.TopicDetails
	wait(o.t, "the topics", func() bool {
		ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
		defer cancel()
		var err error
		topics, err = o.admin.ListTopicsWithInternal(ctx)
		return err == nil && topics.Error() == nil
	})
	return topics
}

// moveLeaders has the next replica lead each partition, and returns when it does.
func (o *onCluster) moveLeaders() {
	o.t.Helper()
	topics := o.topics()
	var moves kadm.AlterPartitionAssignmentsReq
	wanted, all := map[string]map[int32]int32{}, kadm.TopicsSet{}
	topics.EachPartition(func(p kadm.PartitionDetail) {
		rotated := append(append([]int32{}, p.Replicas[1:]...), p.Replicas[0])
		moves.Assign(p.Topic, p.Partition, rotated)
		if wanted[p.Topic] == nil {
			wanted[p.Topic] = map[int32]int32{}
		}
		wanted[p.Topic][p.Partition] = rotated[0]
		all.Add(p.Topic, p.Partition)
	})
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	if answers, err := o.admin.AlterPartitionAssignments(ctx, moves); err != nil || answers.Error() != nil {
		o.t.Fatal(err, answers.Error())
	}
	wait(o.t, "the leaders to move", func() bool {
		// Those that lead already answer with an error.
		if _, err := o.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, all); err != nil {
			return false
		}
		moved := true
		o.topics().EachPartition(func(p kadm.PartitionDetail) {
			moved = moved && p.Leader == wanted[p.Topic][p.Partition]
		})
		return moved
	})
}

func TestProofThatLeadersThatMoveAllTheTimeLoseNothing(t *testing.T) {
	o := clusterUnderLoad(t, 200)
	n := kills(t, 60)
	var back recovery
	for range n {
		o.whole(o.admin)
		o.cut()
		o.moveLeaders()
		before := o.receiver.requests()
		back.until(t, "requests after the move", func() bool { return o.receiver.requests() > before+inFlight })
		moment(5 * time.Second)
	}
	o.finish("all leaders moved, those of groups and transactions too, every few seconds", n, &back)
}
