"""The chart: what it renders, what it refuses, and what it grants."""

import json
import os
import re
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from orchestrator.settings import load_settings
from tests.chart.rendering import (
    CHART,
    KIND_SITE,
    ROOT,
    ChartRefusedError,
    Document,
    of_kind,
    pod_spec,
    render,
    render_text,
    site_options,
)

SNAPSHOTS = Path(__file__).parent / "snapshots"
CASES = {
    "defaults": site_options(),
    "mock": [*site_options(), "-f", str(ROOT / "deploy" / "kind-values.yaml")],
    "two-replicas": [
        *site_options(),
        *("--set", "controller.replicas=2", "--set", "store.existingSecret.name=site-db"),
        *("--set", "apiKey.existingSecret.name=site-key"),
    ],
    "mock-postgres": [
        *site_options(),
        *("-f", str(ROOT / "deploy" / "kind-values.yaml")),
        *("--set", "controller.replicas=2", "--set", "postgres.enabled=true"),
    ],
    "grafana": [*site_options(), "--set", "prometheus.enabled=true", "--set", "grafana.enabled=true"],
    "existing-prometheus": [
        *site_options(),
        *("--set", "prometheus.url=http://prometheus-operated.monitoring:9090", "--set", "serviceMonitor.enabled=true"),
        *("--set", "serviceMonitor.labels.release=kube-prometheus-stack"),
        *("--set", "prometheusRule.enabled=true", "--set", "prometheusRule.labels.release=kube-prometheus-stack"),
        *("--set", "alerts.runbookUrl=https://wiki.example/wattshift/runbooks/"),
        *("--set", "dashboards.enabled=true"),
    ],
    "tracing": [
        *site_options(),
        *("--set", "tracing.endpoint=http://otel-collector.monitoring:4318", "--set", "controller.logLevel=DEBUG"),
        *("--set", "tracing.environment.OTEL_TRACES_SAMPLER=parentbased_traceidratio"),
        *("--set-string", "tracing.environment.OTEL_TRACES_SAMPLER_ARG=0.5"),
    ],
}


@pytest.fixture(params=CASES, name="case")
def _case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- rendered ---------------------------------------------------------------------------------------------------------


def without_chance(text: str) -> str:
    """The rendered text without what differs at each rendering (secrets, checksums over them, deadlines), and without
    dashboards and rules, which have tests of their own."""
    text = re.sub(r"(?m)^(  (?:api-key|password): ).*$", r"\1(made at the install)", text)
    text = re.sub(r"(?m)^(  wattshift-\w+\.json: \|\n)(?:    .*\n)+", r"\1    (as in files/dashboards)\n", text)
    text = re.sub(
        r"(?m)^(  \w+\.yaml: \|\n)(?:    .*\n|\n)*?    groups:\n(?:    .*\n|\n)+", r"\1    (as in files/rules)\n", text
    )
    text = re.sub(r"(?m)^(  groups:\n)(?:    .*\n)+", r"\1    (as in files/rules)\n", text)
    text = re.sub(r"(checksum/rules: )\w+", r"\1(of files/rules)", text)
    text = re.sub(r"(wattshift:)[A-Za-z0-9]{32}(@)", r"\1(made at the install)\2", text)
    return re.sub(r'(wattshift\.dev/deadline: )".*"', r'\1"(from the install on)"', text)


def test_rendered_as_kept(case: str) -> None:
    kept = SNAPSHOTS / f"{case}.yaml"
    text = without_chance(render_text(CASES[case]))
    if os.environ.get("WATTSHIFT_RENEW_SNAPSHOTS") == "1":
        kept.write_text(text)
    assert text == kept.read_text(), "the chart renders other objects; if that is meant: WATTSHIFT_RENEW_SNAPSHOTS=1"


def test_lint_is_clean(case: str) -> None:
    command = ["helm", "lint", "--strict", str(CHART), *CASES[case]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_the_program_takes_the_site_that_the_chart_makes(case: str, tmp_path: Path) -> None:
    site_file = tmp_path / "site.yaml"
    site_file.write_text(of_kind(render(CASES[case]), "ConfigMap")["wattshift-site"]["data"]["site.yaml"])
    made, given = load_settings(site_file, {}), load_settings(KIND_SITE, {})
    assert made.site.fleets == given.site.fleets
    assert made.site.pools == given.site.pools
    assert made.site.tenants == given.site.tenants
    assert made.state_dir == Path("/var/lib/wattshift")


def test_a_site_as_a_map_is_the_same_as_one_as_text(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    with values.open("w") as file:
        YAML(typ="safe").dump({"site": YAML(typ="safe").load(KIND_SITE.read_text())}, file)
    assert of_kind(render(["-f", str(values)]), "ConfigMap") == of_kind(render(CASES["defaults"]), "ConfigMap")


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "a site file is needed"),
        (["--set", "siteFile=a: ["], "siteFile: is not YAML"),
        ([*site_options(), "--set", "site.name=x"], "site, siteFile: give one of the two"),
        ([*site_options(), "--set", "controller.replicas=2"], "SQLite on a volume has one writer"),
        ([*site_options(), "--set", "controller.replicas=3"], "at '/controller/replicas': maximum: got 3, want 2"),
        ([*site_options(), "--set", "mock.enabld=true"], "at '/mock': additional properties 'enabld' not allowed"),
        ([*site_options(), "--set", "replicas=1"], "additional properties 'replicas' not allowed"),
        ([*site_options(), "--set", "store.url=sqlite:///x.db"], "at '/store/url'"),
        ([*site_options(), "--set", "service.nodePort=80"], "at '/service/nodePort': minimum: got 80, want 30,000"),
        ([*site_options(), "--set", "postgres.enabled=true"], "is for a mock site"),
        ([*site_options(), "--set", "controller.logFormat=xml"], "at '/controller/logFormat'"),
        ([*site_options(), "--set", "controller.logLevel=info"], "at '/controller/logLevel'"),
        ([*site_options(), "--set", "tracing.endpoint=collector:4318"], "at '/tracing/endpoint'"),
        ([*site_options(), "--set", "tracing.environment.PATH=/x"], "PATH"),
        (
            [*CASES["mock-postgres"], "--set", "store.url=postgresql://u:p@h/d"],
            "postgres.enabled, store: give one of the two",
        ),
        ([*CASES["mock"], "--set", "prometheus.url=http://p"], "prometheus.enabled, prometheus.url: give one"),
        ([*CASES["mock"], "--set", "mock.jobs.gpus=65"], "mock.jobs.gpus: 65, but the pool h100 has 64"),
        ([*site_options(ROOT / "examples" / "texas-100mw.yaml")], "site.mock: is for devices as processes"),
        (["--set", "site.name=x"], "site.telemetry: a Prometheus is needed"),
        ([*site_options(), "--set", "siteFiles.site\\.yaml=x"], "siteFiles: site.yaml is the site file itself"),
    ],
)
def test_wrong_values_are_refused_in_clear_words(options: list[str], said: str) -> None:
    with pytest.raises(ChartRefusedError) as refusal:
        render(options)
    assert said in str(refusal.value)


# --- two replicas -----------------------------------------------------------------------------------------------------


def test_sqlite_is_one_replica_that_ends_before_the_next_starts() -> None:
    objects = render(CASES["defaults"])
    spec = of_kind(objects, "Deployment")["wattshift"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert of_kind(objects, "PersistentVolumeClaim")["wattshift-store"]["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep"
    }
    assert not of_kind(objects, "PodDisruptionBudget")


def test_two_replicas_have_a_standby_budget_and_no_volume() -> None:
    objects = render(CASES["two-replicas"])
    deployment = of_kind(objects, "Deployment")["wattshift"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (2, "RollingUpdate")
    assert of_kind(objects, "PodDisruptionBudget")["wattshift"]["spec"]["maxUnavailable"] == 1
    assert not of_kind(objects, "PersistentVolumeClaim")
    environment = {entry["name"]: entry for entry in deployment["template"]["spec"]["containers"][0]["env"]}
    assert environment["WATTSHIFT_STORE_URL"]["valueFrom"]["secretKeyRef"] == {"name": "site-db", "key": "url"}
    assert environment["WATTSHIFT_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "site-key", "key": "api-key"}
    assert not of_kind(objects, "Secret"), "both are the operator's own"


def test_the_service_takes_the_leader_alone() -> None:
    services = of_kind(render(CASES["two-replicas"]), "Service")
    assert services["wattshift"]["spec"]["selector"]["wattshift.dev/leader"] == "true"
    assert "wattshift.dev/leader" not in services["wattshift-controllers"]["spec"]["selector"]


# --- logs and traces --------------------------------------------------------------------------------------------------


def environment_of(objects: list[Document]) -> dict[str, str]:
    container = of_kind(objects, "Deployment")["wattshift"]["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def controller_ports(objects: list[Document]) -> set[int]:
    """Those that the controller may open connections to, anywhere."""
    rules = of_kind(objects, "NetworkPolicy")["wattshift-controller"]["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule.get("ports", ())}


def test_the_log_is_json_and_nothing_is_traced_unless_an_endpoint_is_given() -> None:
    environment = environment_of(render(CASES["defaults"]))
    assert (environment["WATTSHIFT_LOG_FORMAT"], environment["WATTSHIFT_LOG_LEVEL"]) == ("json", "INFO")
    assert not any(name.startswith("OTEL_") for name in environment)
    assert 4318 not in controller_ports(render(CASES["defaults"]))


def test_a_trace_collector_is_named_and_may_be_reached() -> None:
    objects = render(CASES["tracing"])
    environment = environment_of(objects)
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector.monitoring:4318"
    assert environment["OTEL_TRACES_SAMPLER_ARG"] == "0.5"
    assert environment["WATTSHIFT_LOG_LEVEL"] == "DEBUG"
    assert 4318 in controller_ports(objects)


@pytest.mark.parametrize(("endpoint", "port"), [("https://traces.example", 443), ("http://[::1]:4319/otlp", 4319)])
def test_the_collectors_port_is_that_of_its_address(endpoint: str, port: int) -> None:
    options = ["--set", f"tracing.endpoint={endpoint}", "--set-json", "networkPolicy.outsidePorts=[5432]"]
    assert port in controller_ports(render([*site_options(), *options]))


def test_the_ports_of_meters_are_let_out(tmp_path: Path) -> None:
    metered = YAML(typ="safe").load(KIND_SITE)
    metered["grid"]["meter"] = {"modbus": {"host": "10.0.0.9", "preset": "sunspec"}}
    metered["feeders"][0]["meter"] = {"modbus": {"host": "10.0.0.9", "port": 1502, "unit": 2, "preset": "sunspec"}}
    file = tmp_path / "site.yaml"
    file.write_text(json.dumps(metered))
    plain = set(controller_ports(render(site_options())))
    assert set(controller_ports(render([*site_options(), "--set-file", f"siteFile={file}"]))) == plain | {502, 1502}


# --- mock site --------------------------------------------------------------------------------------------------------


def test_the_mock_site_is_the_site() -> None:
    objects = render(CASES["mock"])
    site = load_settings(KIND_SITE, {}).site
    fleets = {
        item["metadata"]["labels"]["wattshift.dev/fleet"]: item
        for item in objects
        if "wattshift.dev/fleet" in item["metadata"].get("labels", {})
    }
    assert set(fleets) == {fleet.name for fleet in site.fleets}
    for name, item in fleets.items():
        assert item["kind"] == "Deployment"
        assert item["spec"]["template"]["metadata"]["labels"]["wattshift.dev/fleet"] == name
        assert item["spec"]["replicas"] == 0, "racks are the controller's to wake"
    deployments = of_kind(objects, "Deployment")
    for fleet in site.fleets:
        arguments = options_of(deployments[f"wattshift-row-{fleet.name}"])
        assert arguments["--racks"] == [str(fleet.racks)]
        assert arguments["--machines"] == [str(fleet.machines_per_rack)]
        assert arguments["--mode"] == [f"{mode.name}:{mode.power_w:g}:{mode.hashrate_ths:g}" for mode in fleet.modes]
    for pool in site.pools:
        arguments = options_of(deployments[f"wattshift-gpu-{pool.name}"])
        assert (arguments["--nodes"], arguments["--gpus-per-node"]) == ([str(pool.nodes)], [str(pool.gpus_per_node)])
    jobs = of_kind(objects, "Job").values()
    assert {job["metadata"]["labels"]["wattshift.dev/tenant"] for job in jobs} == {item.name for item in site.tenants}
    assert {job["metadata"]["annotations"]["wattshift.dev/sla-class"] for job in jobs} == {
        "guaranteed",
        "flexible",
        "best-effort",
    }
    assert all(job["spec"]["suspend"] for job in jobs)


def options_of(deployment: Document) -> dict[str, list[str]]:
    """Values of a program's options by their name."""
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    found: dict[str, list[str]] = {}
    for name, value in zip(arguments[::2], arguments[1::2], strict=True):
        found.setdefault(name, []).append(value)
    return found


# --- dashboards -------------------------------------------------------------------------------------------------------

FILES = {path.name: path.read_text() for path in (CHART / "files" / "dashboards").glob("*.json")}


def test_a_sidecar_finds_every_dashboard() -> None:
    given = [*CASES["defaults"], "--set", "dashboards.enabled=true", "--set", "dashboards.folder.name=Site"]
    found = [
        item
        for item in of_kind(render(given), "ConfigMap").values()
        if item["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    assert {name: text.rstrip("\n") for item in found for name, text in item["data"].items()} == {
        name: text.rstrip("\n") for name, text in FILES.items()
    }
    assert all(item["metadata"]["annotations"] == {"grafana_folder": "Site"} for item in found)


def test_a_grafana_of_its_own_has_every_dashboard_and_no_sidecar_takes_them() -> None:
    objects = render(CASES["grafana"])
    (volume,) = (
        item["projected"]
        for item in of_kind(objects, "Deployment")["wattshift-grafana"]["spec"]["template"]["spec"]["volumes"]
        if item["name"] == "dashboards"
    )
    maps = of_kind(objects, "ConfigMap")
    mounted = [maps[source["configMap"]["name"]] for source in volume["sources"]]
    assert {name for item in mounted for name in item["data"]} == set(FILES)
    assert not any("grafana_dashboard" in item["metadata"]["labels"] for item in mounted)
    source = YAML(typ="safe").load(maps["wattshift-grafana"]["data"]["datasource.yaml"])["datasources"][0]
    assert source["url"] == "http://wattshift-prometheus:9090"


# --- rights -----------------------------------------------------------------------------------------------------------

WATCH = {"list", "watch"}
READ = WATCH | {"get"}


def granted(objects: list[Document], role: str) -> dict[tuple[str, str, tuple[str, ...]], set[str]]:
    """Verbs by API group, resource and names."""
    rules = of_kind(objects, "Role")[role]["rules"]
    return {
        (group, resource, tuple(rule.get("resourceNames", ()))): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_controller_may_do_what_the_contract_lists_and_no_more() -> None:
    """docs/kubernetes.md, "What a cluster must grant"."""
    setpoints, leader = ("wattshift-setpoints",), ("wattshift-leader",)
    assert granted(render(CASES["defaults"]), "wattshift") == {
        ("apps", "deployments", ()): WATCH | {"patch"},
        ("apps", "statefulsets", ()): WATCH | {"patch"},
        ("apps", "deployments/scale", ()): {"patch"},
        ("apps", "statefulsets/scale", ()): {"patch"},
        ("batch", "jobs", ()): READ | {"patch"},
        ("", "pods", ()): WATCH | {"patch"},
        ("autoscaling", "horizontalpodautoscalers", ()): WATCH,
        ("keda.sh", "scaledobjects", ()): WATCH,
        ("kueue.x-k8s.io", "workloads", ()): WATCH | {"patch"},
        ("", "configmaps", ()): {"create"},
        ("", "configmaps", setpoints): READ | {"patch"},
        ("coordination.k8s.io", "leases", ()): {"create"},
        ("coordination.k8s.io", "leases", setpoints): {"get", "patch"},
        ("coordination.k8s.io", "leases", leader): {"list", "patch"},
        ("events.k8s.io", "events", ()): {"create"},
    }


def test_devices_see_the_setpoints_and_tenants_hand_in_jobs() -> None:
    objects = render(CASES["mock"])
    setpoints = ("wattshift-setpoints",)
    assert granted(objects, "wattshift-devices") == {
        ("", "configmaps", setpoints): READ,
        ("coordination.k8s.io", "leases", setpoints): READ,
    }
    assert granted(objects, "wattshift-tenants") == {("batch", "jobs", ()): {"create", "list"}}
    assert set(of_kind(objects, "Role")) == {"wattshift", "wattshift-devices", "wattshift-tenants"}
    assert not of_kind(objects, "ClusterRole")


def test_only_pods_that_ask_the_api_server_have_a_token() -> None:
    with_token = {
        item["metadata"]["name"]
        for item in render(CASES["mock-postgres"])
        if (spec := pod_spec(item)) is not None and spec["automountServiceAccountToken"]
    }
    assert with_token == {
        "wattshift",
        "wattshift-gpu-h100",
        "wattshift-tenants",
        *(f"wattshift-mining-{fleet.name}" for fleet in load_settings(KIND_SITE, {}).site.fleets),
    }


# --- pods -------------------------------------------------------------------------------------------------------------


def all_pods(objects: list[Document]) -> dict[str, Document]:
    """Specs of pods by the object that makes them, the tenants' template among them."""
    template = of_kind(objects, "ConfigMap").get("wattshift-tenants")
    extra = [YAML(typ="safe").load(StringIO(template["data"]["job.yaml"]))] if template else []
    for item in extra:
        item["metadata"]["name"] = "template of the tenants"
    return {item["metadata"]["name"]: spec for item in [*objects, *extra] if (spec := pod_spec(item)) is not None}


def test_every_container_is_held_tight(case: str) -> None:
    pods = all_pods(render(CASES[case]))
    assert pods
    for name, spec in pods.items():
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            inner = container["securityContext"]
            assert inner["readOnlyRootFilesystem"] is True, name
            assert inner["allowPrivilegeEscalation"] is False, name
            assert inner["capabilities"] == {"drop": ["ALL"]}, name
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
        assert "initContainers" not in spec, name


def test_every_object_has_the_standard_labels(case: str) -> None:
    for item in render(CASES[case]):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "wattshift"
        assert labels["app.kubernetes.io/instance"] == "wattshift"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/component"]
        assert labels["app.kubernetes.io/version"]


def test_a_new_site_file_rolls_the_controller(tmp_path: Path) -> None:
    other = tmp_path / "site.yaml"
    other.write_text(KIND_SITE.read_text().replace("limit_kw: 600", "limit_kw: 500"))
    checksums = set()
    for options in (CASES["defaults"], site_options(other), site_options()):
        template = of_kind(render(options), "Deployment")["wattshift"]["spec"]["template"]
        checksums.add(template["metadata"]["annotations"]["checksum/site"])
    assert len(checksums) == 2


def test_another_release_name_is_in_every_name() -> None:
    objects = render(CASES["mock"], release="west")
    names = {item["metadata"]["name"] for item in objects}
    assert all(name.startswith("west-wattshift") for name in names)
    site = YAML(typ="safe").load(of_kind(objects, "ConfigMap")["west-wattshift-site"]["data"]["site.yaml"])
    assert site["kubernetes"] == {"name": "west-wattshift", "namespace": "wattshift"}
    assert site["prices"]["url"] == "http://west-wattshift-market:9100/prices"
