"""The recording rules and alerts as the chart hands them to a Prometheus, its own or an operator's."""

import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.chart.rendering import ROOT, ChartRefusedError, of_kind, render, site_options

MIXIN = ROOT / "deploy" / "mixin" / "rules"
OWN = [*site_options(), "--set", "prometheus.enabled=true"]
OPERATORS = [
    *site_options(),
    *("--set", "prometheus.url=http://prometheus-operated.monitoring:9090", "--set", "prometheusRule.enabled=true"),
]
RUNBOOKS = ["--set", "alerts.runbookUrl=https://wiki.example/runbooks/"]


def parsed(text: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = YAML(typ="safe").load(StringIO(text))["groups"]
    return groups


def in_mixin(runbooks: str = "docs/runbooks/") -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted(MIXIN.glob("*.yaml"))]
    return [group for text in texts for group in parsed(text.replace("docs/runbooks/", runbooks))]


def test_the_releases_own_prometheus_loads_the_rules_of_the_mixin() -> None:
    objects = render(OWN)
    maps = of_kind(objects, "ConfigMap")
    files = maps["wattshift-prometheus-rules"]["data"]
    assert [group for name in sorted(files) for group in parsed(files[name])] == in_mixin()

    config = YAML(typ="safe").load(StringIO(maps["wattshift-prometheus"]["data"]["prometheus.yml"]))
    (pattern,) = config["rule_files"]
    spec = of_kind(objects, "Deployment")["wattshift-prometheus"]["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert volumes[mounts[str(Path(pattern).parent)]] == "wattshift-prometheus-rules"
    assert all(Path(name).match(Path(pattern).name) for name in files)


def test_an_operators_prometheus_gets_the_same_and_a_sites_own_runbooks() -> None:
    assert of_kind(render(OPERATORS), "PrometheusRule")["wattshift"]["spec"]["groups"] == in_mixin()
    rebased = of_kind(render([*OPERATORS, *RUNBOOKS]), "PrometheusRule")["wattshift"]["spec"]["groups"]
    assert rebased == in_mixin("https://wiki.example/runbooks/")
    links = [rule["annotations"]["runbook_url"] for group in rebased for rule in group["rules"] if "alert" in rule]
    assert all(link.startswith("https://wiki.example/runbooks/Wattshift") for link in links)
    assert not of_kind(render(OWN), "PrometheusRule")


def test_prometheus_takes_what_is_rendered(promtool: str, tmp_path: Path) -> None:
    maps = of_kind(render([*OWN, *RUNBOOKS]), "ConfigMap")
    for name, text in maps["wattshift-prometheus-rules"]["data"].items():
        (tmp_path / name).write_text(text)
    with (tmp_path / "operators.yaml").open("w") as file:
        spec = of_kind(render(OPERATORS), "PrometheusRule")["wattshift"]["spec"]
        YAML(typ="safe").dump({"groups": spec["groups"]}, file)
    (tmp_path / "prometheus.yml").write_text(maps["wattshift-prometheus"]["data"]["prometheus.yml"])
    checks = [["rules", "--lint-fatal", str(path)] for path in sorted(tmp_path.glob("*.yaml"))]
    for check in [*checks, ["config", "--syntax-only", str(tmp_path / "prometheus.yml")]]:
        done = subprocess.run(
            [promtool, "check", *check],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", [[], ["-f", str(ROOT / "deploy" / "kind-values.yaml")]], ids=["own", "kind"])
def test_prometheus_keeps_what_alerts_look_back_on(values: list[str]) -> None:
    """`WattshiftProfitBehindAlwaysOn` asks whether there were figures a day ago, for an hour."""
    (container,) = of_kind(render([*OWN, *values]), "Deployment")["wattshift-prometheus"]["spec"]["template"]["spec"][
        "containers"
    ]
    kept = dict(argument.split("=", 1) for argument in container["args"])["--storage.tsdb.retention.time"]
    assert int(kept[:-1]) * {"h": 1, "d": 24}[kept[-1]] > 25


def test_other_rules_roll_the_pod() -> None:
    """Prometheus reads its rules when it starts."""
    checksums = {
        of_kind(render(options), "Deployment")["wattshift-prometheus"]["spec"]["template"]["metadata"]["annotations"][
            "checksum/rules"
        ]
        for options in (OWN, [*OWN, *RUNBOOKS])
    }
    assert len(checksums) == 2


def test_a_runbook_address_with_a_blank_is_refused() -> None:
    with pytest.raises(ChartRefusedError, match="runbookUrl"):
        render([*OWN, "--set", "alerts.runbookUrl=a b"])
