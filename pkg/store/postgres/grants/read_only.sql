-- Gives one role the public views of Aftercall, and nothing behind them: no
-- payloads, headers or bodies. Run it as the owner of the schema:
--
--   psql "$AFTERCALL_DATABASE_URL" -v role=aftercall_reader -v schema=public -f read_only.sql
--
-- Make the role first: create role aftercall_reader login password '…';
-- Running it again does no harm; do so after an upgrade that adds views.
grant usage on schema :"schema" to :"role";
grant select on :"schema".v_attempts, :"schema".v_deliveries, :"schema".v_events, :"schema".v_endpoint_health, :"schema".v_freshness to :"role";
