#!/usr/bin/env bash
# schemathesis.sh URL KEY [ARGUMENT…]: asks a running API for everything that its own OpenAPI document allows, and much that it does not; exit code 1
# when an answer is not as described, or a fault.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/venv.sh" schemathesis schemathesis==4.32.5)
url=$1 key=$2
shift 2
# It keeps what it has found where it stands, keys included.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
"$python" -c 'from schemathesis.cli import schemathesis; schemathesis()' --config-file "$here/schemathesis.toml" \
  run "$url/openapi.json" --url "$url" --header "Authorization: Bearer $key" --phases examples,coverage,fuzzing --no-color "$@"
