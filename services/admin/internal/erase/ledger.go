package erase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin/internal/ack"
)

// reconcileEvery is how often store and ledger are compared.
const reconcileEvery = 10 * time.Minute

// Ledger remembers erasures outside of the store.
type Ledger interface {
	// Read is all it has.
	Read(ctx context.Context) (map[string]store.KeptErasure, error)
	// Write returns when it is kept.
	Write(ctx context.Context, k store.KeptErasure) error
}

// reconcile makes store and ledger know the same erasures: a restored store learns
// what was erased since, and erases it again.
func (s *Service) reconcile(ctx context.Context) error {
	kept, err := s.Ledger.Read(ctx)
	if err != nil {
		return fmt.Errorf("reading kept erasures: %w", err)
	}
	here, err := s.Store.KeptErasures(ctx)
	if err != nil {
		return err
	}
	for _, k := range here {
		if _, there := kept[k.ID]; there {
			delete(kept, k.ID)
			continue
		}
		if err := s.Ledger.Write(ctx, k); err != nil {
			return fmt.Errorf("keeping an erasure: %w", err)
		}
	}
	for _, k := range kept {
		if !k.KeptUntil.IsZero() && k.KeptUntil.Before(time.Now()) {
			continue
		}
		if k.Copies, err = s.Copies.Of(ctx, k.CreatedAt); err != nil {
			return err
		}
		restored, err := s.Store.RestoreErasure(ctx, k)
		if err != nil {
			return err
		}
		if restored {
			s.Logger.Warn("erasure.restored", zap.String("erasure", k.ID), zap.Time("requested_at", k.CreatedAt))
		}
	}
	return nil
}

// Records are a Ledger in aftercall.subscriptions.
type Records struct {
	Kafka    kafka.Config
	Producer ack.Producer
}

// Write produces a record.
func (l Records) Write(ctx context.Context, k store.KeptErasure) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m := &aftercallv1.Erasure{Id: k.ID, Kind: k.Kind, KeyId: k.KeyID, Digest: k.Digest, RequestedBy: k.RequestedBy, RequestedAt: timestamppb.New(k.CreatedAt), Until: timestamppb.New(k.Until)}
	if !k.KeptUntil.IsZero() {
		m.KeptUntil = timestamppb.New(k.KeptUntil)
	}
	return ack.Wait(ctx, l.Producer, record.New(topic.Subscriptions, record.ErasureKey(k.ID), m, time.Now()))
}

// Read reads the topic to the end that it has now.
func (l Records) Read(ctx context.Context) (map[string]store.KeptErasure, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kgo.NewClient(append(l.Kafka.Opts(), kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic.Subscriptions: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	bound := func(listed kadm.ListedOffsets, err error) (int64, error) {
		if err != nil {
			return 0, err
		}
		o, ok := listed.Lookup(topic.Subscriptions, 0)
		if !ok {
			return 0, errors.New(topic.Subscriptions + " has no partition 0")
		}
		return o.Offset, o.Err
	}
	next, err := bound(admin.ListStartOffsets(ctx, topic.Subscriptions))
	if err != nil {
		return nil, err
	}
	end, err := bound(admin.ListCommittedOffsets(ctx, topic.Subscriptions))
	if err != nil {
		return nil, err
	}
	out := map[string]store.KeptErasure{}
	for next < end {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if r.Attrs.IsControl() || record.Kind(r) != record.KindErasure {
				return
			}
			if m, err := record.OpenAs[*aftercallv1.Erasure](r); err == nil {
				out[m.GetId()] = keptOf(m)
			}
		})
	}
	return out, nil
}

func keptOf(m *aftercallv1.Erasure) store.KeptErasure {
	k := store.KeptErasure{ID: m.GetId(), Kind: m.GetKind(), KeyID: m.GetKeyId(), Digest: m.GetDigest(), RequestedBy: m.GetRequestedBy(),
		CreatedAt: m.GetRequestedAt().AsTime(), Until: m.GetUntil().AsTime()}
	if m.GetKeptUntil() != nil {
		k.KeptUntil = m.GetKeptUntil().AsTime()
	}
	return k
}
