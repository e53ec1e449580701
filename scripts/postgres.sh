#!/usr/bin/env bash
# Fetches the programs of a PostgreSQL newer than Debian's once, by Maven, and prints the directory that holds them. For
# the tests of what only a newer server can: initdb, pg_ctl and postgres are in it, clients are not.
set -euo pipefail

version=18.4.0
case $(uname -m) in
  x86_64) arch=amd64 file=postgres-linux-x86_64.txz
    sha256=a5bd167846d36838e24bf43afe0b89e4bee5deab88b300e8bb796bf8f5ac08b2 ;;
  aarch64) arch=arm64v8 file=postgres-linux-arm_64.txz
    sha256=e82704ca265154fb573a24f3b0ca78520d4095beb892482431a08d53fe22268d ;;
  *) echo "no PostgreSQL $version for $(uname -m)" >&2; exit 1 ;;
esac
artifact=io.zonky.test.postgres:embedded-postgres-binaries-linux-$arch:$version

# PostgreSQL does not run as root, and the user that it runs as cannot reach root's home.
if [ "$(id -u)" = 0 ]; then
  cache=/var/cache/lunaria
else
  cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lunaria
fi
home=$cache/postgres-$version

if [ ! -d "$home" ]; then
  for program in mvn xz; do
    command -v $program >/dev/null || { echo "$program is missing: scripts/prerequisites.sh test" >&2; exit 1; }
  done
  mkdir -p "$cache"
  draft=$(mktemp -d "$cache/postgres-$version.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  echo "fetching PostgreSQL $version into $home" >&2
  # There, because outside a project the plugin leaves its notes where it is called.
  if ! output=$(cd "$draft" && mvn -q -B dependency:unpack "-Dartifact=$artifact" -DoutputDirectory="$draft/jar" 2>&1); then
    echo "$output" >&2
    exit 1
  fi
  echo "$sha256  $draft/jar/$file" | sha256sum --check --quiet >&2
  mkdir "$draft/postgres"
  tar -xJf "$draft/jar/$file" -C "$draft/postgres" --no-same-owner
  # Whole or not at all; -T, so that a second run at the same time does not end up inside the first one's directory.
  mv -T "$draft/postgres" "$home" 2>/dev/null || [ -d "$home" ]
fi
echo "$home/bin"
