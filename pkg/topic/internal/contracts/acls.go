package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/aftercall/aftercall/pkg/topic"
)

const scriptHead = `#!/usr/bin/env bash
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
`

const scriptTail = `  upstream) # calls that ended
    allow --operation Write %s
    further Write
    ;;
  operator) # aftercall topics, cat, lag, verify, replay
    allow --operation Create --operation Alter --operation AlterConfigs --operation Describe --operation DescribeConfigs \
      --operation Read --resource-pattern-type prefixed --topic aftercall.
    allow --operation Write --topic %s
    allow --operation Describe --resource-pattern-type prefixed --group aftercall-
    allow --operation DescribeConfigs --cluster
    ;;
  *) usage ;;
esac
`

// upstreams are the topics that others write.
func upstreams() []string {
	var names []string
	for _, s := range topic.All() {
		if s.Upstream && s.Name != topic.CDRSystem {
			names = append(names, s.Name)
		}
	}
	return names
}

// acls is the script that grants them.
func acls() []byte {
	var b bytes.Buffer
	b.WriteString(scriptHead)
	allow := func(operation, flag string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(&b, "    allow --operation %s%s\n", operation, each(flag, names))
		}
	}
	for _, a := range topic.Accesses() {
		fmt.Fprintf(&b, "  %s) # %s\n    every_service\n", a.Service, a.Why)
		allow("Read", "--topic", a.Reads)
		if slices.Contains(a.Joins, topic.GroupRouter) {
			b.WriteString("    further Read\n")
		}
		allow("Write", "--topic", a.Writes)
		allow("Read", "--group", a.Joins)
		allow("Describe", "--group", a.Watches)
		if a.TransactionalIDs != "" {
			fmt.Fprintf(&b, "    allow --operation Write --resource-pattern-type prefixed --transactional-id %s\n", a.TransactionalIDs)
		}
		b.WriteString("    ;;\n")
	}
	fmt.Fprintf(&b, scriptTail, strings.TrimSpace(each("--topic", upstreams())), topic.Deliveries)
	return b.Bytes()
}

// each is one flag for each name; more than one on lines of their own.
func each(flag string, names []string) string {
	var b strings.Builder
	for _, name := range names {
		if len(names) > 1 {
			b.WriteString(" \\\n     ")
		}
		b.WriteString(" " + flag + " " + name)
	}
	return b.String()
}

const (
	tableBegins = "<!-- accesses: written from pkg/topic by make generate -->\n"
	tableEnds   = "<!-- /accesses -->"
)

// operations is the handbook with its table of accesses written anew.
func operations(before []byte) ([]byte, error) {
	head, rest, begun := bytes.Cut(before, []byte(tableBegins))
	_, tail, ended := bytes.Cut(rest, []byte(tableEnds))
	if !begun || !ended {
		return nil, fmt.Errorf("no place for the table: %q and %q", tableBegins, tableEnds)
	}
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(tableBegins)
	b.WriteString("| who | Read on topics | Write on topics | groups | transactional ids |\n| --- | --- | --- | --- | --- |\n")
	for _, a := range topic.Accesses() {
		groups := cell(a.Joins, "Read: ")
		if len(a.Watches) > 0 {
			groups = cell(a.Watches, "Describe: ")
		}
		ids := ""
		if a.TransactionalIDs != "" {
			ids = "Write: `" + a.TransactionalIDs + "*`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", a.Service, cell(a.Reads, ""), cell(a.Writes, ""), groups, ids)
	}
	fmt.Fprintf(&b, "| upstream | | %s | | |\n", cell(upstreams(), ""))
	b.WriteString(tableEnds)
	b.Write(tail)
	return b.Bytes(), nil
}

// cell lists names without what all have in common, the delay topics as one.
func cell(names []string, before string) string {
	var out []string
	for _, name := range names {
		if slices.Contains(topic.DelayTopics(), name) {
			name = "aftercall.deliveries.delay.*"
		}
		if text := "`" + name + "`"; !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return before + strings.Join(out, " ")
}
