#!/usr/bin/env bash
# Runs benchmarks/cluster on a kind cluster of its own with KWOK for nodes and pods, and removes the cluster afterwards.
#
#   KWOK   the kwok binary; kwok if not set
#   KEEP   1: the cluster stays for the next run
#
# Arguments go to the benchmark: --fleets 200 --jobs 500 for a quick try.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
kwok=${KWOK:-kwok}
cluster=wattshift-bench

missing=0
need() {
  if ! command -v "$1" >/dev/null; then
    echo "bench-cluster: $1 is missing; $2" >&2
    missing=1
  fi
}
need docker "see https://docs.docker.com/get-docker/"
need kind "see https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
need "$kwok" "see https://kwok.sigs.k8s.io/docs/user/installation/ (the binary kwok; KWOK=/path/to/kwok names another)"
[[ $missing == 0 ]] || exit 1

folder=$(mktemp -d)
export KUBECONFIG=$folder/kubeconfig # the user's own is left alone
clean_up() {
  if [[ -n ${kwok_pid:-} ]]; then
    kill "$kwok_pid" && wait "$kwok_pid" || true
  fi
  if [[ ${KEEP:-} != 1 ]]; then
    kind delete cluster --name "$cluster"
  fi
  rm -rf "$folder"
}
trap clean_up EXIT

if kind get clusters 2>/dev/null | grep -qx "$cluster"; then
  kind export kubeconfig --name "$cluster"
else
  kind create cluster --name "$cluster" --config benchmarks/cluster/kind.yaml --wait 180s
fi
"$kwok" --kubeconfig "$KUBECONFIG" --config benchmarks/cluster/kwok.yaml \
  --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --node-lease-duration-seconds 40 \
  >"$folder/kwok.log" 2>&1 &
kwok_pid=$!
"$python" -m benchmarks.cluster "$@" || {
  tail -n 5 "$folder/kwok.log" >&2
  exit 1
}
