package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const attemptColumns = `a.attempt_id, a.delivery_id, a.event_id, a.subscription_id, coalesce(s.name, ''), a.event_type, a.call_id, a.cause,
	a.attempt, a.attempts_allowed, a.started_at, a.result, a.error_class, a.http_status, a.duration_ms, a.call_end_to_delivered_ms,
	a.next_attempt_at, a.state, a.reason`

const attemptTables = ` from attempts a left join subscriptions s on s.id = a.subscription_id`

func (a *Attempt) into() []any {
	return []any{&a.AttemptID, &a.DeliveryID, &a.EventID, &a.SubscriptionID, &a.SubscriptionName, &a.EventType, &a.CallID, &a.Cause,
		&a.Attempt, &a.AttemptsAllowed, instant{&a.StartedAt}, &a.Result, &a.ErrorClass, &a.HTTPStatus, &a.DurationMS, &a.CallEndToDeliveredMS,
		instant{&a.NextAttemptAt}, &a.State, &a.Reason}
}

// Attempts is a page of attempts, newest first, and the cursor of the next one.
func (d *DB) Attempts(ctx context.Context, q AttemptQuery) ([]Attempt, string, error) {
	f := &filter{d: d}
	f.equal("a.subscription_id", q.SubscriptionID)
	f.equal("a.event_type", q.EventType)
	f.equal("a.delivery_id", q.DeliveryID)
	// Attempts have no index of calls and events; events and deliveries do.
	if q.CallID != "" {
		f.add("a.delivery_id in (select delivery_id from deliveries where event_id in (select event_id from events where call_id = %s and call_id <> ''))", CleanID(q.CallID))
	}
	if q.EventID != "" {
		f.add("a.delivery_id in (select delivery_id from deliveries where event_id = %s)", CleanID(q.EventID))
	}
	f.result("a.result", q.Result)
	f.equal("a.state", q.State)
	f.equal("a.error_class", q.ErrorClass)
	f.status("a.http_status", q.Status)
	f.cause("a.cause", q.Cause)
	f.within("a.attempt", q.MinAttempt, q.MaxAttempt)
	f.between("a.started_at", q.From, q.To)
	limit, tail, err := f.page("attempts", "a.started_at", "a.attempt_id", q.Page)
	if err != nil {
		return nil, "", err
	}
	// The page first, then the names: the order of an index ends at a join.
	out, err := d.attemptsFrom(ctx, ` from (select * from attempts a`+f.text()+tail+`) a left join subscriptions s on s.id = a.subscription_id`,
		" order by a.started_at desc, a.attempt_id desc", f.args)
	if err != nil {
		return nil, "", err
	}
	return pageOf(d, "attempts", out, limit, func(a *Attempt) (time.Time, string) { return a.StartedAt, a.AttemptID })
}

func (d *DB) attempts(ctx context.Context, tail string, args []any) ([]Attempt, error) {
	return d.attemptsFrom(ctx, attemptTables, tail, args)
}

// attemptsFrom reads attempts (a) and their subscriptions (s) from these tables.
func (d *DB) attemptsFrom(ctx context.Context, tables, tail string, args []any) ([]Attempt, error) {
	var out []Attempt
	err := d.read(ctx, `select `+attemptColumns+tables+tail, args, func(rows *sql.Rows) error {
		var a Attempt
		err := rows.Scan(a.into()...)
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading attempts: %w", err)
	}
	return out, nil
}

// Attempt is one attempt with all that was kept of it.
func (d *DB) Attempt(ctx context.Context, attemptID string) (*AttemptDetail, error) {
	var out *AttemptDetail
	err := d.read(ctx, `select `+attemptColumns+`, a.recorded_at, a.rec_topic, a.rec_partition, a.rec_offset, a.detail`+attemptTables+
		` where a.attempt_id = $1 order by a.started_at limit 1`, []any{CleanID(attemptID)}, func(rows *sql.Rows) error {
		a := &AttemptDetail{}
		var detail []byte
		into := append(a.into(), instant{&a.RecordedAt}, &a.Record.Topic, &a.Record.Partition, &a.Record.Offset, &detail)
		if err := rows.Scan(into...); err != nil {
			return err
		}
		out = a
		return a.open(detail)
	})
	if err != nil {
		return nil, fmt.Errorf("reading attempt: %w", err)
	}
	if out == nil {
		return nil, ErrNotFound
	}
	return out, nil
}

// open fills in what is kept as it came over the wire.
func (a *AttemptDetail) open(detail []byte) error {
	var m aftercallv1.Attempt
	if err := proto.Unmarshal(detail, &m); err != nil {
		return fmt.Errorf("opening its detail: %w", err)
	}
	a.SubscriptionVersion, a.Tenant, a.RequestID, a.WebhookID = m.GetSubscriptionVersion(), m.GetTenant(), m.GetRequestId(), m.GetWebhookId()
	if a.WebhookID == "" {
		a.WebhookID = a.EventID
	}
	a.RequestURL, a.RequestBytes = m.GetRequestUrl(), m.GetRequestBytes()
	a.RequestHeaders, a.ResponseHeaders = headers(m.GetRequestHeaders()), headers(m.GetResponseHeaders())
	a.ResponseBody, a.ResponseTruncated = m.GetResponseBody(), m.GetResponseTruncated()
	a.Error, a.RemoteAddress, a.Deferrals, a.Sender = m.GetError(), m.GetRemoteAddress(), m.GetDeferrals(), m.GetSender()
	t := m.GetTimings()
	a.Timings = Timings{
		DNS: t.GetDns().AsDuration().Microseconds(), Connect: t.GetConnect().AsDuration().Microseconds(), TLS: t.GetTls().AsDuration().Microseconds(),
		FirstByte: t.GetFirstByte().AsDuration().Microseconds(), Total: t.GetTotal().AsDuration().Microseconds(), ConnectionReused: t.GetConnectionReused(),
	}
	if m.GetOccurredAt() != nil {
		a.OccurredAt = CleanTime(m.GetOccurredAt().AsTime())
	}
	if m.GetFirstQueuedAt() != nil {
		a.FirstQueuedAt = CleanTime(m.GetFirstQueuedAt().AsTime())
	}
	a.Position = positionOf(m.GetPosition())
	return nil
}

func headers(hs []*aftercallv1.HttpHeader) []Header {
	out := make([]Header, len(hs))
	for i, h := range hs {
		out[i] = Header{Name: h.GetName(), Value: h.GetValue()}
	}
	return out
}

func positionOf(p *aftercallv1.Position) Position {
	return Position{Topic: p.GetTopic(), Partition: p.GetPartition(), Offset: p.GetOffset()}
}
