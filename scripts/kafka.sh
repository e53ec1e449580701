#!/usr/bin/env bash
# Fetches the jars of Apache Kafka once, by Maven, and prints the directory that holds them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pom=$root/kafka/pom.xml
version=$(sed -n '/kafka_2.13/,/version/s:.*<version>\(.*\)</version>.*:\1:p' "$pom")
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lunaria
libs=$cache/kafka-$version

if [ ! -d "$libs" ]; then
  command -v mvn >/dev/null || { echo "Maven is missing: scripts/prerequisites.sh test" >&2; exit 1; }
  mkdir -p "$cache"
  draft=$(mktemp -d "$cache/kafka-$version.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  echo "fetching Kafka $version into $libs" >&2
  if ! output=$(mvn -q -B -f "$pom" dependency:copy-dependencies "-DoutputDirectory=$draft" 2>&1); then
    echo "$output" >&2
    exit 1
  fi
  chmod 755 "$draft"
  # Whole or not at all; -T, so that a second run at the same time does not end up inside the first one's directory.
  mv -T "$draft" "$libs" 2>/dev/null || [ -d "$libs" ]
fi
echo "$libs"
