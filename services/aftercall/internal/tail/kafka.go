package tail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/feed"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// namesWait is how long names of subscriptions may take to be known; their ids
// stand for them otherwise.
const namesWait = 10 * time.Second

// read reads the history from its end as of now until ctx ends. The client keeps
// its place over lost connections.
func (t *tailer) read(ctx context.Context, c kafka.Config) error {
	if err := kafka.Ping(ctx, c); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	names, err := feed.New(c, nil)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- names.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.say(err.Error()) // names were not followed to the end
		}
	}()
	select {
	case <-names.Ready():
	case <-time.After(namesWait):
	case err := <-ended:
		ended <- err
		if err != nil {
			return err
		}
	}
	if t.filter.Subscription != "" {
		t.filter.Subscription = idOf(names, t.filter.Subscription)
	}
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic.History)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("finding the end of %s: %w", topic.History, err)
	}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = kgo.NewOffset().At(o.Offset) })
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic.History: from})
	t.began()
	lost := false
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			if final(e.Err) {
				return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
			if !lost {
				t.say(fmt.Sprintf("reading %s/%d: %v; trying again", e.Topic, e.Partition, e.Err))
			}
			lost = true
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			lost = false
			a, err := record.OpenAs[*aftercallv1.Attempt](r)
			if err != nil || failed != nil {
				return // a deferral, a change, or what the projector complains about
			}
			one := rowOf(a, r)
			if s, ok := names.Get(one.SubscriptionID); ok {
				one.SubscriptionName = s.Name
			}
			if t.filter.match(one) {
				failed = t.print(one, nil)
			}
		})
		if failed != nil {
			return failed
		}
	}
}

// final errors do not pass.
func final(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss) || errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID) ||
		errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.SaslAuthenticationFailed)
}

// idOf is the id of a subscription that is named, or what was given.
func idOf(names *feed.Feed, name string) string {
	if s, ok := names.Get(name); ok {
		return s.ID
	}
	id := name
	names.Each(func(s *subscription.Subscription) {
		if s.Name == name {
			id = s.ID
		}
	})
	return id
}

// rowOf is the row that the store will have.
func rowOf(m *aftercallv1.Attempt, r *kgo.Record) *row {
	total := m.GetTimings().GetTotal().AsDuration()
	one := &row{
		AttemptID: store.CleanID(m.GetAttemptId()), DeliveryID: store.CleanID(m.GetDeliveryId()), EventID: store.CleanID(m.GetEventId()),
		SubscriptionID: store.CleanID(m.GetSubscriptionId()), EventType: store.CleanID(m.GetEventType()), CallID: store.CleanID(m.GetCallId()),
		Cause: store.CauseWord(m.GetCause()), Attempt: m.GetAttempt(), AttemptsAllowed: m.GetAttemptsAllowed(), StartedAt: at(m.GetStartedAt()),
		Result: store.ResultWord(m.GetResult()), ErrorClass: store.ErrorWord(m.GetErrorClass()), HTTPStatus: m.GetHttpStatus(), DurationMS: total.Milliseconds(),
		NextAttemptAt: at(m.GetNextAttemptAt()), State: store.StateWord(m.GetState()), Reason: store.CleanID(m.GetReason()),
	}
	one.SubscriptionName = one.SubscriptionID
	if one.StartedAt.IsZero() {
		one.StartedAt = moment{r.Timestamp}
	}
	if one.Reason == "" {
		one.Reason = store.CleanID(m.GetStateReason())
	}
	if occurred := at(m.GetOccurredAt()); one.Result == store.ResultDelivered && !occurred.IsZero() {
		ms := one.StartedAt.Add(total).Sub(occurred.Time).Milliseconds()
		one.EndToDeliveredMS = &ms
	}
	return one
}

func at(t *timestamppb.Timestamp) moment {
	if t == nil {
		return moment{}
	}
	return moment{store.CleanTime(t.AsTime())}
}
