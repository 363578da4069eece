#!/usr/bin/env bash
# build.sh NAME…: builds developers' tools into .cache/bin, each from the module that
# pins its version, unless that is done already.
set -euo pipefail
cd "$(dirname "$0")"
bin=../.cache/bin
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)

for name in "$@"; do
  case $name in
    golangci-lint) module=lint package=github.com/golangci/golangci-lint/v2/cmd/golangci-lint ;;
    govulncheck) module=lint package=golang.org/x/vuln/cmd/govulncheck ;;
    buf) module=. package=github.com/bufbuild/buf/cmd/buf ;;
    gotestsum) module=. package=gotest.tools/gotestsum ;;
    notrun | reliability) module=. package=./$name ;;
    *) echo "build.sh: no tool is called $name" >&2 && exit 2 ;;
  esac
  # A tool is as new as its pinned version and, where it is ours, its source.
  if [ -x "$bin/$name" ] && [ "$bin/$name" -nt "$module/go.mod" ]; then
    [ "$package" = "./$name" ] || continue
    [ -z "$(find "$name" -newer "$bin/$name" -print -quit)" ] && continue
  fi
  GOWORK=off go -C "$module" build -trimpath -buildvcs=false -o "$bin/$name" "$package"
  touch "$bin/$name"
done
