#!/usr/bin/env bash
# prerequisites.sh build|run|test: installs what is missing as root (or by a sudo that asks nothing); anyone else gets
# the one line that root has to type.
set -euo pipefail

rust_min=1.95
postgres_min=15
java_min=17
export PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"

fail() {
  echo "$1" >&2
  exit 1
}

have() { command -v "$1" >/dev/null; }

at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

has_libc_headers() { have gcc && echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1; }

has_openssl_headers() { have pkg-config && pkg-config --exists openssl; }

# The client package has a version directory too, but no initdb.
has_postgres() {
  local initdb
  for initdb in /usr/lib/postgresql/*/bin/initdb $(command -v initdb || true); do
    if [ -x "$initdb" ] && at_least "$("$initdb" --version | awk '{print $3}')" $postgres_min; then
      return 0
    fi
  done
  return 1
}

has_java() {
  have java && at_least "$(java -version 2>&1 | sed -n '1s/.*"\(.*\)".*/\1/p')" $java_min
}

has_python_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Prints the Debian packages that the mode needs and the machine lacks.
missing() {
  have gcc || echo gcc
  have g++ || echo g++
  have make || echo make
  has_libc_headers || echo libc6-dev
  have pkg-config || echo pkg-config
  has_openssl_headers || echo libssl-dev
  [ "$mode" = build ] && return
  has_postgres || echo postgresql
  [ "$mode" = run ] && return
  has_java || echo openjdk-17-jre-headless
  have mvn || echo maven
  have kcat || echo kcat
  have xz || echo xz-utils
  has_python_venv || echo python3-venv
}

# The line for root. A cluster on port 5432 that nobody asked for would come with PostgreSQL's package.
install_line() {
  local conf=/etc/postgresql-common/createcluster.conf
  if [[ " $* " == *" postgresql "* && ! -e $conf ]]; then
    printf '%s' "mkdir -p ${conf%/*} && echo 'create_main_cluster = false' > $conf && "
  fi
  echo "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $*"
}

check_rust() {
  if ! have cargo; then
    fail "Rust is missing. Type:  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
  fi
  local version
  version=$(cargo --version | awk '{print $2}')
  at_least "$version" $rust_min || fail "Rust $version is older than $rust_min. Type:  rustup update stable"
}

mode=${1:-}
case $mode in
  build | run | test) ;;
  *) fail "usage: scripts/prerequisites.sh build|run|test" ;;
esac

mapfile -t packages < <(missing)
if [ ${#packages[@]} -gt 0 ]; then
  have apt-get || fail "Install what Debian calls:  ${packages[*]}"
  line=$(install_line "${packages[@]}")
  if [ "$(id -u)" = 0 ]; then
    sh -c "$line"
  elif have sudo && sudo -n true 2>/dev/null; then
    sudo -n sh -c "$line"
  else
    fail "As root, type:  $line"
  fi
  mapfile -t packages < <(missing)
  [ ${#packages[@]} = 0 ] || fail "Installed, but still missing or too old:  ${packages[*]}"
fi
check_rust
