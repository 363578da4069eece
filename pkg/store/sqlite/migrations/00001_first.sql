-- +goose Up
create table settings (
  name  text primary key,
  value blob not null
);

create table subscriptions (
  id         text primary key,
  version    integer not null,
  tenant     text not null,
  name       text not null,
  endpoint   text not null,
  active     boolean not null,
  deleted    boolean not null,
  body       blob not null,
  created_at text not null,
  updated_at text not null
);

create table subscription_versions (
  subscription_id text not null,
  version         integer not null,
  body            blob not null,
  actor           text not null,
  at              text not null,
  primary key (subscription_id, version)
);

create table events (
  event_id      text primary key,
  tenant        text not null,
  source        text not null,
  event_type    text not null,
  ce_id         text not null,
  call_id       text not null,
  scenario_id   text not null,
  parent_id     text not null,
  ou_path       text not null,
  cause         text not null,
  occurred_at   text not null,
  produced_at   text,
  routed_at     text not null,
  duplicate     integer not null,
  matched       integer not null,
  payload_bytes integer not null,
  src_topic     text not null,
  src_partition integer not null,
  src_offset    integer not null,
  detail        blob not null,
  -- The CDR, until it expires: in the row, for a table of its own would need a
  -- second index of ids, which are digests and cost a page each.
  payload       blob
);
create index events_time on events (occurred_at);
create index events_call on events (call_id) where call_id <> '';
create index events_scenario on events (scenario_id) where scenario_id <> '';
create index events_parent on events (parent_id) where parent_id <> '';

create table event_repeats (
  event_id      text not null,
  src_topic     text not null,
  src_partition integer not null,
  src_offset    integer not null,
  primary key (event_id, src_topic, src_partition, src_offset)
);

create table event_decisions (
  event_id             text not null,
  subscription_id      text not null,
  subscription_version integer not null,
  outcome              text not null,
  occurred_at          text not null,
  primary key (event_id, subscription_id, subscription_version, outcome)
);
create index event_decisions_subscription on event_decisions (subscription_id, occurred_at);

create index events_payload on events (routed_at) where payload is not null;

-- The payloads as PostgreSQL has them. Expiring one deletes it here.
create view payloads as
select event_id, routed_at as stored_at, payload from events where payload is not null;
-- +goose StatementBegin
create trigger payloads_expire instead of delete on payloads
begin
  update events set payload = null where event_id = old.event_id;
end;
-- +goose StatementEnd

create table deliveries (
  delivery_id     text primary key,
  event_id        text not null,
  subscription_id text not null,
  tenant          text not null,
  event_type      text not null,
  call_id         text not null,
  cause           text not null,
  request_id      text not null,
  requested_by    text not null,
  occurred_at     text,
  queued_at       text not null,
  state           text not null,
  reason          text not null,
  next_attempt_at text,
  state_rank      integer not null,
  made            integer not null,
  put_off         integer not null,
  deferrals       integer not null,
  updated_at      text not null,
  updated_by      text not null,
  last_rank       integer not null,
  attempt         integer not null,
  last_attempt_at text,
  last_attempt_id text not null,
  attempts_allowed integer not null,
  result          text not null,
  error_class     text not null,
  http_status     integer not null,
  call_end_to_delivered_ms integer
);
create index deliveries_time on deliveries (queued_at);
create index deliveries_subscription on deliveries (subscription_id, queued_at);
create index deliveries_event on deliveries (event_id);
create index deliveries_waiting on deliveries (subscription_id, next_attempt_at) where state = 'waiting';

create table attempts (
  attempt_id      text not null,
  delivery_id     text not null,
  event_id        text not null,
  subscription_id text not null,
  event_type      text not null,
  call_id         text not null,
  cause           text not null,
  attempt         integer not null,
  attempts_allowed integer not null,
  started_at      text not null,
  result          text not null,
  error_class     text not null,
  http_status     integer not null,
  duration_ms     integer not null,
  call_end_to_delivered_ms integer,
  next_attempt_at text,
  state           text not null,
  reason          text not null,
  latency_bucket  integer not null,
  recorded_at     text,
  rec_topic       text not null,
  rec_partition   integer not null,
  rec_offset      integer not null,
  detail          blob not null,
  primary key (attempt_id, started_at)
);
create index attempts_time on attempts (started_at);
create index attempts_subscription on attempts (subscription_id, started_at);
create index attempts_delivery on attempts (delivery_id);
create index attempts_unsuccessful on attempts (started_at) where result <> 'delivered';

create table deferrals (
  delivery_id     text not null,
  attempt         integer not null,
  deferrals       integer not null,
  at              text not null,
  subscription_id text not null,
  reason          text not null,
  until           text,
  sender          text not null,
  primary key (delivery_id, attempt, deferrals, at)
);
create index deferrals_time on deferrals (at);

create table rejections (
  id                text primary key,
  topic             text not null,
  partition         integer not null,
  "offset"          integer not null,
  last_offset       integer not null,
  code              text not null,
  field             text not null,
  reason            text not null,
  event_type        text not null,
  tenant            text not null,
  payload           blob not null,
  payload_truncated boolean not null,
  payload_bytes     integer not null,
  produced_at       text,
  rejected_at       text not null
);
create index rejections_time on rejections (rejected_at, id);

create table endpoint_changes (
  change_id            text primary key,
  subscription_id      text not null,
  subscription_version integer not null,
  kind                 text not null,
  reason               text not null,
  at                   text not null,
  until                text,
  sender               text not null
);
create index endpoint_changes_subscription on endpoint_changes (subscription_id, at, change_id);
create index endpoint_changes_disable on endpoint_changes (subscription_id, subscription_version) where kind = 'disable_requested';

create table endpoints (
  subscription_id text primary key,
  last_attempt_at text not null,
  last_attempt_id text not null,
  last_success_at text,
  last_failure_at text
);

create table subscription_hours (
  subscription_id text not null,
  hour            text not null,
  cause           text not null,
  result          text not null,
  latency_bucket  integer not null,
  n               integer not null,
  primary key (subscription_id, hour, cause, result, latency_bucket)
);
create index subscription_hours_hour on subscription_hours (hour);

create table projector_offsets (
  topic           text not null,
  partition       integer not null,
  next_offset     integer not null,
  projected_until text,
  updated_at      text not null,
  primary key (topic, partition)
);

create table tokens (
  id           text primary key,
  name         text not null,
  hash         blob not null unique,
  scopes       text not null,
  created_by   text not null,
  created_at   text not null,
  expires_at   text,
  revoked_at   text,
  last_used_at text
);
create unique index tokens_name on tokens (name) where revoked_at is null;

create table sessions (
  hash       blob primary key,
  user_name  text not null,
  scopes     text not null,
  created_at text not null,
  expires_at text not null
);

create table login_links (
  hash       blob primary key,
  user_name  text not null,
  scopes     text not null,
  created_at text not null,
  expires_at text not null
);

create table audit (
  id      text primary key,
  at      text not null,
  actor   text not null,
  kind    text not null,
  address text not null,
  action  text not null,
  object  text not null,
  detail  text not null
);
create index audit_time on audit (at, id);

create table replays (
  id            text primary key,
  mode          text not null,
  state         text not null,
  from_at       text not null,
  to_at         text not null,
  subscriptions text not null,
  states        text not null,
  why           text not null,
  rate          integer not null,
  plan          text not null,
  total         integer not null,
  sent          integer not null,
  skipped       integer not null,
  skipped_for   text not null,
  cursor_at     text,
  cursor_id     text not null,
  fault         text not null,
  created_by    text not null,
  created_at    text not null,
  started_by    text not null,
  started_at    text,
  ended_by      text not null,
  ended_at      text,
  updated_at    text not null
);
create index replays_time on replays (created_at, id);
create index replays_running on replays (id) where state = 'running';

-- The public views: documented in docs/views.md, only ever added to.
create view v_attempts as
select a.attempt_id, a.delivery_id, a.event_id, a.subscription_id, s.name as subscription_name,
       a.event_type, a.call_id, a.cause, a.attempt, a.started_at, a.result,
       nullif(a.error_class, '') as error_class, nullif(a.http_status, 0) as http_status, a.duration_ms,
       a.call_end_to_delivered_ms, a.next_attempt_at, a.state, nullif(a.reason, '') as reason
from attempts a left join subscriptions s on s.id = a.subscription_id;

create view v_deliveries as
select d.delivery_id, d.event_id, d.subscription_id, s.name as subscription_name, d.event_type, d.call_id, d.cause,
       d.state, nullif(d.reason, '') as reason, d.attempt, d.attempts_allowed, d.deferrals,
       nullif(d.result, '') as result, nullif(d.error_class, '') as error_class, nullif(d.http_status, 0) as http_status,
       nullif(d.last_attempt_id, '') as last_attempt_id, d.last_attempt_at, d.next_attempt_at, d.occurred_at,
       d.queued_at as first_queued_at, d.updated_at, d.call_end_to_delivered_ms,
       nullif(d.request_id, '') as request_id, nullif(d.requested_by, '') as requested_by
from deliveries d left join subscriptions s on s.id = d.subscription_id;

create view v_events as
select event_id, tenant, nullif(source, '') as source, event_type, nullif(ce_id, '') as ce_id, nullif(call_id, '') as call_id,
       nullif(scenario_id, '') as scenario_id, nullif(parent_id, '') as parent_id, nullif(ou_path, '') as ou_path, cause,
       occurred_at, produced_at, routed_at, matched, (duplicate <> 0) as duplicate, payload_bytes,
       src_topic as topic, src_partition as partition, src_offset as "offset"
from events;

create view v_endpoint_health as
select s.id as subscription_id, s.name as subscription_name, s.active, e.last_attempt_at, e.last_success_at, e.last_failure_at,
       c.kind as last_change, nullif(c.reason, '') as last_change_reason, c.at as last_change_at, c.until
from subscriptions s
left join endpoints e on e.subscription_id = s.id
left join endpoint_changes c on c.change_id = (
  select x.change_id from endpoint_changes x where x.subscription_id = s.id order by x.at desc, x.change_id desc limit 1)
where not s.deleted;

create view v_freshness as
select min(coalesce(projected_until, '1970-01-01T00:00:00.000000Z')) as projected_until,
       max(0.0, round((julianday('now') - julianday(min(coalesce(projected_until, '1970-01-01T00:00:00.000000Z')))) * 86400.0, 3)) as lag_s
from projector_offsets;

-- +goose Down
drop view v_freshness;
drop view v_endpoint_health;
drop view v_events;
drop view v_deliveries;
drop view v_attempts;
drop table replays;
drop table audit;
drop table login_links;
drop table sessions;
drop table tokens;
drop table projector_offsets;
drop table subscription_hours;
drop table endpoints;
drop table endpoint_changes;
drop table rejections;
drop table deferrals;
drop table attempts;
drop table deliveries;
drop view payloads;
drop table event_decisions;
drop table event_repeats;
drop table events;
drop table subscription_versions;
drop table subscriptions;
drop table settings;
