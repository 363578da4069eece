#!/usr/bin/env bash
# Everything that can be checked without running the services' tests. Says one line
# for each check, and shows the output of those that fail; runs them all.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=()
# step NAME COMMAND…: note that bash ignores -e inside COMMAND, so functions chain
# with && or return what they mean.
step() {
  local name=$1 start=$SECONDS out
  shift
  if out=$("$@" 2>&1); then
    printf 'ok    %s (%d s)\n' "$name" $((SECONDS - start))
    # A check that could not be made says so.
    grep '^not checked' <<<"$out" || true
  else
    printf 'FAIL  %s\n%s\n' "$name" "$out"
    failed+=("$name")
  fi
}

modules() { go list -m -f '{{.Dir}}'; }

format() {
  local files
  files=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
  [ -z "$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$files" && return 1; }
}

shell_scripts() {
  local file status=0
  while read -r file; do bash -n "$file" || status=1; done < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
  return "$status"
}

lint() {
  tools/build.sh golangci-lint && make lint
}

# protobuf: follows buf's rules, and reads and writes what the last release did.
protobuf() {
  tools/build.sh buf && tools/protobuf.sh proto
}

# generated: the files that "make generate" writes are what it would write. Compares
# before and after rather than with the last commit, so that work in hand is no fault.
generated() {
  local before after
  before=$(mktemp) after=$(mktemp)
  checksums() { git ls-files -co --exclude-standard -z | xargs -0 cksum 2>/dev/null | sort -k3; }
  checksums >"$before"
  make generate || return 1
  checksums >"$after"
  cmp -s "$before" "$after" || {
    echo "generated files were out of date; they are written now, commit them:"
    diff "$before" "$after" | awk '{ print "  " $NF }' | sort -u
    return 1
  }
}

# alone: each module builds without the workspace, as those who import it see it.
alone() {
  local dir status=0
  while read -r dir; do
    (cd "$dir" && GOWORK=off go build ./... && GOWORK=off go vet ./...) || { echo "in $dir" && status=1; }
  done < <(modules)
  return "$status"
}

tidy() {
  local dir status=0
  while read -r dir; do
    (cd "$dir" && GOWORK=off go mod tidy -diff) || { echo "in $dir: make tidy" && status=1; }
  done < <(modules)
  return "$status"
}

workspace() {
  GOWORK=off go -C tools vet ./... && GOWORK=off go -C tools test -count=1 ./...
}

# deployments: manifests, Compose, rules and dashboards load, and name what exists.
deployments() {
  GOWORK=off go -C tools/deploy vet ./... && GOWORK=off go -C tools/deploy mod tidy -diff &&
    GOWORK=off go -C tools/deploy test -count=1 ./...
}

# alerts: each fires for its fault and none without one.
alerts() {
  if ! command -v promtool >/dev/null; then
    echo "not checked: the alerts, without promtool (apt-get install prometheus)"
    [ "${CI:-}" != true ]
    return
  fi
  promtool check rules deployments/observability/prometheus/aftercall.rules.yml &&
    promtool test rules deployments/observability/prometheus/aftercall.rules.test.yml
}

# stranger: a module of somebody else's imports the upstream client by itself.
stranger() {
  local dir root=$PWD
  [ -n "$(ls pkg/cdrclient/*.go 2>/dev/null)" ] || return 0
  dir=$(mktemp -d)
  cat >"$dir/main.go" <<'GO'
package main

import _ "github.com/aftercall/aftercall/pkg/cdrclient"

func main() {}
GO
  (
    export GOWORK=off GOFLAGS=-mod=mod
    cd "$dir" &&
      go mod init stranger.example &&
      go mod edit -require github.com/aftercall/aftercall/pkg/cdrclient@v0.0.0 \
        -replace "github.com/aftercall/aftercall/pkg/cdrclient=$root/pkg/cdrclient" &&
      go build -o /dev/null . || exit 1
    ! grep github.com/aftercall go.mod | grep -v cdrclient || { echo "cdrclient drags in a sibling" && exit 1; }
  )
  local status=$?
  rm -rf "$dir"
  return "$status"
}

vulnerabilities() {
  if ! timeout 5 bash -c '</dev/tcp/vuln.go.dev/443' 2>/dev/null; then
    echo "not checked: the database of vulnerabilities (vuln.go.dev) was not reached"
    return 0
  fi
  # The one-process edition links every service.
  tools/build.sh govulncheck || return 1
  local status=0
  .cache/bin/govulncheck -C services/aftercall ./... || status=$?
  # 3 is what it ends with when it has found one.
  if [ "$status" -ne 0 ] && [ "$status" -ne 3 ]; then
    echo "not checked: govulncheck ended with status $status"
    return 0
  fi
  return "$status"
}

step "format" format
step "shell scripts" shell_scripts
step "modules build and vet alone" alone
step "modules are tidy" tidy
step "workspace: versions, directions, drivers" workspace
step "deployments: Compose, Kubernetes, rules, dashboards" deployments
step "alerts fire for their faults" alerts
step "the upstream client stands alone" stranger
step "linters" lint
step "protobuf: lint, nothing broken since the last release" protobuf
step "generated files" generated
step "known vulnerabilities" vulnerabilities

if [ ${#failed[@]} -gt 0 ]; then
  printf '%d of the checks failed:' ${#failed[@]}
  printf ' [%s]' "${failed[@]}"
  echo
  exit 1
fi
