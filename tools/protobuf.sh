#!/usr/bin/env bash
# protobuf.sh FOLDER: the protobuf in it follows buf's rules, and breaks nothing that
# baseline.binpb beside it has: the records of the last release, which may still lie on
# the topics when this version reads them.
set -euo pipefail
buf=$(cd "$(dirname "$0")/.." && pwd)/.cache/bin/buf
cd "$1"
status=0
GOWORK=off "$buf" lint || status=1
GOWORK=off "$buf" breaking --against baseline.binpb || {
  echo "this breaks the records of the last release: add fields, never remove or change them"
  status=1
}
exit "$status"
