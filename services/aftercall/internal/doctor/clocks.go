package doctor

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

// tail is how many of the last records of a partition are looked at.
const tail = 20

// brokerClock compares clocks by the last records of routers and senders: each
// holds the time by the clock of who wrote it, and the broker's stamp. Writing
// takes a while, so the one that took least counts. A stamp that is later than now
// shows that this machine is behind.
func (m Machine) brokerClock(ctx context.Context, r *Report, s settings, client *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	adm := kadm.NewClient(client)
	for _, of := range []struct {
		who, topic string
		written    func(m any) time.Time
	}{
		{"routers", topic.Events, func(v any) time.Time {
			e, _ := v.(*aftercallv1.Event)
			return e.GetRoutedAt().AsTime()
		}},
		{"senders", topic.History, func(v any) time.Time {
			a, _ := v.(*aftercallv1.Attempt)
			return a.GetStartedAt().AsTime().Add(a.GetTimings().GetTotal().AsDuration())
		}},
	} {
		from, to, err := newest(ctx, s.Kafka, adm, of.topic, tail)
		if err != nil {
			continue // the topics are another finding
		}
		var least time.Duration
		var stamped time.Time
		seen := false
		err = broker.ReadRange(ctx, s.Kafka, of.topic, from, to, func(rec *kgo.Record) error {
			if rec.Timestamp.After(stamped) {
				stamped = rec.Timestamp
			}
			v, err := record.Open(rec)
			if err != nil {
				return nil //nolint:nilerr // a newer kind says nothing here
			}
			written := of.written(v)
			if written.Unix() <= 0 {
				return nil
			}
			if took := rec.Timestamp.Sub(written); !seen || took.Abs() < least.Abs() {
				least, seen = took, true
			}
			return nil
		})
		if err != nil || !seen {
			continue
		}
		m.skew(r, "the brokers", "that of the "+of.who, least, 0)
		if ahead := stamped.Sub(m.Now()); ahead > clockWarn {
			m.skew(r, "this machine", "that of the brokers", -ahead, 0)
		}
	}
}
