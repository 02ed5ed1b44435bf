"""The committed dashboards as Grafana reads them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a panel, a mark or a variable."""

    dashboard: str
    panel: str
    ref: str
    expr: str
    unit: str
    is_range: bool

    def __str__(self) -> str:
        return f"{self.dashboard}/{self.panel}/{self.ref}"


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets() -> list[Target]:
    """Every query of every panel, with the unit it is shown in, and of every mark."""
    return [
        target
        for uid, dashboard in DASHBOARDS.items()
        for target in [*_of_panels(uid, dashboard), *_marks(uid, dashboard)]
    ]


def _of_panels(uid: str, dashboard: dict[str, Any]) -> Iterator[Target]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Target(
                uid, panel["title"], target["refId"], target["expr"], _unit(panel, target["refId"]), target["range"]
            )


def _unit(panel: dict[str, Any], ref: str) -> str:
    """Of one query: its own, that of its column in a table, or the panel's."""
    column = f"Value #{ref}"
    for transformation in panel.get("transformations", []):
        column = transformation["options"].get("renameByName", {}).get(column, column)
    for override in panel["fieldConfig"]["overrides"]:
        if (override["matcher"]["id"], override["matcher"]["options"]) in {("byFrameRefID", ref), ("byName", column)}:
            for item in override["properties"]:
                if item["id"] == "unit":
                    return str(item["value"])
    return str(panel["fieldConfig"]["defaults"]["unit"])


def _marks(uid: str, dashboard: dict[str, Any]) -> Iterator[Target]:
    for mark in dashboard["annotations"]["list"]:
        yield Target(uid, f"marks: {mark['name']}", "Anno", mark["target"]["expr"], "", True)


def variables(dashboard: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Variables that ask Prometheus: (series, label) of each."""
    found = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert asked, variable["query"]
            found[variable["name"]] = (asked[1], asked[2])
    return found


def metrics_of(expr: str) -> set[str]:
    """Names of the metrics that a query reads."""
    return set(re.findall(r"\b(?:wattshift|process|scrape)_\w+", expr))
