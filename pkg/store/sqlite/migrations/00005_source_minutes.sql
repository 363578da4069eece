-- +goose Up
create table source_minutes (
  minute  text not null,
  topic   text not null,
  n       integer not null,
  repeats integer not null,
  last_at text not null,
  primary key (minute, topic)
);
insert into source_minutes (minute, topic, n, repeats, last_at)
  select strftime('%Y-%m-%dT%H:%M:00.000000Z', occurred_at), src_topic, count(*), 0, max(occurred_at) from events
  where occurred_at >= strftime('%Y-%m-%dT%H:%M:00.000000Z', 'now', '-8 days') and src_topic <> '' group by 1, 2;

create index deliveries_queued on deliveries (queued_at) where state = 'queued';
-- What failed at one webhook, newest first: without it all failures are gone through.
create index attempts_unsuccessful_subscription on attempts (subscription_id, started_at) where result <> 'delivered';

-- +goose Down
drop index attempts_unsuccessful_subscription;
drop index deliveries_queued;
drop table source_minutes;
