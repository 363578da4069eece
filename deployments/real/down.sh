#!/usr/bin/env bash
# Stops the Kafka and the PostgreSQL that up.sh started, by their process ids, and
# deletes their data. The downloaded jars stay.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# stop NAME MARK SIGNAL: asks, waits up to 20 seconds, then kills.
stop() {
  local pidfile=$state/$1.pid pid end=$((SECONDS + 20))
  if running "$pidfile" "$2"; then
    read -r pid <"$pidfile"
    kill "-$3" "$pid"
    while running "$pidfile" "$2"; do
      if [ "$SECONDS" -ge "$end" ]; then
        echo "real: $1 (process $pid) did not stop in 20 s: killing it" >&2
        kill -KILL "$pid" 2>/dev/null || true
        sleep 0.5
        break
      fi
      sleep 0.1
    done
  fi
  rm -f "$pidfile"
}

stop kafka "$state/server.properties" TERM
stop postgres "$pgdata" INT # PostgreSQL's "fast" shutdown.
rm -rf "$state" "$pgdata"
