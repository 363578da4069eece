package transact

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

// errUnconfirmed says that a transaction ended without a clear answer, and that
// the broker did commit it: the client's own idea of the position is too old.
var errUnconfirmed = errors.New("the broker committed a batch that it had not confirmed")

// revocations counts partitions being taken away, so that an abort because of
// it is told from one without a cause.
type revocations struct{ n atomic.Int64 }

func (r *revocations) note(context.Context, *kgo.Client, map[string][]int32) { r.n.Add(1) }

// tally is what a batch amounts to.
type tally struct {
	events, duplicates, rejected, deliveries int
	output                                   []*kgo.Record
	bytes                                    int64
	firstRejection                           *aftercallv1.Rejection
}

func (t *tally) add(o route.Outcome, records []*kgo.Record) {
	switch {
	case o.Rejection != nil:
		t.rejected++
		if t.firstRejection == nil {
			t.firstRejection = o.Rejection
		}
	case o.Event.GetDuplicateOf() != nil:
		t.duplicates++
	default:
		t.events++
	}
	t.deliveries += len(o.Deliveries)
	t.output = append(t.output, records...)
	for _, r := range records {
		t.bytes += int64(len(r.Key) + len(r.Value))
	}
}

// batch routes records in one transaction. ok says that it was committed. An
// error means that the client is of no more use.
func (l *Loop) batch(session *kgo.GroupTransactSession, revoked *revocations, records []*kgo.Record) (ok bool, err error) {
	began := l.now()
	before := revoked.n.Load()
	var t tally
	spans := traced{tracer: l.config.Tracer}
	fitted := len(records)
	for i, in := range records {
		outcome := l.router.Route(in, func(id string) *route.First { return l.repeats.first(in, id) }, began)
		l.repeats.note(in, outcome)
		spans.begin(in, &outcome, began)
		t.add(outcome, outcome.Records(began))
		if outgrown(len(t.output), t.bytes) && len(records) > 1 {
			fitted = i
			t.output = nil
			break
		}
	}
	overflow := fitted < len(records)

	if err := session.Begin(); err != nil {
		l.repeats.abort()
		return false, fmt.Errorf("beginning a transaction: %w", err)
	}
	produceErr := l.produce(session, t.output)
	committed, err := session.End(context.Background(), kgo.TransactionEndTry(produceErr == nil && !overflow))
	spans.end(committed, l.now())
	if committed {
		l.repeats.commit()
		l.size.committed(len(records), len(t.output), t.bytes)
		l.count(&t, began)
		return true, nil
	}
	l.repeats.abort()
	switch {
	case produceErr != nil && l.isTerminal(produceErr, len(records)):
		l.metrics.aborts.WithLabelValues(abortProduce).Inc()
		return false, fatal{fmt.Errorf("producing what %s/%d offset %d becomes: %w", records[0].Topic, records[0].Partition, records[0].Offset, kafka.Explained(produceErr))}
	case err != nil:
		l.metrics.aborts.WithLabelValues(abortEnd).Inc()
		l.size.failed(len(records))
		return false, fmt.Errorf("ending a transaction: %w", errors.Join(err, produceErr))
	case overflow:
		l.metrics.aborts.WithLabelValues(abortOverflow).Inc()
		l.size.overflowed(fitted)
		return true, nil // nothing is wrong: the same records follow in smaller parts
	case produceErr != nil:
		l.metrics.aborts.WithLabelValues(abortProduce).Inc()
		l.size.failed(len(records))
		l.logger.Warn("batch.aborted", zap.Int("records", len(records)), zap.Error(produceErr))
		return false, nil
	}
	l.metrics.aborts.WithLabelValues(abortRebalance).Inc()
	l.size.failed(len(records))
	if revoked.n.Load() != before {
		return false, nil
	}
	return false, l.confirmAbort(session.Client(), records)
}

// confirmAbort asks the broker whether a batch that was to be committed really
// was not. An answer that got lost must not become a repeat.
func (l *Loop) confirmAbort(client *kgo.Client, records []*kgo.Record) error {
	offsets, err := l.stableOffsets(client)
	if err != nil {
		return fmt.Errorf("asking what is committed: %w", err)
	}
	for _, r := range records {
		if o, ok := offsets.Lookup(r.Topic, r.Partition); ok && o.At > r.Offset {
			return errUnconfirmed
		}
	}
	return nil
}

// produce writes records and waits until each is written or refused.
func (l *Loop) produce(session *kgo.GroupTransactSession, records []*kgo.Record) error {
	var first kgo.FirstErrPromise
	for _, r := range records {
		session.Produce(context.Background(), r, first.Promise())
	}
	// Flushing does not wait for more records to fill a batch.
	if err := session.Client().Flush(context.Background()); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	return first.Err()
}

// isTerminal says that an error of a produce will be the same the next time. A
// record that is too large is told from its batch by being alone in it.
func (l *Loop) isTerminal(err error, inputs int) bool {
	return l.config.Kafka.Denied(err) || errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) ||
		inputs == 1 && (errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord))
}

func (l *Loop) count(t *tally, began time.Time) {
	took := l.now().Sub(began)
	l.metrics.records.WithLabelValues(outcomeEvent).Add(float64(t.events))
	l.metrics.records.WithLabelValues(outcomeDuplicate).Add(float64(t.duplicates))
	l.metrics.records.WithLabelValues(outcomeRejected).Add(float64(t.rejected))
	l.metrics.deliveries.Add(float64(t.deliveries))
	l.metrics.transactions.Observe(took.Seconds())
	l.health(nil)
	l.logger.Debug("batch.routed", zap.Int("events", t.events), zap.Int("duplicates", t.duplicates), zap.Int("rejected", t.rejected),
		zap.Int("deliveries", t.deliveries), zap.Int64("bytes", t.bytes), zap.Duration("took", took))
	if r := t.firstRejection; r != nil {
		p := r.GetPosition()
		l.logger.Warn("cdr.rejected", zap.Int("count", t.rejected), zap.String("code", r.GetCode()), zap.String("field", r.GetField()),
			zap.String("topic", p.GetTopic()), zap.Int32("partition", p.GetPartition()), zap.Int64("offset", p.GetOffset()))
	}
}

// skip rejects a compressed batch that unpacks to more than a client will hold,
// as a range, and goes on behind it: rejection and position in one transaction.
func (l *Loop) skip(session *kgo.GroupTransactSession, bomb *kgo.ErrDecompressTooLarge) error {
	now := l.now()
	rejection := &aftercallv1.Rejection{
		Position:   &aftercallv1.Position{Topic: bomb.Topic, Partition: bomb.Partition, Offset: bomb.Offset},
		LastOffset: bomb.NextOffset - 1,
		Code:       cdr.CodeBatchTooLarge,
		Reason:     "the compressed batch of these records unpacks to more than 64 MiB; produce smaller batches",
		RejectedAt: timestamppb.New(now),
	}
	if err := session.Begin(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	produceErr := l.produce(session, []*kgo.Record{
		record.New(topic.Rejected, route.SourceKey(bomb.Topic, bomb.Partition), rejection, now),
	})
	// The session commits what was polled; nothing of this partition was.
	behind := kgo.PreTxnCommitFnContext(context.Background(), func(req *kmsg.TxnOffsetCommitRequest) error {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = bomb.Partition, bomb.NextOffset, bomb.Epoch, &req.MemberID
		for i := range req.Topics {
			if req.Topics[i].Topic == bomb.Topic {
				req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
				return nil
			}
		}
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.Partitions = bomb.Topic, []kmsg.TxnOffsetCommitRequestTopicPartition{p}
		req.Topics = append(req.Topics, t)
		return nil
	})
	committed, err := session.End(behind, kgo.TransactionEndTry(produceErr == nil))
	if err != nil || !committed {
		l.metrics.aborts.WithLabelValues(abortEnd).Inc()
		return fmt.Errorf("rejecting a batch too large to unpack: not committed: %w", errors.Join(err, produceErr))
	}
	session.Client().SetOffsets(map[string]map[int32]kgo.EpochOffset{
		bomb.Topic: {bomb.Partition: {Epoch: bomb.Epoch, Offset: bomb.NextOffset}},
	})
	l.count(&tally{rejected: int(bomb.NextOffset - bomb.Offset), firstRejection: rejection}, now)
	return nil
}
