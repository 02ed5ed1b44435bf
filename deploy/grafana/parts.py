"""What panels of several kinds have in common: how they ask, and how their fields are said and drawn."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.queries import Query, Step

DATASOURCE = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
COUNT = "none"
"""Grafana's unit of a number that is said in full."""
SPOKEN = ("{{kind}}", "{{basis}}", "{{stage}}", "{{outcome}}")
"""Names of series that are words of ours, joined by `_`."""

Panel = timeseries.Panel | stat.Panel | table.Panel | bargauge.Panel | statetimeline.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel, table.Panel, bargauge.Panel, statetimeline.Panel)


def frame_of(panel: P, title: str, description: str, unit: str, width: int, height: int) -> P:
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE).span(width).height(height)
    if unit == COUNT:
        panel.decimals(0)
    return panel


def ask_now(panel: Panel, queries: Sequence[Query]) -> None:
    for ref, query in _lettered(queries):
        panel.with_target(target(ref, query).instant())
        _differ(panel, ref, query)
    _speak(panel, queries)


def ask_over_time(panel: Panel, queries: Sequence[Query]) -> None:
    for ref, query in _lettered(queries):
        panel.with_target(target(ref, query).range())
        _differ(panel, ref, query)
    _speak(panel, queries)


def _lettered(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    return list(zip(ascii_uppercase, queries, strict=False))


def target(ref: str, query: Query) -> Dataquery:
    return Dataquery().ref_id(ref).datasource(DATASOURCE).expr(query.expr).legend_format(query.legend or "__auto")


def _differ(panel: Panel, ref: str, query: Query) -> None:
    """What one query of a panel has for itself."""
    own: list[tuple[str, Any]] = []
    if query.unit:
        own.append(("unit", query.unit))
    if query.colour:
        own.append(("color", {"mode": "fixed", "fixedColor": query.colour}))
    if query.steps:
        own.append(("thresholds", plain_thresholds(query.steps)))
    if query.is_line:
        own += [
            ("custom.fillOpacity", 0),
            ("custom.lineWidth", 2),
            ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            ("custom.lineInterpolation", "stepAfter"),  # limits and targets are orders: they jump
            ("custom.stacking", {"mode": "none", "group": "line"}),
        ]
    if query.is_area:
        own += [("custom.fillOpacity", 35), ("custom.lineWidth", 0)]
    if query.down_to:
        own += [("custom.fillBelowTo", query.down_to), ("custom.fillOpacity", 25)]
    if own:
        panel.override_by_query(ref, properties(own))


def _speak(panel: Panel, queries: Sequence[Query]) -> None:
    """Blanks for the `_` in names that are words of ours."""
    if any(query.legend in SPOKEN for query in queries):
        panel.with_transformation(
            model.DataTransformerConfig(id_val="renameByRegex", options={"regex": "/_/g", "renamePattern": " "})
        )


def properties(pairs: Sequence[tuple[str, Any]]) -> list[model.DynamicConfigValue]:
    return [model.DynamicConfigValue(id_val=name, value=value) for name, value in pairs]


def thresholds(steps: Sequence[Step]) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def plain_thresholds(steps: Sequence[Step]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def words(texts: dict[str, tuple[str, str]], from_one: tuple[str, str] | None = None) -> list[model.ValueMapping]:
    """Values in words (text, colour); `from_one` is for 1 and all above."""
    said = model.ValueMap(
        options={
            value: model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )
    if from_one is None:
        return [said]
    text, colour = from_one
    result = model.ValueMappingResult(text=text, color=colour, index=len(texts))
    return [said, model.RangeMap(options=model.DashboardRangeMapOptions(from_val=1, to=None, result=result))]


def legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING)


def address(uid: str) -> str:
    """Of a dashboard, with the data source, the site and the time range kept."""
    return f"/d/{uid}?${{datasource:queryparam}}&${{site:queryparam}}&${{__url_time_range}}"


def link_to(uid: str) -> build.DashboardLink:
    return build.DashboardLink("More").type(model.DashboardLinkType.LINK).url(address(uid))
