#!/usr/bin/env bash
# Makes a kind cluster with Wattshift and its mock site in it, or brings the one that is there up to date.
#
#   CLUSTER           name of the cluster; wattshift if not set
#   IMAGE, BASE       as scripts/build-image.sh takes them
#   PROMETHEUS_IMAGE  prom/prometheus:v2.42.0 if not set
#   POSTGRES_IMAGE    postgres:15 if not set; used with HELM_ARGS="--set postgres.enabled=true --set controller.replicas=2"
#   GRAFANA_IMAGE     grafana/grafana:13.2.3 if not set; left out where it is not here and cannot be pulled
#   CONSOLE_PORT      8080 if not set; of a new cluster only
#   PROMETHEUS_PORT   9090 if not set; of a new cluster only
#   GRAFANA_PORT      3000 if not set; of a new cluster only
#   SITE              the site file; examples/kind-site.yaml if not set
#   HELM_ARGS         more arguments for helm upgrade
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=${CLUSTER:-wattshift}
image=${IMAGE:-wattshift:dev}
prometheus=${PROMETHEUS_IMAGE:-prom/prometheus:v2.42.0}
postgres=${POSTGRES_IMAGE:-postgres:15}
grafana=${GRAFANA_IMAGE:-grafana/grafana:13.2.3}
site=${SITE:-examples/kind-site.yaml}
context=kind-$cluster
namespace=wattshift
release=wattshift
patience_s=180

fail() {
  echo "kind-up: $*" >&2
  exit 1
}

# --- what it takes -----------------------------------------------------------------------------------------------------

missing=0
need() {
  if ! command -v "$1" >/dev/null; then
    echo "kind-up: $1 is missing; $2" >&2
    missing=1
  fi
}
need docker "see https://docs.docker.com/get-docker/"
need kind "see https://kind.sigs.k8s.io/docs/user/quick-start/#installation (macOS: brew install kind)"
need kubectl "see https://kubernetes.io/docs/tasks/tools/ (macOS: brew install kubectl)"
need helm "see https://helm.sh/docs/intro/install/ (macOS: brew install helm)"
need curl "your system's packages have it"
[[ $missing == 0 ]] || exit 1
docker version >/dev/null 2>&1 || fail "no Docker daemon answers; start Docker, or set DOCKER_HOST"
[[ -f $site ]] || fail "SITE=$site: no such file"

# --- steps, each with the time it took -----------------------------------------------------------------------------------

log=$(mktemp)
trap 'rm -f "$log"' EXIT
began=$SECONDS

# Runs a command; what it prints is shown only when it fails.
step() {
  local what=$1 start=$SECONDS
  shift
  printf '%-50s' "$what"
  if ! "$@" >"$log" 2>&1; then
    printf ' failed after %d s\n' $((SECONDS - start))
    cat "$log" >&2
    return 1
  fi
  printf ' %4d s\n' $((SECONDS - start))
}

kubectl_() { kubectl --context "$context" "$@"; }

create_cluster() {
  sed -e "s/hostPort: 8080/hostPort: ${CONSOLE_PORT:-8080}/" -e "s/hostPort: 9090/hostPort: ${PROMETHEUS_PORT:-9090}/" \
    -e "s/hostPort: 3000/hostPort: ${GRAFANA_PORT:-3000}/" kind-config.yaml | kind create cluster --name "$cluster" --wait 180s --config -
}

pull() { docker image inspect "$1" >/dev/null 2>&1 || docker pull "$1"; }

load() { kind load docker-image --name "$cluster" "$@"; }

install() {
  # shellcheck disable=SC2086  # HELM_ARGS is several words
  helm upgrade --install "$release" charts/wattshift --kube-context "$context" --namespace "$namespace" --create-namespace \
    -f deploy/kind-values.yaml --set-file "siteFile=$site" \
    --set-string "image.repository=${tagged%:*},image.tag=${tagged##*:}" \
    --set-string "prometheus.image.repository=${prometheus%:*},prometheus.image.tag=${prometheus##*:}" \
    --set-string "postgres.image.repository=${postgres%:*},postgres.image.tag=${postgres##*:}" \
    --set-string "grafana.image.repository=${grafana%:*},grafana.image.tag=${grafana##*:}" \
    --set "postgres.runAsUser=$postgres_user,grafana.enabled=$has_grafana" ${HELM_ARGS:-}
}

# Deployments that are to be up: all but the fleets, whose racks are the controller's.
roll_out() {
  local deployment
  for deployment in $(kubectl_ -n "$namespace" get deployments -l "app.kubernetes.io/instance=$release,!wattshift.dev/fleet" -o name); do
    kubectl_ -n "$namespace" rollout status "$deployment" --timeout "${patience_s}s" || return 1
  done
}

console_answers() {
  local until=$((SECONDS + patience_s))
  until curl -fsS --max-time 2 -o /dev/null "http://127.0.0.1:$console_port/healthz"; do
    ((SECONDS < until)) || return 1
    sleep 0.5
  done
}

# What an operator would look at first.
explain() {
  {
    echo
    kubectl_ -n "$namespace" get pods -o wide
    echo
    kubectl_ -n "$namespace" get events --field-selector type=Warning --sort-by=.lastTimestamp | tail -n 20
    local pod
    for pod in $(kubectl_ -n "$namespace" get pods -l "app.kubernetes.io/instance=$release" -o go-template='{{range .items}}{{$ready := false}}{{range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}{{$ready = true}}{{end}}{{end}}{{if and (not $ready) (ne .status.phase "Succeeded")}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'); do
      echo
      echo "--- last lines of $pod"
      kubectl_ -n "$namespace" logs --tail 20 --all-containers "$pod" || true
      kubectl_ -n "$namespace" logs --tail 20 --all-containers --previous "$pod" 2>/dev/null || true
    done
  } >&2
  fail "$*"
}

step "image $image" scripts/build-image.sh || fail "the image could not be built"
# Named by what is in it, so that a new one is taken over and an old one is not loaded again.
id=$(docker image inspect --format '{{.Id}}' "$image")
id=${id#sha256:}
tagged=${image%:*}:${id:0:12}
docker tag "$image" "$tagged"
images=("$tagged" "$prometheus")
if [[ ${HELM_ARGS:-} == *postgres.enabled=true* ]]; then
  images+=("$postgres")
fi
for each in "${images[@]:1}"; do
  step "image $each" pull "$each" || fail "$each is not here and could not be pulled"
done
# Dashboards are a help, not what the site runs on.
has_grafana=false
if step "image $grafana" pull "$grafana" 2>/dev/null; then
  has_grafana=true
  images+=("$grafana")
else
  echo "  $grafana is not here and could not be pulled: Grafana is left out"
fi
# An image's own user for its database: 999 in the official one.
postgres_user=999
if [[ ${images[*]} == *"$postgres"* ]]; then
  postgres_user=$(docker run --rm --network none --entrypoint id "$postgres" -u postgres)
fi
clusters=$(kind get clusters 2>/dev/null)
if grep -qx "$cluster" <<<"$clusters"; then
  echo "cluster $cluster is there"
  kubectl_ get --raw /readyz >/dev/null 2>&1 ||
    fail "cluster $cluster does not answer; 'make kind-down' removes it, and 'make kind-up' makes a new one"
else
  step "cluster $cluster" create_cluster || fail "the cluster could not be made; is a port in use, or Docker short of memory (4 GiB)?"
fi
step "network of the nodes" kubectl_ -n kube-system rollout status daemonset/kube-proxy --timeout 90s || {
  kubectl_ -n kube-system logs -l k8s-app=kube-proxy --tail 2 --prefix >&2 || true
  fail "kube-proxy does not run on every node; with 'too many open files': sudo sysctl fs.inotify.max_user_instances=512, or remove another cluster"
}
step "images into the cluster" load "${images[@]}" || fail "the images could not be loaded"
step "chart" install || explain "the chart was refused"
step "everything up" roll_out || explain "not everything came up within $patience_s s a part"

port_of() { docker port "$cluster-control-plane" "$1/tcp" | head -n 1 | sed 's/.*://'; }
console_port=$(port_of 30080)
prometheus_port=$(port_of 30090)
grafana_port=
if [[ $has_grafana == true ]]; then
  grafana_port=$(port_of 30030 2>/dev/null) || echo "this cluster was made without a port for Grafana: make kind-down, then make kind-up"
fi
step "a leader answers" console_answers || explain "no controller leads: nothing answers at port $console_port"

cat <<TEXT

Ready after $((SECONDS - began)) s.

  console     http://127.0.0.1:$console_port
  Prometheus  http://127.0.0.1:$prometheus_port
${grafana_port:+  Grafana     http://127.0.0.1:$grafana_port/d/wattshift-site?from=now-15m&to=now
}  API key     kubectl --context $context -n $namespace get secret $release-api-key -o go-template='{{index .data "api-key" | base64decode}}{{"\n"}}'

  kubectl --context $context -n $namespace get deployments -l wattshift.dev/fleet --watch
  kubectl --context $context -n $namespace get events --sort-by=.lastTimestamp
  kubectl --context $context -n $namespace get jobs -L wattshift.dev/tenant

More to look at:  helm --kube-context $context -n $namespace get notes $release
An end to it:     make kind-down
TEXT
