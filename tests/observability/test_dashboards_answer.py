"""Every query of every dashboard, asked of a Prometheus that has seen the event day."""

import math
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.observability.dashboards import DASHBOARDS, Target, metrics_of, targets, variables
from tests.observability.event_day import SCRAPE_S, EventDay

ON_A_CLUSTER = {"wattshift_leader"}
"""Metrics that only a controller on a cluster has."""
RIGHTLY_EMPTY = {
    "wattshift-jobs/Deadlines met/A": "no job has run long enough to end",
    "wattshift-site/Price and break-even/B": "the price is low when it is asked for",
}
"""Queries that may have no answer on the event day, with the reason. Their metrics are there all the same."""


def filled(expr: str, day: EventDay, site: str) -> str:
    """The query as Grafana would send it, over all that was seen of the day."""
    values = {
        "site": site,
        "fleet": ".+",
        "tenant": ".+",
        "__range": f"{math.ceil(day.calm - day.began)}s",
        "__rate_interval": f"{10 * SCRAPE_S}s",
    }
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)


@pytest.fixture(scope="module")
def site(played: EventDay) -> str:
    """What the variable `site` has to choose from: the one site there is."""
    ((series, label),) = {variables(dashboard)["site"] for dashboard in DASHBOARDS.values()}
    (name,) = played.prometheus.get(f"label/{label}/values", **{"match[]": series})
    return str(name)


def answer(target: Target, day: EventDay, site: str) -> list[dict[str, Any]]:
    expr = filled(target.expr, day, site)
    return day.all_day(expr) if target.is_range else day.at_calm(expr)


def numbers(series: list[dict[str, Any]]) -> list[float]:
    """Values that can be drawn."""
    values = [float(value) for each in series for _, value in each.get("values", [each.get("value")])]
    return [value for value in values if math.isfinite(value)]


@pytest.mark.parametrize("target", targets(), ids=str)
def test_a_query_is_answered(played: EventDay, site: str, target: Target) -> None:
    drawn = numbers(answer(target, played, site))
    if metrics_of(target.expr) & ON_A_CLUSTER:
        assert not drawn, "listed as a cluster's alone, and is here"
    elif str(target) not in RIGHTLY_EMPTY and target.panel != "marks: Breaches":  # all may well be kept
        assert drawn, target.expr


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_every_variable_has_values(played: EventDay, site: str, uid: str) -> None:
    for name, (series, label) in variables(DASHBOARDS[uid]).items():
        found = played.prometheus.get(f"label/{label}/values", **{"match[]": filled(series, played, site)})
        assert found, name


def test_every_metric_is_one_that_the_controller_has(played: EventDay) -> None:
    """Also where a query is rightly empty: a renamed metric would be empty for ever."""
    there = {sample for family in text_string_to_metric_families(played.page) for sample in names_of(family)}
    asked = {name for target in targets() for name in metrics_of(target.expr) if not name.startswith("scrape_")}
    assert asked - ON_A_CLUSTER <= there


def names_of(family: Any) -> set[str]:
    """Names of a family's samples; those that its type gives it where it has none yet."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}.get(
        family.type, ("",)
    )
    return {f"{family.name}{end}" for end in ends} | {sample.name for sample in family.samples}


def test_the_spike_its_answer_and_its_dollars_are_there(played: EventDay, site: str) -> None:
    """What *Site* has to show in ten seconds, read as its panels read it."""
    shown = {str(target): target for target in targets()}

    def of(name: str) -> list[float]:
        return numbers(answer(shown[f"wattshift-site/{name}"], played, site))

    price = of("Power price and break-even/A")
    assert max(price) > max(of("Power price and break-even/C")), "the spike is above the best break-even"
    assert max(of("Power by use, under the cap/A")) > 20e6
    (lead,) = of("Lead over always-on/A")
    assert lead > 0
    (per_hour,) = of("Profit per hour/A")
    (as_dispatched, always_on) = (of(f"Dollars per hour: as dispatched, and always on/{ref}") for ref in "AB")
    assert min(always_on) < min(as_dispatched)
    # A 100 MW site makes thousands of dollars an hour, not 60 times that: site time is taken out.
    assert abs(per_hour) < 50_000
