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

# $1: the directory. What the clearing house and its adapter show each other, and what the card network shows its own.
token() { # $2: its file, $3: the section of the configuration
  password >"$1/$2"
  printf '[%s]\n%s = "%s"\n' "$3" "$2" "$(cat "$1/$2")" >>"$1/application.toml"
}

admin_key() { printf '[api.keys.admin]\nroles = "admin"\nsecret = "%s"\n' "$(cat "$1/admin_key")"; }

# $1: the directory. Who may ask the API: whoever has the file `api_key`, everything but to approve; whoever has `approver_key`, that; whoever has
# `admin_key`, to build read models anew; the adapters, for
# what core publishes.
api_keys() {
  printf '[api.keys.desk]\nroles = "service,operator,auditor"\nsecret = "%s"\n' "$(cat "$1/api_key")"
  printf '[api.keys.approver]\nroles = "approver"\nsecret = "%s"\n' "$(cat "$1/approver_key")"
  admin_key "$1"
  printf '[api.keys.adapters]\nroles = "service"\nsecret = "%s"\n[core]\nexternal_token = "%s"\n' "$(cat "$1/external_token")" "$(cat "$1/external_token")"
}

# Connections stay in the network of docker-compose.yml, and are plain there. $1: who reads it, then the services, each with its
# database; the passwords are in $application and $relay.
settings() {
  local readers=$1 service database
  shift
  for service; do
    database=${service#*:}
    echo "[${service%%:*}.database]"
    case $readers in *application*) echo "database_url = \"postgres://lunaria_app:$application@postgres:5432/$database?sslmode=disable\"" ;; esac
    case $readers in *relay*) echo "relay_url = \"postgres://lunaria_relay:$relay@postgres:5432/$database?sslmode=disable\"" ;; esac
  done
}

# The password of a role ($1) in a configuration file ($2).
known() { sed -n "s|.*postgres://$1:\([^@]*\)@.*|\1|p" "$2" | head -n 1; }

# Appends to a configuration file ($1, standard input), whole or not at all.
extend() {
  local draft
  draft=$(mktemp "$1.XXXXXX")
  cat "$1" - >"$draft"
  chmod 444 "$draft"
  mv -f "$draft" "$1"
}

# What is there is looked at anew, so that a run that was cut short is made good by the next one.
upgrade() {
  local file name section
  application=$(known lunaria_app "$directory/application.toml")
  relay=$(known lunaria_relay "$directory/relay.toml")
  [ -n "$application" ] && [ -n "$relay" ] ||
    { echo "$directory does not look as this script makes it: add the section [card.database] by hand" >&2; exit 1; }
  for file in application:application relay:relay application,relay:provision; do
    name=$directory/${file#*:}.toml
    grep -q '^\[card\.database\]' "$name" || { settings "${file%:*}" card:lunaria_adapter_card | extend "$name"; added+=" ${file#*:}.toml"; }
  done
  for name in house_token network_token api_key approver_key admin_key external_token; do
    [ -s "$directory/$name" ] || { (umask 222 && password >"$directory/$name.draft"); mv -f "$directory/$name.draft" "$directory/$name"; chmod 444 "$directory/$name"; }
  done
  for file in house_token:instant network_token:card; do
    name=${file%:*} section=${file#*:}
    grep -q "^$name = " "$directory/application.toml" ||
      { printf '[%s]\n%s = "%s"\n' "$section" "$name" "$(cat "$directory/$name")" | extend "$directory/application.toml"; added+=" $name"; }
  done
  grep -q '^\[api\.keys\.' "$directory/application.toml" ||
    { api_keys "$directory" | extend "$directory/application.toml"; added+=" api_key"; }
  grep -q '^\[api\.keys\.admin\]' "$directory/application.toml" ||
    { admin_key "$directory" | extend "$directory/application.toml"; added+=" admin_key"; }
}

if [ -e "$directory" ]; then
  added=
  upgrade
  if [ -n "$added" ]; then
    echo "added to $directory:$added" >&2
  else
    echo "$directory is there already: nothing to do" >&2
  fi
  exit 0
fi

application=$(password)
relay=$(password)
services="core:lunaria_core instant:lunaria_adapter_instant card:lunaria_adapter_card"

mkdir -p "$(dirname "$directory")"
draft=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$draft"' EXIT
password >"$draft/superuser_password"
password >"$draft/owner_password"
# shellcheck disable=SC2086
{
  settings application $services >"$draft/application.toml"
  settings relay $services >"$draft/relay.toml"
  settings application,relay $services >"$draft/provision.toml"
}
token "$draft" house_token instant
token "$draft" network_token card
password >"$draft/api_key"
password >"$draft/approver_key"
password >"$draft/admin_key"
password >"$draft/external_token"
api_keys "$draft" >>"$draft/application.toml"
# The directory is closed to all others. Its files are not: compose mounts them as they are, and the containers' users are
# nobody on this machine.
chmod 444 "$draft"/*
chmod 700 "$draft"
# Whole or not at all.
mv -T "$draft" "$directory"
trap - EXIT
echo "made $directory" >&2
