package subscription

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// ToProto is the subscription as it stands on its topic. FromProto(ToProto(s))
// equals s, but for times being in UTC.
func ToProto(s *Subscription) *aftercallv1.Subscription {
	m := &aftercallv1.Subscription{
		Id:                   s.ID,
		Version:              s.Version,
		Tenant:               s.Tenant,
		Name:                 s.Name,
		Endpoint:             s.Endpoint,
		Active:               s.Active,
		PausedUntil:          toTimestamp(s.PausedUntil),
		Events:               s.Events,
		SealedSecret:         s.SealedSecret,
		SealedPreviousSecret: s.SealedPreviousSecret,
		PreviousSecretUntil:  toTimestamp(s.PreviousSecretUntil),
		SealedAbpSecret:      s.SealedAbpSecret,
		Format:               s.Format,
		OuScope:              s.OUScope,
		Filter:               s.Filter,
		MaxConcurrency:       int32(min(max(s.MaxConcurrency, math.MinInt32), math.MaxInt32)),
		RateLimit:            s.RateLimit,
		Schedule:             s.Schedule,
		Description:          s.Description,
		DisabledReason:       s.DisabledReason,
		DiscardBefore:        toTimestamp(s.DiscardBefore),
		Released:             released(s.Released),
		CreatedAt:            toTimestamp(s.CreatedAt),
		UpdatedAt:            toTimestamp(s.UpdatedAt),
		Deleted:              s.Deleted,
	}
	if s.Timeout != 0 {
		m.Timeout = durationpb.New(s.Timeout)
	}
	for _, h := range s.Headers {
		m.Headers = append(m.Headers, &aftercallv1.SubscriptionHeader{
			Name: h.Name, Value: h.Value, Secret: h.Secret, Sealed: h.Sealed,
		})
	}
	return m
}

// FromProto is the reverse of ToProto. The result shares its byte slices and
// lists with m.
func FromProto(m *aftercallv1.Subscription) *Subscription {
	s := &Subscription{
		ID:                   m.GetId(),
		Version:              m.GetVersion(),
		Tenant:               m.GetTenant(),
		Name:                 m.GetName(),
		Endpoint:             m.GetEndpoint(),
		Active:               m.GetActive(),
		PausedUntil:          fromTimestamp(m.GetPausedUntil()),
		Events:               m.GetEvents(),
		SealedSecret:         m.GetSealedSecret(),
		SealedPreviousSecret: m.GetSealedPreviousSecret(),
		PreviousSecretUntil:  fromTimestamp(m.GetPreviousSecretUntil()),
		SealedAbpSecret:      m.GetSealedAbpSecret(),
		Format:               m.GetFormat(),
		OUScope:              m.GetOuScope(),
		Filter:               m.GetFilter(),
		Timeout:              m.GetTimeout().AsDuration(),
		MaxConcurrency:       int(m.GetMaxConcurrency()),
		RateLimit:            m.GetRateLimit(),
		Schedule:             m.GetSchedule(),
		Description:          m.GetDescription(),
		DisabledReason:       m.GetDisabledReason(),
		DiscardBefore:        fromTimestamp(m.GetDiscardBefore()),
		CreatedAt:            fromTimestamp(m.GetCreatedAt()),
		UpdatedAt:            fromTimestamp(m.GetUpdatedAt()),
		Deleted:              m.GetDeleted(),
	}
	for _, h := range m.GetHeaders() {
		s.Headers = append(s.Headers, Header{
			Name: h.GetName(), Value: h.GetValue(), Secret: h.GetSecret(), Sealed: h.GetSealed(),
		})
	}
	for _, r := range m.GetReleased() {
		s.Released = append(s.Released, Position{r.GetTopic(), r.GetPartition(), r.GetOffset()})
	}
	return s
}

// A zero time is an absent field, and the other way round.
func toTimestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTimestamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func released(positions []Position) []*aftercallv1.Position {
	var out []*aftercallv1.Position
	for _, p := range positions {
		out = append(out, &aftercallv1.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
	}
	return out
}
