-- +goose Up
create table send_waiting (
  id              text primary key,
  subscription_id text not null,
  state           text not null,
  requested_by    text not null,
  created_at      text not null,
  updated_at      text not null,
  revision        integer not null,
  progress        text not null
);
create unique index send_waiting_open on send_waiting (subscription_id) where state in ('running', 'cancelling');
create index send_waiting_time on send_waiting (subscription_id, created_at, id);

-- +goose Down
drop table send_waiting;
