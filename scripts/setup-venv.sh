#!/usr/bin/env bash
# Makes .venv with the locked packages: `setup-venv.sh` for running, `setup-venv.sh --dev` for tests as well.
# Does nothing when .venv is as the lock says. WATTSHIFT_VENV names another folder.
set -euo pipefail
cd "$(dirname "$0")/.."

shown=${WATTSHIFT_VENV:-.venv}
venv=$shown
[[ $venv == /* ]] || venv=$PWD/$venv
lock=requirements.lock
kind=run
if [[ ${1:-} == --dev ]]; then
  lock=requirements-dev.lock
  kind=dev
elif [[ $# -gt 0 ]]; then
  echo "usage: scripts/setup-venv.sh [--dev]" >&2
  exit 2
fi

fail() {
  echo "wattshift: $*" >&2
  exit 1
}

checksum() { cat "$@" | sha256sum | cut -d' ' -f1; }

# The stamp names what was installed, and where from and to: a venv does not survive being moved.
wanted="$(checksum requirements.lock requirements-dev.lock pyproject.toml) $PWD $venv"
ready() { [[ -x $venv/bin/wattshift && -f $venv/.$1.stamp && $(<"$venv/.$1.stamp") == "$wanted" ]]; }
if ready dev || { [[ $kind == run ]] && ready run; }; then
  exit 0
fi

new_enough() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; }

find_python() {
  local name
  for name in ${WATTSHIFT_PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && new_enough "$name"; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# Debian and Ubuntu keep ensurepip, without which a venv has no pip, in a package of its own.
ensure_venv_module() {
  local python=$1 package apt
  if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    return
  fi
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  apt="apt-get install -y $package"
  if ! command -v apt-get >/dev/null; then
    fail "$python can't make a virtual environment: its ensurepip module is missing; install it and try again"
  fi
  echo "wattshift: installing $package, which $python needs to make a virtual environment"
  if [[ $(id -u) == 0 ]]; then
    set -- env DEBIAN_FRONTEND=noninteractive
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    set -- sudo -n env DEBIAN_FRONTEND=noninteractive
  else
    fail "that needs root; run this and try again:  sudo $apt"
  fi
  # shellcheck disable=SC2086  # $apt is several words
  if ! { "$@" apt-get update -q && "$@" $apt -q; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "that failed; run this and try again:  sudo apt-get update && sudo $apt"
  fi
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

if ! new_enough "$venv/bin/python" || ! grep -qF "$venv" "$venv/bin/activate" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(find_python) ||
    fail "Python 3.11 to 3.14 is needed and is not here (python3 is $(python3 -V 2>&1 || echo missing))"
  ensure_venv_module "$python"
  "$python" -m venv --clear "$venv"
fi
rm -f "$venv"/.{run,dev}.stamp

count=$(grep -c '^[a-z0-9].*==' "$lock")
echo "wattshift: installing up to $count packages into $shown, a minute or two"

# pip says "Collecting name" for each package; shown as a count, and in full only when it fails.
progress() {
  local line done=0 clear=
  if [[ -t 1 ]]; then clear=$'\r\033[K'; fi
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in
      Collecting* | "Requirement already satisfied"*) done=$((done + 1)) ;;
      Installing*) printf '%s  unpacking\n' "$clear" && continue ;;
      *) continue ;;
    esac
    if [[ -t 1 ]]; then
      printf '%s  %d of %d' "$clear" "$done" "$count"
    elif ((done % 20 == 0)); then
      printf '  %d of %d\n' "$done" "$count"
    fi
  done
  printf '%s' "$clear"
}

pip_install() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --progress-bar off "$@"; }

if ! pip_install --require-hashes -r "$lock" 2>&1 | progress; then
  tail -n 20 "$log" >&2
  fail "the packages could not be installed; is the package index reachable?"
fi
# hatchling, which builds our own package, is in the lock: nothing more is fetched
if ! pip_install --no-deps --no-build-isolation --no-index -e . >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  fail "wattshift itself could not be installed"
fi
echo "wattshift: compiling the planner, a minute, once"
if ! "$venv/bin/python" -m orchestrator.runtime.compile >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  fail "the planner could not be compiled"
fi
printf '%s' "$wanted" >"$venv/.$kind.stamp"
echo "wattshift: $shown is ready"
