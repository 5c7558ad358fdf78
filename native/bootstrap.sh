#!/usr/bin/env bash
# Makes the virtual environment VENV and installs the locked packages and our own PROJECTS into it.
# usage: bootstrap.sh VENV PROJECT...
set -euo pipefail
venv=$1
shift

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

# Two commands at once (a demo, and its status from another terminal) make one environment.
mkdir -p .run
exec 9>.run/bootstrap.lock
flock 9
fresh() { [ -e "$venv/.ready" ] && ! find requirements/dev.txt "${@/%//pyproject.toml}" -newer "$venv/.ready" | grep -q .; }
if fresh "$@"; then exit 0; fi

# Package lists of its own: a fresh container has none, and old ones name files that are gone.
fetch_pip() {
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  local apt=(apt-get -qq -o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1/cache" -o APT::Sandbox::User=
    -o Acquire::Languages=none -o Debug::NoLocking=true)
  # What the system runs after an update (emptying its cache, say) is not for this one.
  printf '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n' > "$1/apt.conf"
  "${apt[@]}" -c "$1/apt.conf" update >/dev/null 2>&1 || true # a source of somebody else may be broken
  (cd "$1" && "${apt[@]}" download python3-pip-whl >/dev/null && dpkg -x python3-pip-whl_*.deb .)
}

python=${CLAW_NATIVE_PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  die "'$python' is not Python 3.11 or newer; install it, or name another one: CLAW_NATIVE_PYTHON=/usr/bin/python3.12"

say "Virtual environment in $venv ($("$python" --version))"
# One that works is brought up to date, not made anew: a demo may be running from it.
works() { [ "$("$venv/bin/python" --version 2>&1)" = "$("$python" --version)" ] && "$venv/bin/pip" --version; }
if works >/dev/null 2>&1; then
  :
elif ! "$python" -m venv --clear "$venv" >/dev/null 2>&1; then
  # Debian's python3 comes without ensurepip: take pip's wheel from its own package, without touching the system.
  rm -rf "$venv"
  wheels=$(mktemp -d)
  trap 'rm -rf "$wheels"' EXIT
  fetch_pip "$wheels" ||
    die "'$python' has no ensurepip, and python3-pip-whl cannot be fetched: check the network, or install python3-venv"
  "$python" -m venv --without-pip "$venv"
  pip=$(echo "$wheels"/usr/share/python-wheels/pip-*.whl)
  "$venv/bin/python" "$pip/pip" --quiet install --no-index --find-links "$wheels/usr/share/python-wheels" pip
fi

say "Packages of requirements/dev.txt ($(grep -c == requirements/dev.txt))"
"$venv/bin/pip" --quiet --disable-pip-version-check install --require-hashes -r requirements/dev.txt
say "Our own projects: $*"
editable=()
for project in "$@"; do editable+=(-e "$project"); done
"$venv/bin/pip" --quiet --disable-pip-version-check install --no-deps --no-build-isolation "${editable[@]}"
touch "$venv/.ready"
