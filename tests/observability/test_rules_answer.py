"""Every rule, evaluated by a Prometheus that has seen the event day."""

import math

import pytest

from tests.observability.event_day import EventDay, wait_for
from tests.observability.rule_files import Rule, rules

RECORDED = [rule for rule in rules() if "record" in rule]


def name_of(rule: Rule) -> str:
    return "/".join([rule["record"], *rule.get("labels", {}).values()])


def test_every_rule_is_evaluated_without_an_error(played: EventDay) -> None:
    def all_of_them() -> list[Rule]:
        found = [rule for group in played.prometheus.get("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else []

    evaluated = wait_for(all_of_them, "every rule to be evaluated")
    assert {rule["name"]: rule.get("lastError") for rule in evaluated if rule["health"] != "ok"} == {}
    assert sorted(rule["name"] for rule in evaluated) == sorted(rule.get("alert") or rule["record"] for rule in rules())


@pytest.mark.parametrize("rule", RECORDED, ids=name_of)
def test_what_is_recorded_has_figures(played: EventDay, rule: Rule) -> None:
    labels = ",".join(f'{label}="{value}"' for label, value in rule.get("labels", {}).items())
    series = played.all_day(f"{rule['record']}{{{labels}}}")
    assert series, rule["expr"]
    levels = set(rule["record"].partition(":")[0].split("_"))
    for each in series:
        assert each["metric"].keys() == {"__name__"} | levels, "neither instance nor pod, and all of its level"
    # Not each of them at each moment: a quantile of decisions has none before the first.
    assert any(math.isfinite(float(value)) for each in series for _, value in each["values"])
