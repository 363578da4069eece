package webhooks

import (
	"context"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Missed is what a webhook did not get while Is Active was off.
type Missed struct {
	Events int64     `json:"events" doc:"Events that match it now and were not sent."`
	From   wire.Time `json:"from,omitzero" doc:"When it was switched off last. Left out when it never was."`
	To     wire.Time `json:"to,omitzero" doc:"When it was switched on again. Left out while it is off."`
	// Replay sends them.
	Replay *replay.Request `json:"replay,omitempty" doc:"What to POST to /replays to send them. Left out when there is nothing to send."`
}

// offLag is how long before the switch a call may have ended whose event came
// after it. What was delivered is skipped, so reaching back repeats nothing.
const offLag = time.Minute

// Missed counts it.
func (s *Service) Missed(ctx context.Context, id string) (*Missed, error) {
	sub, err := s.live(ctx, id)
	if err != nil {
		return nil, err
	}
	off, err := s.Store.LastOff(ctx, id)
	if err != nil || off.From.IsZero() {
		return &Missed{}, err
	}
	q := replay.Request{Mode: store.ReplayBackfill, From: off.From.Add(-offLag), To: off.To, Subscriptions: []string{id}, Why: "missed while it was off"}
	if q.From.Before(sub.CreatedAt) {
		q.From = sub.CreatedAt
	}
	out := &Missed{From: wire.At(off.From), To: wire.At(off.To)}
	counted, err := s.Replays.Count(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, n := range counted.Plan {
		// While it is off, everything is skipped for that.
		out.Events += n.Send + n.Skip[replay.SkipInactive]
	}
	if q.To.IsZero() {
		q.To = counted.To
	}
	if out.Events > 0 {
		out.Replay = &q
	}
	return out, nil
}
