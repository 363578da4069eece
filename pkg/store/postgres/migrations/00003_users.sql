-- +goose Up
create table users (
  id               text collate "C" primary key,
  login            text collate "C" not null unique,
  role             text collate "C" not null,
  password_hash    text collate "C" not null,
  disabled         boolean not null,
  version          bigint not null,
  setup_hash       bytea unique,
  setup_expires_at timestamptz,
  created_by       text collate "C" not null,
  created_at       timestamptz not null,
  last_login_at    timestamptz
);
-- Empty for whoever came by a one-time link.
alter table sessions add column user_id text collate "C" not null default '';
create index sessions_user on sessions (user_id) where user_id <> '';

-- +goose Down
drop index sessions_user;
alter table sessions drop column user_id;
drop table users;
