"""Rules, their runbooks and their unit tests belong together, and name only what there is."""

import re
import subprocess
from pathlib import Path

import pytest
import typer.main

from orchestrator.cli.app import app
from orchestrator.domain.decision import BreachKind
from tests.observability.rule_files import (
    IN_CHART,
    ROOT,
    RUNBOOKS,
    UNIT_TESTS,
    Rule,
    alerts,
    asked_in,
    exported,
    grouped_by,
    load,
    recorded,
    rule_files,
    rules,
    selectors,
)

ADDED = {"quantile", "le"}
"""Labels that rules add, or that a histogram's series have."""


def name_of(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


# --- against the metrics that there are -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", rules(), ids=name_of)
def test_a_rule_asks_for_metrics_that_there_are_by_labels_that_they_have(rule: Rule) -> None:
    metrics, known = exported(), recorded()
    for promql in asked_in(rule):
        labels: set[str] = {"site"} | ADDED
        for metric, matchers in selectors(promql):
            if ":" in metric:
                assert metric in known
                levels = set(re.split(r"_(?!class)", metric.partition(":")[0]))
                assert matchers.keys() <= levels
                labels |= levels
                continue
            assert metric in metrics, f"{metric} is in no table of the exporter's"
            values = {label.name: label.values for label in metrics[metric].labels}
            labels |= values.keys()
            assert matchers.keys() <= {"site", *values}
            for label, wanted in matchers.items():
                if label != "site" and values[label]:
                    assert set(wanted.split("|")) <= set(values[label]), f"{label} is never {wanted}"
        assert grouped_by(promql) <= labels


def test_what_a_rule_would_not_find_is_found_out() -> None:
    """The reading of PromQL above, on an example."""
    promql = 'max by (site, fleet) (wattshift_a{kind="x",b=~"y|z"}) / on (site) site_use:wattshift_c_watts:max > 1'
    assert list(selectors(promql)) == [
        ("wattshift_a", {"kind": "x", "b": "y|z"}),
        ("site_use:wattshift_c_watts:max", {}),
    ]
    assert grouped_by(promql) == {"site", "fleet"}


@pytest.mark.parametrize("rule", [rule for rule in rules() if "record" in rule], ids=name_of)
def test_what_is_recorded_is_named_by_level_metric_and_operations(rule: Rule) -> None:
    level, metric, operations = rule["record"].split(":")
    assert level.startswith("site")
    assert metric.startswith("wattshift_")
    assert re.fullmatch(r"max|min|ratio|increase\d[hd]|histogram_quantile\d[mh]", operations)


def test_every_kind_of_breach_raises_an_alert() -> None:
    matched = {
        matchers["kind"]
        for rule in alerts()
        for metric, matchers in selectors(rule["expr"])
        if metric == "wattshift_breaches_active"
    }
    # A cap is judged by the meter itself, whatever the controller makes of it.
    assert matched | {BreachKind.CAP} == set(BreachKind)


# --- what an alert has to have ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", alerts(), ids=name_of)
def test_an_alert_says_how_bad_it_is_and_where_to_look(rule: Rule) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert "{{ $labels.site }}" in rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert "for" in rule


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {rule["alert"] for rule in alerts()}
    listed = re.findall(r"\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert set(listed) == pages


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("Wattshift*.md")), ids=lambda page: page.stem)
def test_a_runbook_goes_from_meaning_to_mitigation(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"(?m)^## (.*)$", text) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_names_metrics_and_routes_that_there_are(page: Path) -> None:
    text = page.read_text()
    names = exported().keys() | recorded()
    assert {metric for metric, _ in selectors(text)} <= names
    routes = (ROOT / "docs" / "api.md").read_text()
    for route in re.findall(r"/api/v1/([a-z]+)", text):
        assert f"/api/v1/{route}" in routes


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_gives_commands_and_options_that_there_are(page: Path) -> None:
    commands = typer.main.get_group(app).commands
    for name, rest in re.findall(r"(?m)(?:`|^    |bin/)wattshift (\w+)([^`\n]*)", page.read_text()):
        assert name in commands
        command = commands[name]
        if isinstance(command, typer.core.TyperGroup):
            assert rest.split()[0] in command.commands
            command = command.commands[rest.split()[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest.partition("#")[0])) <= known


# --- by promtool ------------------------------------------------------------------------------------------------------


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules(promtool: str) -> None:
    run(promtool, "check", "rules", "--lint-fatal", *rule_files())


@pytest.mark.parametrize("path", sorted(UNIT_TESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_rules_do_what_their_unit_tests_say(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


def test_each_alert_is_tested_firing_and_silent_as_often_as_it_is_written() -> None:
    fired: set[tuple[str, str, str]] = set()
    never: set[str] = set()
    for path in UNIT_TESTS.glob("*.yaml"):
        for test in load(path)["tests"]:
            by_alert: dict[str, list[list[Rule]]] = {}
            for case in test.get("alert_rule_test", ()):
                by_alert.setdefault(case["alertname"], []).append(case.get("exp_alerts", []))
            for name, expected in by_alert.items():
                fired |= {
                    (name, alert["exp_labels"]["severity"], alert["exp_labels"].get("cap", ""))
                    for alerts_then in expected
                    for alert in alerts_then
                }
                if not any(expected):
                    never.add(name)
    assert fired == {(rule["alert"], rule["labels"]["severity"], rule["labels"].get("cap", "")) for rule in alerts()}
    assert never == {rule["alert"] for rule in alerts()}, "near misses"


def test_what_is_recorded_is_tested() -> None:
    tests = [test for path in UNIT_TESTS.glob("*.yaml") for test in load(path)["tests"]]
    asked = "\n".join(case["expr"] for test in tests for case in test.get("promql_expr_test", ()))
    assert {metric for metric, _ in selectors(asked)} == recorded()


# --- in the chart -----------------------------------------------------------------------------------------------------


def test_the_chart_has_the_same_rules() -> None:
    copies = {path.name: path.read_text() for path in IN_CHART.glob("*.yaml")}
    assert copies == {path.name: path.read_text() for path in rule_files()}, "make rules"
