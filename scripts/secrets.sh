#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml once, in deploy/secrets (or the directory given): random passwords, and
# configuration files that hold them. What a newer version needs besides is added. Remove the directory, and the volume of Postgres
# with it, to get new ones.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
directory=${1:-$root/deploy/secrets}
# Letters and digits alone, so that nothing has to be escaped in a URL. The subshell, since tr ends by a closed pipe.
password() (
  set +o pipefail
  LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c 32
)

# $1: a directory of secrets that has none. What the clearing house and the adapter show each other.
house_token() {
  password >"$1/house_token"
  printf '[instant]\nhouse_token = "%s"\n' "$(cat "$1/house_token")" >>"$1/application.toml"
}

if [ -e "$directory" ]; then
  [ ! -e "$directory/house_token" ] || { echo "$directory is there already: nothing to do" >&2; exit 0; }
  chmod u+w "$directory/application.toml"
  house_token "$directory"
  chmod 444 "$directory/application.toml" "$directory/house_token"
  echo "added house_token to $directory" >&2
  exit 0
fi

application=$(password)
relay=$(password)

# Connections stay in the network of docker-compose.yml, and are plain there.
settings() {
  local service database
  for service in core:lunaria_core instant:lunaria_adapter_instant; do
    database=${service#*:}
    echo "[${service%%:*}.database]"
    case $1 in *application*) echo "database_url = \"postgres://lunaria_app:$application@postgres:5432/$database?sslmode=disable\"" ;; esac
    case $1 in *relay*) echo "relay_url = \"postgres://lunaria_relay:$relay@postgres:5432/$database?sslmode=disable\"" ;; esac
  done
}

mkdir -p "$(dirname "$directory")"
draft=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$draft"' EXIT
password >"$draft/superuser_password"
password >"$draft/owner_password"
settings application >"$draft/application.toml"
settings relay >"$draft/relay.toml"
settings application,relay >"$draft/provision.toml"
house_token "$draft"
# The directory is closed to all others. Its files are not: compose mounts them as they are, and the containers' users are
# nobody on this machine.
chmod 444 "$draft"/*
chmod 700 "$draft"
# Whole or not at all.
mv -T "$draft" "$directory"
trap - EXIT
echo "made $directory" >&2
