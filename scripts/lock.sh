#!/usr/bin/env bash
# Remakes requirements.lock and requirements-dev.lock from pyproject.toml: the newest versions, for every Python from
# 3.11 on and every platform, with hashes and without the address of any index.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${WATTSHIFT_VENV:-.venv}
uv=$venv/bin/uv
[[ -x $uv ]] || "$venv/bin/python" -m pip --disable-pip-version-check -q install uv

# hatchling and editables build our own package in place, see setup-venv.sh
build_tools=$(printf 'hatchling>=1.27\neditables>=0.5\n')
compile() {
  local output=$1
  shift
  "$uv" pip compile pyproject.toml - --all-extras --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o "$output" "$@" <<<"$build_tools"
  if grep -nE '://|^ *--(extra-)?(index|find)' "$output"; then
    echo "$output names an address" >&2
    exit 1
  fi
}
compile requirements.lock
compile requirements-dev.lock --group dev --constraints requirements.lock
