#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads, in deployments/secrets: keyset,
# API token and the database's password. What is there stays.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=deployments/secrets
umask 077
mkdir -p "$dir"
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

[ -s "$dir/keyset.json" ] || { make build SERVICES=aftercall && bin/aftercall keyset new "$dir/keyset.json"; }
[ -s "$dir/admin-token" ] || random >"$dir/admin-token"
[ -s "$dir/database-password" ] || random >"$dir/database-password"
[ -s "$dir/database-url" ] ||
  printf 'postgres://aftercall:%s@postgres:5432/aftercall' "$(cat "$dir/database-password")" >"$dir/database-url"
# Containers read them as another user: the folder keeps others out.
chmod 0444 "$dir"/*
