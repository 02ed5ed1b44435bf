#!/usr/bin/env bash
# Removes the kind cluster of kind-up.sh and all that is in it. CLUSTER is its name; wattshift if not set.
set -euo pipefail

cluster=${CLUSTER:-wattshift}
command -v kind >/dev/null || {
  echo "kind-down: kind is missing; see https://kind.sigs.k8s.io/docs/user/quick-start/#installation" >&2
  exit 1
}
start=$SECONDS
clusters=$(kind get clusters 2>/dev/null)
if ! grep -qx "$cluster" <<<"$clusters"; then
  echo "there is no cluster $cluster"
  exit 0
fi
kind delete cluster --name "$cluster" --quiet
echo "cluster $cluster is gone, $((SECONDS - start)) s"
