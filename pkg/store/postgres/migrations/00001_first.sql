-- +goose Up
create table settings (
  name  text collate "C" primary key,
  value bytea not null
);

create table subscriptions (
  id         text collate "C" primary key,
  version    bigint not null,
  tenant     text collate "C" not null,
  name       text collate "C" not null,
  endpoint   text collate "C" not null,
  active     boolean not null,
  deleted    boolean not null,
  body       bytea not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create table subscription_versions (
  subscription_id text collate "C" not null,
  version         bigint not null,
  body            bytea not null,
  actor           text collate "C" not null,
  at              timestamptz not null,
  primary key (subscription_id, version)
);

create table events (
  event_id      text collate "C" primary key,
  tenant        text collate "C" not null,
  source        text collate "C" not null,
  event_type    text collate "C" not null,
  ce_id         text collate "C" not null,
  call_id       text collate "C" not null,
  scenario_id   text collate "C" not null,
  parent_id     text collate "C" not null,
  ou_path       text collate "C" not null,
  cause         text collate "C" not null,
  occurred_at   timestamptz not null,
  produced_at   timestamptz,
  routed_at     timestamptz not null,
  duplicate     smallint not null,
  matched       integer not null,
  payload_bytes integer not null,
  src_topic     text collate "C" not null,
  src_partition integer not null,
  src_offset    bigint not null,
  detail        bytea not null
);
create index events_time on events (occurred_at);
create index events_call on events (call_id) where call_id <> '';
create index events_scenario on events (scenario_id) where scenario_id <> '';
create index events_parent on events (parent_id) where parent_id <> '';

create table event_repeats (
  event_id      text collate "C" not null,
  src_topic     text collate "C" not null,
  src_partition integer not null,
  src_offset    bigint not null,
  primary key (event_id, src_topic, src_partition, src_offset)
);

create table event_decisions (
  event_id             text collate "C" not null,
  subscription_id      text collate "C" not null,
  subscription_version bigint not null,
  outcome              text collate "C" not null,
  occurred_at          timestamptz not null,
  primary key (event_id, subscription_id, subscription_version, outcome)
);
create index event_decisions_subscription on event_decisions (subscription_id, occurred_at);

create table payloads (
  event_id  text collate "C" primary key,
  stored_at timestamptz not null,
  payload   bytea not null
);
create index payloads_time on payloads (stored_at);

create table deliveries (
  delivery_id     text collate "C" primary key,
  event_id        text collate "C" not null,
  subscription_id text collate "C" not null,
  tenant          text collate "C" not null,
  event_type      text collate "C" not null,
  call_id         text collate "C" not null,
  cause           text collate "C" not null,
  request_id      text collate "C" not null,
  requested_by    text collate "C" not null,
  occurred_at     timestamptz,
  queued_at       timestamptz not null,
  state           text collate "C" not null,
  reason          text collate "C" not null,
  next_attempt_at timestamptz,
  state_rank      smallint not null,
  made            integer not null,
  put_off         smallint not null,
  deferrals       integer not null,
  updated_at      timestamptz not null,
  updated_by      text collate "C" not null,
  last_rank       smallint not null,
  attempt         integer not null,
  last_attempt_at timestamptz,
  last_attempt_id text collate "C" not null,
  attempts_allowed integer not null,
  result          text collate "C" not null,
  error_class     text collate "C" not null,
  http_status     integer not null,
  call_end_to_delivered_ms bigint
) with (fillfactor = 85);
create index deliveries_time on deliveries (queued_at);
create index deliveries_subscription on deliveries (subscription_id, queued_at);
create index deliveries_event on deliveries (event_id);
create index deliveries_waiting on deliveries (subscription_id, next_attempt_at) where state = 'waiting';

create table attempts (
  attempt_id      text collate "C" not null,
  delivery_id     text collate "C" not null,
  event_id        text collate "C" not null,
  subscription_id text collate "C" not null,
  event_type      text collate "C" not null,
  call_id         text collate "C" not null,
  cause           text collate "C" not null,
  attempt         integer not null,
  attempts_allowed integer not null,
  started_at      timestamptz not null,
  result          text collate "C" not null,
  error_class     text collate "C" not null,
  http_status     integer not null,
  duration_ms     bigint not null,
  call_end_to_delivered_ms bigint,
  next_attempt_at timestamptz,
  state           text collate "C" not null,
  reason          text collate "C" not null,
  latency_bucket  smallint not null,
  recorded_at     timestamptz,
  rec_topic       text collate "C" not null,
  rec_partition   integer not null,
  rec_offset      bigint not null,
  detail          bytea not null,
  primary key (attempt_id, started_at)
) partition by range (started_at);
create index attempts_time on attempts (started_at);
create index attempts_subscription on attempts (subscription_id, started_at);
create index attempts_delivery on attempts (delivery_id);
create index attempts_unsuccessful on attempts (started_at) where result <> 'delivered';

create table deferrals (
  delivery_id     text collate "C" not null,
  attempt         integer not null,
  deferrals       integer not null,
  at              timestamptz not null,
  subscription_id text collate "C" not null,
  reason          text collate "C" not null,
  until           timestamptz,
  sender          text collate "C" not null,
  primary key (delivery_id, attempt, deferrals, at)
);
create index deferrals_time on deferrals (at);

create table rejections (
  id                text collate "C" primary key,
  topic             text collate "C" not null,
  partition         integer not null,
  "offset"          bigint not null,
  last_offset       bigint not null,
  code              text collate "C" not null,
  field             text collate "C" not null,
  reason            text collate "C" not null,
  event_type        text collate "C" not null,
  tenant            text collate "C" not null,
  payload           bytea not null,
  payload_truncated boolean not null,
  payload_bytes     bigint not null,
  produced_at       timestamptz,
  rejected_at       timestamptz not null
);
create index rejections_time on rejections (rejected_at, id);

create table endpoint_changes (
  change_id            text collate "C" primary key,
  subscription_id      text collate "C" not null,
  subscription_version bigint not null,
  kind                 text collate "C" not null,
  reason               text collate "C" not null,
  at                   timestamptz not null,
  until                timestamptz,
  sender               text collate "C" not null
);
create index endpoint_changes_subscription on endpoint_changes (subscription_id, at, change_id);
create index endpoint_changes_disable on endpoint_changes (subscription_id, subscription_version) where kind = 'disable_requested';

create table endpoints (
  subscription_id text collate "C" primary key,
  last_attempt_at timestamptz not null,
  last_attempt_id text collate "C" not null,
  last_success_at timestamptz,
  last_failure_at timestamptz
) with (fillfactor = 50);

create table subscription_hours (
  subscription_id text collate "C" not null,
  hour            timestamptz not null,
  cause           text collate "C" not null,
  result          text collate "C" not null,
  latency_bucket  smallint not null,
  n               bigint not null,
  primary key (subscription_id, hour, cause, result, latency_bucket)
) with (fillfactor = 70);
create index subscription_hours_hour on subscription_hours (hour);

create table projector_offsets (
  topic           text collate "C" not null,
  partition       integer not null,
  next_offset     bigint not null,
  projected_until timestamptz,
  updated_at      timestamptz not null,
  primary key (topic, partition)
) with (fillfactor = 50);

create table tokens (
  id           text collate "C" primary key,
  name         text collate "C" not null,
  hash         bytea not null unique,
  scopes       text collate "C" not null,
  created_by   text collate "C" not null,
  created_at   timestamptz not null,
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
create unique index tokens_name on tokens (name) where revoked_at is null;

create table sessions (
  hash       bytea primary key,
  user_name  text collate "C" not null,
  scopes     text collate "C" not null,
  created_at timestamptz not null,
  expires_at timestamptz not null
);

create table login_links (
  hash       bytea primary key,
  user_name  text collate "C" not null,
  scopes     text collate "C" not null,
  created_at timestamptz not null,
  expires_at timestamptz not null
);

create table audit (
  id      text collate "C" primary key,
  at      timestamptz not null,
  actor   text collate "C" not null,
  kind    text collate "C" not null,
  address text collate "C" not null,
  action  text collate "C" not null,
  object  text collate "C" not null,
  detail  text collate "C" not null
);
create index audit_time on audit (at, id);

create table replays (
  id            text collate "C" primary key,
  mode          text collate "C" not null,
  state         text collate "C" not null,
  from_at       timestamptz not null,
  to_at         timestamptz not null,
  subscriptions text not null,
  states        text not null,
  why           text not null,
  rate          integer not null,
  plan          text not null,
  total         bigint not null,
  sent          bigint not null,
  skipped       bigint not null,
  skipped_for   text not null,
  cursor_at     timestamptz,
  cursor_id     text collate "C" not null,
  fault         text not null,
  created_by    text collate "C" not null,
  created_at    timestamptz not null,
  started_by    text collate "C" not null,
  started_at    timestamptz,
  ended_by      text collate "C" not null,
  ended_at      timestamptz,
  updated_at    timestamptz not null
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
select min(coalesce(projected_until, timestamptz 'epoch')) as projected_until,
       greatest(0, extract(epoch from now() - min(coalesce(projected_until, timestamptz 'epoch'))))::double precision as lag_s
from projector_offsets;

-- +goose Down
drop view v_freshness, v_endpoint_health, v_events, v_deliveries, v_attempts;
drop table audit, login_links, sessions, tokens, projector_offsets, subscription_hours, endpoints, endpoint_changes, rejections,
  deferrals, attempts, deliveries, payloads, event_decisions, event_repeats, events, subscription_versions, subscriptions, settings;
