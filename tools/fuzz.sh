#!/usr/bin/env bash
# fuzz.sh: every fuzz target of the workspace, one after the other, each for
# FUZZTIME (default 1m). Their seeds alone run in every `make test`. An input that
# fails is kept in the package's testdata/fuzz, where the tests find it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
while IFS=: read -r file target; do
  name=${target#func }
  echo "$name in $(dirname "$file")"
  go test -tags synctests -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-1m}" "./$(dirname "$file")" || status=1
done < <(git grep -o '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go')
exit $status
