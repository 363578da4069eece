-- +goose Up
create table users (
  id               text primary key,
  login            text not null unique,
  role             text not null,
  password_hash    text not null,
  disabled         boolean not null,
  version          integer not null,
  setup_hash       blob unique,
  setup_expires_at text,
  created_by       text not null,
  created_at       text not null,
  last_login_at    text
);
-- Empty for whoever came by a one-time link.
alter table sessions add column user_id text not null default '';
create index sessions_user on sessions (user_id) where user_id <> '';

-- +goose Down
drop index sessions_user;
alter table sessions drop column user_id;
drop table users;
