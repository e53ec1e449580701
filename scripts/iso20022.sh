#!/usr/bin/env bash
# iso20022.sh FILE…: whether each message is valid to a library that is not ours, whose classes come from the published schemas.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages=(pyiso20022==1.6.2 xsdata==26.10)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lunaria
venv=$cache/iso20022-$(printf '%s\n' "${packages[@]}" | cksum | cut -d ' ' -f 1)

if [ ! -d "$venv" ]; then
  python3 -c 'import ensurepip' 2>/dev/null || { echo "Python is missing: scripts/prerequisites.sh test" >&2; exit 1; }
  mkdir -p "$cache"
  exec 9>"$cache/iso20022.lock"
  flock 9
  if [ ! -d "$venv" ]; then
    draft=$venv.draft
    rm -rf "$draft"
    python3 -m venv "$draft"
    "$draft/bin/pip" --quiet --disable-pip-version-check install "${packages[@]}"
    # Whole or not at all. A moved environment's python works; only its scripts do not.
    mv -T "$draft" "$venv"
  fi
fi
exec "$venv/bin/python" "$here/iso20022.py" "$@"
