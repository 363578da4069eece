-- +goose Up
-- The list of webhooks and the charts add up many hours of a webhook. Its counters
-- lie scattered over the table, hour by hour: with the count in the index they are
-- read side by side, where vacuum has seen that their pages hold nothing else. That
-- is to be soon after the hour, not after a fifth of the table.
alter table subscription_hours drop constraint subscription_hours_pkey,
  add primary key (subscription_id, hour, cause, result, latency_bucket) include (n);
alter table subscription_hours set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000);

-- +goose Down
alter table subscription_hours reset (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold);
alter table subscription_hours drop constraint subscription_hours_pkey,
  add primary key (subscription_id, hour, cause, result, latency_bucket);
