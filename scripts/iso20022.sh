#!/usr/bin/env bash
# iso20022.sh FILE…: whether each message is valid to a library that is not ours, whose classes come from the published schemas.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/venv.sh" iso20022 pyiso20022==1.6.2 xsdata==26.10)
exec "$python" "$here/iso20022.py" "$@"
