-- +goose Up
create table send_waiting (
  id              text collate "C" primary key,
  subscription_id text collate "C" not null,
  state           text collate "C" not null,
  requested_by    text collate "C" not null,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  revision        bigint not null,
  progress        text not null
);
create unique index send_waiting_open on send_waiting (subscription_id) where state in ('running', 'cancelling');
create index send_waiting_time on send_waiting (subscription_id, created_at, id);

-- +goose Down
drop table send_waiting;
