-- +goose Up
create table erasures (
  id           text primary key,
  kind         text not null,
  state        text not null,
  counts       text not null,
  copies       text not null,
  cursor       text not null,
  fault        text not null,
  requested_by text not null,
  created_at   text not null,
  started_by   text not null,
  started_at   text,
  ended_at     text,
  kept_until   text,
  revision     integer not null
);
create index erasures_time on erasures (created_at, id);

-- What was erased, as keyed digests: it must not come back from Kafka.
create table erasure_keys (
  erasure_id text not null,
  kind       text not null,
  key_id     integer not null,
  digest     blob not null,
  from_at    text,
  to_at      text,
  primary key (erasure_id, kind, key_id, digest)
);

create table erased_events (
  event_id   text primary key,
  erasure_id text not null,
  at         text not null
);

-- What is deleted is overwritten from now on. Where there was a database before,
-- an erasure rewrites the whole file once.
insert into settings (name, value) select 'overwritten', x'01' where not exists (select 1 from events);

-- +goose Down
drop table erased_events;
drop table erasure_keys;
drop table erasures;
delete from settings where name = 'overwritten';
