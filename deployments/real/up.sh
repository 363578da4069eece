#!/usr/bin/env bash
# Starts Apache Kafka (one KRaft node) and PostgreSQL on free loopback ports, for
# tests that want the real ones, and writes .cache/real/env with their addresses.
#
#   make real-up && set -a && . .cache/real/env && set +a
#
# Needs no container: Kafka runs from its jars on Maven Central, which are kept in
# ~/.cache/aftercall, PostgreSQL from the system's packages. Run again, it starts
# whatever of the two is not running, on the same port and data, so that a test may
# kill one (.cache/real/{kafka,postgres}.pid) and bring it back. down.sh ends both.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kafka_version=$(sed -n 's:.*<version>\(4[^<]*\)</version>.*:\1:p' "$here/pom.xml" | head -1)
tools_version=$(sed -n 's:.*<version>\(4[^<]*\)</version>.*:\1:p' "$here/tools/pom.xml" | head -1)
kafka_jars=$jars/kafka-$kafka_version
tools_jars=$jars/kafka-tools-$tools_version

mkdir -p "$state" "$jars"
exec 9>"$state/lock"
if command -v flock >/dev/null; then flock 9; fi

find_java() {
  java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  command -v "$java" >/dev/null || die "no Java found; Kafka needs a runtime of version 17 or later: apt-get install openjdk-17-jre-headless"
  local version
  version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
  [ "${version:-0}" -ge 17 ] || die "$java is version ${version:-unknown}; Kafka needs 17 or later: apt-get install openjdk-17-jre-headless"
}

find_postgres() {
  pgbin=
  local d
  for d in /usr/lib/postgresql/*/bin /usr/local/opt/postgresql*/bin /opt/homebrew/opt/postgresql*/bin; do
    [ -x "$d/initdb" ] && pgbin=$d
  done
  if [ -z "$pgbin" ] && command -v initdb >/dev/null; then pgbin=$(dirname "$(command -v initdb)"); fi
  [ -n "$pgbin" ] || die "no PostgreSQL server found (initdb, pg_ctl): apt-get install postgresql"
  if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || die "PostgreSQL does not run as root, and there is no user postgres to run it as: apt-get install postgresql, or run this as another user"
  fi
}

# fetch POM FOLDER: resolves a class path once; a broken download leaves no folder.
fetch() {
  [ -d "$2" ] && return
  command -v mvn >/dev/null || die "Apache Kafka's jars are not in $2 yet and come by Maven, which is not installed: apt-get install maven"
  local tmp=$2.$$ tries=1
  until mvn -B -q -ntp -f "$1" dependency:copy-dependencies -DoutputDirectory="$tmp" </dev/null >"$state/maven.log" 2>&1; do
    rm -rf "$tmp"
    if [ "$tries" -ge 3 ]; then
      cat "$state/maven.log" >&2
      die "fetching $(basename "$2") by Maven failed (see above)"
    fi
    sleep $((tries++ * 5))
  done
  mv "$tmp" "$2"
}

# free_ports N: that many ports nobody listens on, below the range from which the
# system hands out ports by itself.
free_ports() {
  local port n=0 taken=' '
  while [ "$n" -lt "$1" ]; do
    port=$((20000 + RANDOM % 10000))
    case $taken in *" $port "*) continue ;; esac
    listening "$port" && continue
    taken="$taken$port " n=$((n + 1))
    echo "$port"
  done
}

await() { # await SECONDS COMMAND…
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

start_kafka() {
  find_java
  fetch "$here/pom.xml" "$kafka_jars"
  local cp="$here:$kafka_jars/*" conf=$state/server.properties log=$state/kafka.log
  sed -e "s|@PORT@|$kafka_port|; s|@CONTROLLER_PORT@|$controller_port|; s|@DATA@|$state/kafka|" "$here/server.properties.tmpl" >"$conf"
  if [ ! -s "$state/kafka/meta.properties" ]; then
    "$java" -Xmx256m -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$cp" kafka.tools.StorageTool \
      format --standalone -t "$("$java" -cp "$cp" kafka.tools.StorageTool random-uuid 2>/dev/null | tail -1)" -c "$conf" >"$log" 2>&1 9>&- ||
      { cat "$log" >&2; die "formatting Kafka's storage failed (see above)"; }
  fi
  $detach "$java" -Xms256m -Xmx1g -XX:+ExitOnOutOfMemoryError -Dlog4j2.configurationFile="$here/log4j2.properties" \
    -cp "$cp" kafka.Kafka "$conf" </dev/null >"$log" 2>&1 9>&- &
  echo $! >"$state/kafka.pid"
  kafka_up() { grep -q 'Kafka Server started' "$log" && listening "$kafka_port"; }
  # Not "running": a process that has just been forked does not bear its name yet.
  kafka_up_or_dead() { kafka_up || ! kill -0 "$(cat "$state/kafka.pid")" 2>/dev/null; }
  await 90 kafka_up_or_dead && kafka_up || { tail -50 "$log" >&2; die "Kafka did not start (the end of $log is above)"; }
}

start_postgres() {
  find_postgres
  local log=$pgdata/server.log
  if [ ! -s "$pgdata/PG_VERSION" ]; then
    rm -rf "$pgdata"
    mkdir -p "$pgdata"
    [ "$(id -u)" = 0 ] && chown postgres: "$pgdata"
    as_postgres "$pgbin/initdb" -D "$pgdata" -U aftercall -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$state/initdb.log" 2>&1 9>&- ||
      { cat "$state/initdb.log" >&2; die "initdb failed (see above)"; }
    # No syncs: a killed server keeps its data all the same, only a power cut would
    # not. But synchronous_commit stays on: off, a kill loses what was committed last.
    as_postgres tee -a "$pgdata/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $postgres_port
unix_socket_directories = ''
max_connections = 400
fsync = off
full_page_writes = off
timezone = 'UTC'
CONF
  fi
  # Straight after a kill -9 the old server's children may still hold its memory.
  pg_start() { as_postgres "$pgbin/pg_ctl" -D "$pgdata" -l "$log" -w -t 60 -s start </dev/null >"$state/pg_ctl.log" 2>&1 9>&-; }
  await 20 pg_start || { as_postgres tail -30 "$log" >&2; die "PostgreSQL did not start (the end of $log is above)"; }
  head -1 "$pgdata/postmaster.pid" >"$state/postgres.pid"
  "$pgbin/psql" -h 127.0.0.1 -p "$postgres_port" -U aftercall -d postgres -qAt \
    -c "select 1 from pg_database where datname = 'aftercall'" | grep -q 1 ||
    "$pgbin/createdb" -h 127.0.0.1 -p "$postgres_port" -U aftercall aftercall
}

detach=nohup
if command -v setsid >/dev/null; then detach=setsid; fi

if [ ! -s "$state/ports" ]; then free_ports 3 >"$state/ports"; fi
{ read -r kafka_port; read -r controller_port; read -r postgres_port; } <"$state/ports"

running "$state/kafka.pid" "$state/server.properties" || start_kafka
running "$state/postgres.pid" "$pgdata" || start_postgres
fetch "$here/tools/pom.xml" "$tools_jars"

cat >"$state/env.new" <<ENV
AFTERCALL_TEST_KAFKA='127.0.0.1:$kafka_port'
AFTERCALL_TEST_KAFKA_PID_FILE='$state/kafka.pid'
AFTERCALL_TEST_KAFKA_HOME='$kafka_jars'
AFTERCALL_TEST_KAFKA_TOOLS='$tools_jars'
AFTERCALL_TEST_DATABASE_URL='postgres://aftercall@127.0.0.1:$postgres_port/aftercall?sslmode=disable'
AFTERCALL_TEST_POSTGRES_PID_FILE='$state/postgres.pid'
AFTERCALL_TEST_REAL_UP='$here/up.sh'
ENV
mv "$state/env.new" "$state/env"

echo "Kafka $kafka_version  127.0.0.1:$kafka_port        (log: $state/kafka.log)"
echo "PostgreSQL   127.0.0.1:$postgres_port        (log: $pgdata/server.log)"
echo "For the tests: set -a; . ${state#"$PWD"/}/env; set +a        Stop both: make real-down"
