"""What holds of the dashboards without a server: they are what the code gives, whole, and cheap to load."""

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.render import FOLDERS, rendered
from tests.observability.dashboards import DASHBOARDS, Target, metrics_of, panels, targets, variables

PANEL_QUERIES = 30
"""At most so many for a load with every panel in view; Grafana asks only for those that are."""
OTHER_QUERIES = 5
"""Variables and marks."""
WIDTH = 24


@pytest.fixture(params=DASHBOARDS, name="dashboard")
def _dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return DASHBOARDS[request.param]


def test_the_committed_files_are_what_the_code_gives() -> None:
    for folder in FOLDERS:
        kept = {path.name: path.read_text() for path in folder.glob("*.json")}
        assert kept == rendered(), f"{folder}: run `make dashboards`"


def test_grafanas_own_types_read_it_and_lose_nothing(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    read = Dashboard.from_json(json.loads(json.dumps(dashboard)))
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    for link in again["links"]:
        link.pop("placement")  # the types always add it, see deploy/grafana/frame.py
    assert again == dashboard


def test_every_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        title = panel["title"]
        assert title
        assert panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert panel["targets"], title
        for item in (panel, *panel["targets"]):
            assert item["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, title
    for item in (*dashboard["annotations"]["list"], *(mark["target"] for mark in dashboard["annotations"]["list"])):
        assert item["datasource"]["uid"] == "${datasource}"


def test_every_query_is_of_the_site_chosen() -> None:
    for target in targets():
        for metric in metrics_of(target.expr):
            if metric.startswith("wattshift_"):
                assert target.expr.count(f"{metric}{{") == target.expr.count(f'{metric}{{site="$site"'), target


def test_nothing_is_drawn_over_another(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
        if panel["type"] == "table":
            assert len(panel["targets"]) > 1, "a sole query's column is `Value`, which the names of columns don't know"
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


def test_names_are_unique_and_links_lead_somewhere(dashboard: dict[str, Any]) -> None:
    assert [item["uid"] for item in DASHBOARDS.values()] == list(DASHBOARDS)
    assert len({item["title"] for item in DASHBOARDS.values()}) == len(DASHBOARDS)
    (link,) = dashboard["links"]
    assert (link["includeVars"], link["keepTime"], link["tags"]) == (True, True, dashboard["tags"])
    text = json.dumps(dashboard["panels"])
    for address in text.split('"/d/')[1:]:
        uid, _, query = address.split('"')[0].partition("?")
        assert uid in DASHBOARDS
        assert query.startswith("${datasource:queryparam}&${site:queryparam}&${__url_time_range}")


def test_a_load_asks_few_questions(dashboard: dict[str, Any]) -> None:
    asked = sum(len(panel["targets"]) for panel in panels(dashboard))
    assert asked <= PANEL_QUERIES
    assert len(dashboard["annotations"]["list"]) + len(variables(dashboard)) <= OTHER_QUERIES


def test_a_curve_of_the_highest_few_is_of_the_same_few_all_along() -> None:
    """A topk picks anew at each point: of a thousand feeders it would draw pieces of hundreds."""
    picking = [target for target in targets() if target.is_range and "topk" in target.expr]
    assert picking
    for target in picking:
        assert re.search(r"topk\(\d+, .*@ end\(\)", target.expr), target


def test_every_variable_is_used(dashboard: dict[str, Any]) -> None:
    text = json.dumps([dashboard["panels"], dashboard["annotations"]])
    for name in variables(dashboard):
        assert f"${name}" in text


# --- units ------------------------------------------------------------------------------------------------------------

UNITS = {
    "usd_per_mwh": {"suffix:$/MWh"},
    "usd_per_phs_day": {"suffix:$/PH/s/day"},
    "usd": {"currencyUSD"},
    "watts": {"watt"},
    "hashes_per_second": {"Hs"},
    "joules": {"joule"},
    "seconds": {"s"},
    "celsius": {"celsius"},
    "bytes": {"bytes"},
    "ratio": {"percentunit"},
    "": {"none", "short", "bool_yes_no"},
}
"""Grafana's names of units by how a metric's name ends; the empty one counts something."""
COMPOSED = {
    frozenset({"watts", "hashes_per_second"}): {"suffix:J/TH"},
    frozenset({"usd", "ratio"}): {"currencyUSD"},  # USD a second of the wall over site time's speed, times 3,600 s
    frozenset({"usd", "ratio", ""}): {"currencyUSD"},  # the same over GPUs
    frozenset({"usd", "watts", "joules"}): {"currencyUSD"},  # USD over joules, times watts, times 3,600 s
    frozenset({"usd", "watts", "joules", ""}): {"currencyUSD"},  # the same over GPUs
}
SHARES = {"Deadlines met", "Fleets that pay at this price"}
"""Panels that divide a count by a count."""
OTHERWISE = {
    "wattshift_pue_ratio": {"short"},  # 1.1 is how it is said, not 110 %
    "process_cpu_seconds_total": {"short"},  # a rate of it is cores
}


def quantity(metric: str) -> str:
    name = metric.removesuffix("_total").removesuffix("_bucket")
    return next((end for end in UNITS if end and name.endswith(f"_{end}")), "")


def units_of(target: Target) -> set[str]:
    """Those that fit what a query reads."""
    shown = re.sub(r" and on \(\w+\) topk.*", "", target.expr)  # that picks rows
    read = metrics_of(shown)
    if len(read) > 1:
        read -= {"wattshift_build_info"}  # is 1, and picks instances
    quantities = frozenset(quantity(name) for name in read)
    if len(quantities) > 1:
        return COMPOSED[quantities]
    if target.panel in SHARES or (len(read) > 1 and " / " in shown):
        return UNITS["ratio"]
    return OTHERWISE.get(min(read), UNITS[min(quantities)])


@pytest.mark.parametrize("target", [item for item in targets() if item.ref != "Anno"], ids=str)
def test_units_fit_the_metrics(target: Target) -> None:
    assert target.unit in units_of(target)
