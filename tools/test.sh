#!/usr/bin/env bash
# test.sh [go test flags]: the tests of every module of the workspace, with the race
# detector where cgo is there, and after them what did not run, and how to run it.
#
#   RACE=on | off     insist on the race detector, or do without (default: where it works)
#   TEST_P=n          packages at a time (default: Go's, the number of cores)
set -euo pipefail
cd "$(dirname "$0")/.."

tools/build.sh gotestsum notrun

race=()
case ${RACE:-auto} in
  on) race=(-race) ;;
  auto)
    cc=$(go env CC)
    if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "${cc%% *}" >/dev/null; then race=(-race); fi
    ;;
esac

# The tag synctests makes franz-go's locks known to testing/synctest's fake clock.
# The time limit is for the slowest package on a busy machine.
log=$PWD/.cache/test.json
status=0
.cache/bin/gotestsum --format pkgname --format-hide-empty-pkg --hide-summary=skipped --jsonfile "$log" -- \
  -tags synctests -timeout 20m ${race[@]+"${race[@]}"} ${TEST_P:+-p "$TEST_P"} -shuffle=on "$@" work </dev/null || status=$?

[ ${#race[@]} -gt 0 ] || [ "${RACE:-auto}" = off ] ||
  echo "The race detector was off: it needs a C compiler (apt-get install gcc)."
notrun=$(.cache/bin/notrun "$log")
if [ -n "$notrun" ]; then
  printf '%s\n' "$notrun"
  # Whoever demands the real servers wants every test to run.
  [ "${AFTERCALL_REQUIRE_REAL:-}" != 1 ] || status=1
fi
exit "$status"
