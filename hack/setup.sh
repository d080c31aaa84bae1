#!/usr/bin/env bash
# Makes .venv: the locked development dependencies, and this repository's two packages installed editable.
# Called by `make setup`, which skips it while neither the lock nor the package metadata has changed.
# PYTHON=... names an interpreter; otherwise python3, then the newest python3.N found on PATH, must be 3.11 or newer.
set -euo pipefail

cd "$(dirname "$0")/.."
venv=.venv

die() {
  echo "make setup: $*" >&2
  exit 1
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.15 python3.14 python3.13 python3.12 python3.11}; do
    if is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11 or newer is needed, and ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 || true)." \
    "Install one, or name it: make setup PYTHON=/path/to/python3.12"
}

# Debian ships python3 without ensurepip; the package python3-venv has it.
install_venv_module() {
  local python=$1 package
  package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    die "$python cannot create virtual environments: install its venv module (on Debian: sudo apt-get install $package)"
  fi
  echo "make setup: installing $package, as $python has no ensurepip"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
}

create_venv() {
  local python
  python=$(find_python)
  "$python" -c 'import ensurepip' 2>/dev/null || install_venv_module "$python"
  # An interpreter that went away (an upgraded system, a moved clone) leaves a venv that cannot start.
  if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    "$python" -m venv --clear "$venv"
  fi
}

mkdir -p "$venv"
# Two terminals may type `make` at the same moment; the second one waits and then finds everything in place.
exec 9>"$venv/.lock"
flock 9 2>/dev/null || true

create_venv
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install --require-hashes --requirement requirements/dev.txt
"${pip[@]}" install --no-deps --no-build-isolation --editable . --editable twin
touch "$venv/.stamp"
echo "make setup: $venv is ready ($("$venv/bin/python" --version))"
