#!/usr/bin/env bash
# Makes the image (deploy/Dockerfile): gathers the locked wheels for the image's Python outside of Docker, builds our own,
# then builds without any network.
#
#   IMAGE     name of the image that is made; wattshift:dev if not set
#   BASE      its base; python:3.11-slim if not set
#   PLATFORM  linux/amd64 or linux/arm64; the Docker daemon's own if not set
set -euo pipefail
cd "$(dirname "$0")/.."

image=${IMAGE:-wattshift:dev}
base=${BASE:-python:3.11-slim}
python=${WATTSHIFT_VENV:-.venv}/bin/python
wheels=dist/image/wheels
own=dist/image/own
stamp=dist/image/stamp

fail() {
  echo "build-image: $*" >&2
  exit 1
}

command -v docker >/dev/null || fail "docker is missing; see https://docs.docker.com/get-docker/"
docker version >/dev/null 2>&1 || fail "no Docker daemon answers; start Docker, or set DOCKER_HOST"
[[ -x $python ]] || fail "$python is missing; \`make venv\` makes it (\`make image\` does so by itself)"

arch=${PLATFORM:-linux/$(docker version --format '{{.Server.Arch}}')}
arch=${arch#linux/}
case $arch in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
  *) fail "PLATFORM=${PLATFORM:-linux/$arch}: allowed are linux/amd64 and linux/arm64" ;;
esac

on_platform=()
if [[ -n ${PLATFORM:-} ]]; then
  on_platform=(--platform "$PLATFORM")
fi
version=$(docker run --rm --network none ${on_platform[@]+"${on_platform[@]}"} "$base" \
  python -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "BASE=$base: no image with a python in it"

pip() { "$python" -m pip --disable-pip-version-check --no-input "$@"; }

wanted="$(cat requirements.lock pyproject.toml | cksum) $version $machine"
if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
  echo "build-image: gathering wheels for Python $version on $machine"
  rm -rf "$wheels" "$stamp"
  mkdir -p "$wheels"
  # --platform takes no newer tags than it names; a wheel may carry any of these
  pip download --quiet --require-hashes --no-deps -r requirements.lock -d "$wheels" --only-binary=:all: \
    --implementation cp --python-version "$version" --platform "manylinux_2_28_$machine" \
    --platform "manylinux_2_17_$machine" --platform "manylinux2014_$machine" ||
    fail "the wheels could not be gathered; is the package index reachable?"
  # with the extra `tracing`: nothing can be installed where the image runs
  "$python" -c '
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["tracing"], sep="\n")
' >"$wheels/requirements.txt"
  printf '%s' "$wanted" >"$stamp"
fi
rm -rf "$own"
# hatchling, which builds it, is in the lock and so in .venv
pip wheel --quiet --no-deps --no-build-isolation --no-index -w "$own" . || fail "our own wheel could not be built"

docker build --quiet ${on_platform[@]+"${on_platform[@]}"} --network none --build-arg "BASE=$base" \
  -f deploy/Dockerfile -t "$image" . >/dev/null || fail "docker build failed; it says why above"

# Every module must still import: the image leaves out parts of packages.
docker run --rm --network none --read-only --cap-drop ALL ${on_platform[@]+"${on_platform[@]}"} "$image" python -c '
import importlib, pkgutil, orchestrator
for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
    if ".migrations" not in module.name:
        importlib.import_module(module.name)
' || fail "$image lacks something that the program imports"
size=$(docker image inspect --format '{{.Size}}' "$image")
echo "build-image: $image is ready, $((size / 1000000)) MB"
