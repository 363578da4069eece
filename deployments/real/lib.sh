# Shared by up.sh and down.sh; to be sourced. Paths, and questions about processes.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
state=${AFTERCALL_TEST_REAL_STATE:-$root/.cache/real}
jars=${XDG_CACHE_HOME:-$HOME/.cache}/aftercall

# PostgreSQL does not run as root, and its user need not be able to reach a
# folder below /root: as root its data lies in /var/tmp.
if [ "$(id -u)" = 0 ]; then
  pgdata=/var/tmp/aftercall-postgres-$(printf %s "$state" | cksum | cut -d' ' -f1)
  as_postgres() { (cd / && runuser -u postgres -- "$@"); }
else
  pgdata=$state/postgres
  as_postgres() { "$@"; }
fi

die() {
  printf 'real: %s\n' "$@" >&2
  exit 1
}

# running PIDFILE MARK: whether the process of that id lives and is ours (its
# command line holds MARK): ids are used again after a restart of the machine.
running() {
  local pid args
  [ -s "$1" ] || return 1
  read -r pid <"$1" || return 1
  kill -0 "$pid" 2>/dev/null || return 1
  if [ -r "/proc/$pid/cmdline" ]; then
    args=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  else
    args=$(ps -o args= -p "$pid")
  fi
  case $args in *"$2"*) return 0 ;; *) return 1 ;; esac
}

# listening PORT: whether something accepts connections on 127.0.0.1:PORT.
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
