#!/usr/bin/env bash
# venv.sh NAME PACKAGE==VERSION…: prints a Python that has these packages, in a place of their own, fetched once.
set -euo pipefail

name=$1
shift
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lunaria
venv=$cache/$name-$(printf '%s\n' "$@" | cksum | cut -d ' ' -f 1)

if [ ! -d "$venv" ]; then
  python3 -c 'import ensurepip' 2>/dev/null || { echo "Python is missing: scripts/prerequisites.sh test" >&2; exit 1; }
  mkdir -p "$cache"
  exec 9>"$cache/$name.lock"
  flock 9
  if [ ! -d "$venv" ]; then
    draft=$venv.draft
    rm -rf "$draft"
    python3 -m venv "$draft"
    "$draft/bin/pip" --quiet --disable-pip-version-check install "$@"
    # Whole or not at all. A moved environment's python works; only its scripts do not.
    mv -T "$draft" "$venv"
  fi
fi
echo "$venv/bin/python"
