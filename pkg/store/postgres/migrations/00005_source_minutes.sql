-- +goose Up
-- What came from each source topic, by the minute in which its call ended: n
-- events, and further records of events that were here already.
create table source_minutes (
  minute  timestamptz not null,
  topic   text collate "C" not null,
  n       bigint not null,
  repeats bigint not null,
  last_at timestamptz not null,
  primary key (minute, topic)
) with (fillfactor = 70);
insert into source_minutes (minute, topic, n, repeats, last_at)
  select date_trunc('minute', occurred_at, 'UTC'), src_topic, count(*), 0, max(occurred_at) from events
  where occurred_at >= now() - interval '8 days' and src_topic <> '' group by 1, 2;

create index deliveries_queued on deliveries (queued_at) where state = 'queued';
-- What failed at one webhook, newest first: without it all failures are gone through.
create index attempts_unsuccessful_subscription on attempts (subscription_id, started_at) where result <> 'delivered';

-- +goose Down
drop index attempts_unsuccessful_subscription;
drop index deliveries_queued;
drop table source_minutes;
