-- +goose Up
create table erasures (
  id           text collate "C" primary key,
  kind         text collate "C" not null,
  state        text collate "C" not null,
  counts       text not null,
  copies       text not null,
  cursor       text collate "C" not null,
  fault        text not null,
  requested_by text collate "C" not null,
  created_at   timestamptz not null,
  started_by   text collate "C" not null,
  started_at   timestamptz,
  ended_at     timestamptz,
  kept_until   timestamptz,
  revision     bigint not null
);
create index erasures_time on erasures (created_at, id);

-- What was erased, as keyed digests: it must not come back from Kafka.
create table erasure_keys (
  erasure_id text collate "C" not null,
  kind       text collate "C" not null,
  key_id     bigint not null,
  digest     bytea not null,
  from_at    timestamptz,
  to_at      timestamptz,
  primary key (erasure_id, kind, key_id, digest)
);

create table erased_events (
  event_id   text collate "C" primary key,
  erasure_id text collate "C" not null,
  at         timestamptz not null
);

-- +goose Down
drop table erased_events, erasure_keys, erasures;
