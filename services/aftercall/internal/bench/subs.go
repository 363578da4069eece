package bench

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
)

// benchSecret signs the benchmark's requests.
const benchSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// subscriptionTo is one with the defaults that wants queue events.
func subscriptionTo(id, url string) *subscription.Subscription {
	return &subscription.Subscription{
		ID: id, Version: 1, Tenant: subscription.DefaultTenant, Name: id, Endpoint: url, Active: true,
		Events: []string{topic.TypeQueue}, Format: subscription.FormatCDR,
		MaxConcurrency: subscription.DefaultMaxConcurrency, Schedule: subscription.DefaultSchedule,
	}
}

// subscribe publishes subscriptions: new ones, or edited ones under a version of
// their own.
func (p *pipeline) subscribe(ctx context.Context, subs ...*subscription.Subscription) error {
	client, err := kgo.NewClient(append(p.at.kafka.Opts(), p.at.kafka.Producer()...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(subs))
	for i, s := range subs {
		if err := p.seal(s); err != nil {
			return err
		}
		records[i] = record.New(topic.Subscriptions, s.ID, subscription.ToProto(s), time.Now())
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func (p *pipeline) seal(s *subscription.Subscription) (err error) {
	if s.SealedSecret == nil {
		s.SealedSecret, err = p.keyset.Seal(s.ID, secret.FieldSecret, []byte(benchSecret))
	}
	return err
}
