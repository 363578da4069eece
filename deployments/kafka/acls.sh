#!/usr/bin/env bash
# Written from pkg/topic by "make generate"; do not edit.
#
# acls.sh WHO PRINCIPAL --bootstrap-server HOST:PORT [--command-config FILE]: allows one
# service what it does on Kafka, and nothing else (docs/operations.md). Run again, it adds
# nothing twice. WHO is router, sender, projector, admin, upstream or operator.
#
#   acls.sh router User:aftercall-router --bootstrap-server kafka:9092 --command-config admin.properties
#
#   SOURCES="contoso.queue.v2 …"   further topics for router and upstream (AFTERCALL_SOURCES)
#   KAFKA_ACLS=kafka-acls          what the command is called, kafka-acls.sh by default
set -euo pipefail

usage() { sed -n '4,8p' "$0" >&2 && exit 2; }
[ $# -ge 4 ] || usage
who=$1 principal=$2
shift 2
connection=("$@")

allow() { "${KAFKA_ACLS:-kafka-acls.sh}" "${connection[@]}" --add --allow-principal "$principal" "$@"; }
further() {
  local name
  for name in ${SOURCES:-}; do allow --operation "$1" --topic "$name"; done
}
# Each service compares the topics' settings with what it rests on before it starts.
every_service() {
  allow --operation Describe --operation DescribeConfigs --resource-pattern-type prefixed --topic aftercall.
  allow --operation DescribeConfigs --cluster
}

case $who in
  router) # CDRs become events and deliveries
    every_service
    allow --operation Read \
      --topic aftercall.cdr.queue \
      --topic aftercall.cdr.ivr \
      --topic aftercall.cdr.agent \
      --topic aftercall.cdr.recording \
      --topic aftercall.cdr.test \
      --topic aftercall.cdr.system \
      --topic aftercall.subscriptions
    further Read
    allow --operation Write \
      --topic aftercall.events \
      --topic aftercall.deliveries \
      --topic aftercall.rejected
    allow --operation Read --group aftercall-router
    allow --operation Write --resource-pattern-type prefixed --transactional-id aftercall-router-
    ;;
  sender) # deliveries become POSTs, and wait for the next attempt
    every_service
    allow --operation Read \
      --topic aftercall.deliveries \
      --topic aftercall.deliveries.delay.5s \
      --topic aftercall.deliveries.delay.30s \
      --topic aftercall.deliveries.delay.2m \
      --topic aftercall.deliveries.delay.10m \
      --topic aftercall.deliveries.delay.30m \
      --topic aftercall.deliveries.delay.2h \
      --topic aftercall.deliveries.delay.6h \
      --topic aftercall.deliveries.delay.12h \
      --topic aftercall.subscriptions
    allow --operation Write \
      --topic aftercall.cdr.system \
      --topic aftercall.deliveries \
      --topic aftercall.rejected \
      --topic aftercall.deliveries.delay.5s \
      --topic aftercall.deliveries.delay.30s \
      --topic aftercall.deliveries.delay.2m \
      --topic aftercall.deliveries.delay.10m \
      --topic aftercall.deliveries.delay.30m \
      --topic aftercall.deliveries.delay.2h \
      --topic aftercall.deliveries.delay.6h \
      --topic aftercall.deliveries.delay.12h \
      --topic aftercall.deliveries.given-up \
      --topic aftercall.history
    allow --operation Read \
      --group aftercall-sender \
      --group aftercall-mover
    ;;
  projector) # what happened goes into the store
    every_service
    allow --operation Read \
      --topic aftercall.events \
      --topic aftercall.rejected \
      --topic aftercall.history
    allow --operation Read --group aftercall-projector
    ;;
  admin) # subscriptions, tests, resends and replays; attempts as they come
    every_service
    allow --operation Read \
      --topic aftercall.deliveries.delay.5s \
      --topic aftercall.deliveries.delay.30s \
      --topic aftercall.deliveries.delay.2m \
      --topic aftercall.deliveries.delay.10m \
      --topic aftercall.deliveries.delay.30m \
      --topic aftercall.deliveries.delay.2h \
      --topic aftercall.deliveries.delay.6h \
      --topic aftercall.deliveries.delay.12h \
      --topic aftercall.history \
      --topic aftercall.subscriptions
    allow --operation Write \
      --topic aftercall.cdr.test \
      --topic aftercall.cdr.system \
      --topic aftercall.deliveries \
      --topic aftercall.subscriptions
    allow --operation Describe \
      --group aftercall-router \
      --group aftercall-sender \
      --group aftercall-mover
    ;;
  upstream) # calls that ended
    allow --operation Write \
      --topic aftercall.cdr.queue \
      --topic aftercall.cdr.ivr \
      --topic aftercall.cdr.agent \
      --topic aftercall.cdr.recording \
      --topic aftercall.cdr.test
    further Write
    ;;
  operator) # aftercall topics, cat, lag, verify, replay
    allow --operation Create --operation Alter --operation AlterConfigs --operation Describe --operation DescribeConfigs \
      --operation Read --resource-pattern-type prefixed --topic aftercall.
    allow --operation Write --topic aftercall.deliveries
    allow --operation Describe --resource-pattern-type prefixed --group aftercall-
    allow --operation DescribeConfigs --cluster
    ;;
  *) usage ;;
esac
