package reduce

import (
	"strings"
	"time"
)

// Table is what a batch adds to one table: for PostgreSQL by way of a temporary
// one, for SQLite in inserts of many rows.
type Table struct {
	Name    string
	Columns []string
	// Key are the columns that the rows are sorted by: two writers then lock rows
	// in the same order.
	Key []string
	// Conflict is the "on conflict …" of the insert.
	Conflict string
	// Len is the number of rows; Row appends the cells of one to a slice, which
	// may be used again for the next.
	Len int
	Row func(i int, cells []any) []any
}

// Clock turns a time into an argument; the zero time into nil.
type Clock func(time.Time) any

// Columns of the tables that are written in bulk.
var (
	EventColumns = split(`event_id tenant source event_type ce_id call_id scenario_id parent_id ou_path cause
		occurred_at produced_at routed_at duplicate matched payload_bytes src_topic src_partition src_offset detail`)
	deliveryColumns = split(`delivery_id event_id subscription_id tenant event_type call_id cause request_id requested_by occurred_at queued_at
		state reason next_attempt_at state_rank made put_off deferrals updated_at updated_by
		last_rank attempt last_attempt_at last_attempt_id attempts_allowed result error_class http_status call_end_to_delivered_ms`)
	attemptColumns = split(`attempt_id delivery_id event_id subscription_id event_type call_id cause attempt attempts_allowed started_at
		result error_class http_status duration_ms call_end_to_delivered_ms next_attempt_at state reason latency_bucket
		recorded_at rec_topic rec_partition rec_offset detail`)
	deferralColumns  = split(`delivery_id attempt deferrals at subscription_id reason until sender`)
	decisionColumns  = split(`event_id subscription_id subscription_version outcome occurred_at`)
	repeatColumns    = split(`event_id src_topic src_partition src_offset`)
	rejectionColumns = split(`id topic partition "offset" last_offset code field reason event_type tenant payload payload_truncated payload_bytes produced_at rejected_at`)
	changeColumns    = split(`change_id subscription_id subscription_version kind reason at until sender`)
	endpointColumns  = split(`subscription_id last_attempt_at last_attempt_id last_success_at last_failure_at`)
)

// Upserts. They say in SQL what merge, later and Before say in Go.
var (
	EventConflict    = EventUpsert(EventColumns)
	deliveryConflict = deliveryUpsert()
	endpointConflict = `on conflict (subscription_id) do update set
		last_attempt_id = case when (excluded.last_attempt_at, excluded.last_attempt_id) > (endpoints.last_attempt_at, endpoints.last_attempt_id) then excluded.last_attempt_id else endpoints.last_attempt_id end,
		last_attempt_at = case when excluded.last_attempt_at > endpoints.last_attempt_at then excluded.last_attempt_at else endpoints.last_attempt_at end,
		last_success_at = case when endpoints.last_success_at is null or excluded.last_success_at > endpoints.last_success_at then excluded.last_success_at else endpoints.last_success_at end,
		last_failure_at = case when endpoints.last_failure_at is null or excluded.last_failure_at > endpoints.last_failure_at then excluded.last_failure_at else endpoints.last_failure_at end`
	rejectionConflict = `on conflict (id) do update set ` + assignAll("id", rejectionColumns) + ` where excluded.rejected_at < rejections.rejected_at`
)

const doNothing = `on conflict do nothing`

// HoursConflict adds up the counters of subscription_hours.
const HoursConflict = `on conflict (subscription_id, hour, cause, result, latency_bucket) do update set n = subscription_hours.n + excluded.n`

// MinutesConflict adds up the counters of source_minutes.
const MinutesConflict = `on conflict (minute, topic) do update set n = source_minutes.n + excluded.n, repeats = source_minutes.repeats + excluded.repeats,
	last_at = case when excluded.last_at > source_minutes.last_at then excluded.last_at else source_minutes.last_at end`

// Columns of deliveries: those that any record fills in, and the two groups that
// change together, each with what orders it.
const (
	IdentityColumns = "event_id subscription_id tenant event_type call_id cause request_id requested_by"
	StateOrder      = "state_rank made put_off deferrals updated_at updated_by"
	StateColumns    = "state reason next_attempt_at " + StateOrder
	AttemptOrder    = "last_rank attempt last_attempt_at last_attempt_id"
	AttemptColumns  = AttemptOrder + " attempts_allowed result error_class http_status call_end_to_delivered_ms"
)

// EventUpsert is the upsert of events with these columns.
func EventUpsert(columns []string) string {
	return `on conflict (event_id) do update set ` + assignAll("event_id", columns) + `
		where (excluded.duplicate, excluded.routed_at, excluded.src_topic, excluded.src_partition, excluded.src_offset)
		    < (events.duplicate, events.routed_at, events.src_topic, events.src_partition, events.src_offset)`
}

func deliveryUpsert() string {
	var set []string
	for _, c := range split(IdentityColumns) {
		set = append(set, c+" = case when deliveries."+c+" = '' then excluded."+c+" else deliveries."+c+" end")
	}
	set = append(set,
		"occurred_at = coalesce(deliveries.occurred_at, excluded.occurred_at)",
		"queued_at = case when excluded.queued_at < deliveries.queued_at then excluded.queued_at else deliveries.queued_at end")
	group := func(order, columns string) {
		newer := "(excluded." + strings.Join(split(order), ", excluded.") + ") > (deliveries." + strings.Join(split(order), ", deliveries.") + ")"
		for _, c := range split(columns) {
			set = append(set, c+" = case when "+newer+" then excluded."+c+" else deliveries."+c+" end")
		}
	}
	group(StateOrder, StateColumns)
	group(AttemptOrder, AttemptColumns)
	return "on conflict (delivery_id) do update set " + strings.Join(set, ",\n\t")
}

func assignAll(key string, columns []string) string {
	var set []string
	for _, c := range columns {
		if c != key {
			set = append(set, c+" = excluded."+c)
		}
	}
	return strings.Join(set, ", ")
}

func split(s string) []string { return strings.Fields(s) }

// EventTable are the events, without payloads.
func (r *Rows) EventTable(t Clock) Table {
	tab := Table{Name: "events", Columns: EventColumns, Key: []string{"event_id"}, Conflict: EventConflict, Len: len(r.Events)}
	tab.Row = func(i int, cells []any) []any {
		e := &r.Events[i]
		return append(cells, e.EventID, e.Tenant, e.Source, e.EventType, e.CeID, e.CallID, e.ScenarioID, e.ParentID, e.OUPath, e.Cause,
			t(e.OccurredAt), t(e.ProducedAt), t(e.RoutedAt), e.Duplicate, e.Matched, int32(e.PayloadBytes),
			e.Position.Topic, e.Position.Partition, e.Position.Offset, e.Detail)
	}
	return tab
}

// DeliveryTable are the deliveries.
func (r *Rows) DeliveryTable(t Clock) Table {
	tab := Table{Name: "deliveries", Columns: deliveryColumns, Key: []string{"delivery_id"}, Conflict: deliveryConflict, Len: len(r.Deliveries)}
	tab.Row = func(i int, cells []any) []any {
		d := &r.Deliveries[i]
		return append(cells, d.DeliveryID, d.EventID, d.SubscriptionID, d.Tenant, d.EventType, d.CallID, d.Cause, d.RequestID, d.RequestedBy,
			t(d.OccurredAt), t(d.QueuedAt), d.State, d.Reason, t(d.NextAttemptAt), d.Rank, d.Made, d.PutOff, d.Deferrals, t(d.UpdatedAt), d.UpdatedBy,
			d.LastRank, d.Number, t(d.LastAttemptAt), d.LastAttemptID, d.AttemptsAllowed, d.Result, d.ErrorClass, d.HTTPStatus, optional(d.CallEndToDeliveredMS))
	}
	return tab
}

// AttemptTable are the attempts.
func (r *Rows) AttemptTable(t Clock) Table {
	tab := Table{Name: "attempts", Columns: attemptColumns, Key: []string{"attempt_id"}, Conflict: doNothing, Len: len(r.Attempts)}
	tab.Row = func(i int, cells []any) []any {
		a := &r.Attempts[i]
		return append(cells, a.AttemptID, a.DeliveryID, a.EventID, a.SubscriptionID, a.EventType, a.CallID, a.Cause, a.Number, a.AttemptsAllowed, t(a.StartedAt),
			a.Result, a.ErrorClass, a.HTTPStatus, a.DurationMS, optional(a.CallEndToDeliveredMS), t(a.NextAttemptAt), a.State, a.Reason, a.Bucket,
			t(a.RecordedAt), a.Record.Topic, a.Record.Partition, a.Record.Offset, a.Detail)
	}
	return tab
}

// DeferralTable are the deferrals.
func (r *Rows) DeferralTable(t Clock) Table {
	tab := Table{Name: "deferrals", Columns: deferralColumns, Key: split("delivery_id attempt deferrals at"), Conflict: doNothing, Len: len(r.Deferrals)}
	tab.Row = func(i int, cells []any) []any {
		d := &r.Deferrals[i]
		return append(cells, d.DeliveryID, d.Number, d.Deferrals, t(d.At), d.SubscriptionID, d.Reason, t(d.Until), d.Sender)
	}
	return tab
}

// DecisionTable are the decisions against.
func (r *Rows) DecisionTable(t Clock) Table {
	tab := Table{Name: "event_decisions", Columns: decisionColumns, Key: split("event_id subscription_id subscription_version outcome"), Conflict: doNothing, Len: len(r.Decisions)}
	tab.Row = func(i int, cells []any) []any {
		d := &r.Decisions[i]
		return append(cells, d.EventID, d.SubscriptionID, d.Version, d.Outcome, t(d.OccurredAt))
	}
	return tab
}

// RepeatTable are the repeats of events, as far as the batch alone knows them.
func (r *Rows) RepeatTable() Table {
	tab := Table{Name: "event_repeats", Columns: repeatColumns, Key: repeatColumns, Conflict: doNothing, Len: len(r.Repeats)}
	tab.Row = func(i int, cells []any) []any {
		p := &r.Repeats[i]
		return append(cells, p.EventID, p.Position.Topic, p.Position.Partition, p.Position.Offset)
	}
	return tab
}

// RejectionTable are the rejections.
func (r *Rows) RejectionTable(t Clock) Table {
	tab := Table{Name: "rejections", Columns: rejectionColumns, Key: []string{"id"}, Conflict: rejectionConflict, Len: len(r.Rejections)}
	tab.Row = func(i int, cells []any) []any {
		j := &r.Rejections[i]
		return append(cells, j.ID, j.Position.Topic, j.Position.Partition, j.Position.Offset, j.LastOffset, j.Code, j.Field, j.Reason,
			j.EventType, j.Tenant, j.Payload, j.Truncated, j.PayloadBytes, t(j.ProducedAt), t(j.RejectedAt))
	}
	return tab
}

// ChangeTable are the changes of endpoints.
func (r *Rows) ChangeTable(t Clock) Table {
	tab := Table{Name: "endpoint_changes", Columns: changeColumns, Key: []string{"change_id"}, Conflict: doNothing, Len: len(r.Changes)}
	tab.Row = func(i int, cells []any) []any {
		c := &r.Changes[i]
		return append(cells, c.ChangeID, c.SubscriptionID, c.Version, c.Kind, c.Reason, t(c.At), t(c.Until), c.Sender)
	}
	return tab
}

// EndpointTable is the health of endpoints.
func (r *Rows) EndpointTable(t Clock) Table {
	tab := Table{Name: "endpoints", Columns: endpointColumns, Key: []string{"subscription_id"}, Conflict: endpointConflict, Len: len(r.Endpoints)}
	tab.Row = func(i int, cells []any) []any {
		e := &r.Endpoints[i]
		return append(cells, e.SubscriptionID, t(e.LastAttemptAt), e.LastAttemptID, t(e.LastSuccessAt), t(e.LastFailureAt))
	}
	return tab
}

func optional(v *int64) any {
	if v == nil {
		return nil
	}
	return *v
}
