"""The kinds of panels there are, each with a title, a description, a unit and its queries."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.queries import Query

DATASOURCE = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
USD_PER_MWH = "suffix: USD/MWh"
J_PER_TH = "suffix: J/TH"

GREEN, YELLOW, ORANGE, RED, PURPLE = "green", "yellow", "orange", "red", "purple"
MINING, HPC, OVERHEAD = ORANGE, "blue", "#8e8e8e"
LIMIT, TARGET, MUTED = RED, PURPLE, "#8e8e8e"

Step = tuple[float | None, str]
"""From this value on (None: from the lowest), this colour."""
Panel = timeseries.Panel | stat.Panel | table.Panel | bargauge.Panel | statetimeline.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel, table.Panel, bargauge.Panel, statetimeline.Panel)

ALWAYS: tuple[Step, ...] = ((None, "text"),)
NONE_IS_GOOD: tuple[Step, ...] = ((None, GREEN), (1, RED))


def numbers(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    width: int = 3,
    height: int = 4,
    steps: Sequence[Step] = ALWAYS,
    texts: dict[str, tuple[str, str]] | None = None,
    is_text: bool = False,
    decimals: int | None = None,
    links_to: str | None = None,
) -> stat.Panel:
    """What is now, as large as it goes; `texts` says values in words (text, colour); `is_text` shows names alone."""
    panel = _common(stat.Panel(), title, description, unit, width, height)
    panel.thresholds(thresholds(steps)).color_mode(
        options.BigValueColorMode.BACKGROUND if len(steps) > 1 else options.BigValueColorMode.VALUE
    )
    panel.graph_mode(options.BigValueGraphMode.NONE).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if is_text:
        panel.text_mode(options.BigValueTextMode.NAME)
    elif len(queries) > 1:
        panel.text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    if texts:
        panel.mappings([_words(texts)])
    if decimals is not None:
        panel.decimals(decimals)
    if links_to is not None:
        panel.links([link_to(links_to)])
    _ask_now(panel, queries)
    return panel


def lines(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    width: int = 12,
    height: int = 8,
    is_stacked: bool = False,
    is_bars: bool = False,
    is_stepped: bool = False,
    is_joined: bool = False,
    lowest: float | None = None,
    points: int | None = None,
    steps: Sequence[Step] | None = None,
    colours: Mapping[str, str] | None = None,
    links_to: str | None = None,
) -> timeseries.Panel:
    """Curves over time.

    `points` asks for fewer, so that each averages over longer or costs less; `is_joined` draws over gaps, `steps`
    colours the background, `colours` series by name.
    """
    panel = _common(timeseries.Panel(), title, description, unit, width, height)
    panel.line_width(2).show_points(options.VisibilityMode.NEVER).fill_opacity(60 if is_stacked or is_bars else 0)
    panel.legend(_legend()).tooltip(_tooltip())
    if is_stacked or is_bars:
        panel.line_width(1).stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if is_bars:
        panel.draw_style(options.GraphDrawStyle.BARS).fill_opacity(80)
    if is_stepped:
        panel.line_interpolation(options.LineInterpolation.STEP_AFTER)
    if lowest is not None:
        panel.axis_soft_min(lowest)
    if points is not None:
        panel.max_data_points(points)
    if is_joined:
        panel.span_nulls(True)
    if is_bars:
        panel.decimals(0)  # Prometheus extrapolates to the window's ends: 1.3 decisions are one
    if steps is not None:
        panel.thresholds(thresholds(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.AREA))
    if links_to is not None:
        panel.links([link_to(links_to)])
    _ask_over_time(panel, queries)
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, _properties([("color", {"mode": "fixed", "fixedColor": colour})]))
    return panel


def bars(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    width: int = 8,
    height: int = 8,
    steps: Sequence[Step] = ALWAYS,
    highest: float | None = None,
) -> bargauge.Panel:
    """What is now, a bar each."""
    panel = _common(bargauge.Panel(), title, description, unit, width, height)
    panel.orientation(options.VizOrientation.HORIZONTAL).display_mode(options.BarGaugeDisplayMode.BASIC).min(0)
    panel.thresholds(thresholds(steps)).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if highest is not None:
        panel.max(highest)
    if unit == "short":
        panel.decimals(0)
    _ask_now(panel, queries)
    return panel


def rows(
    title: str,
    description: str,
    key: str,
    columns: Sequence[tuple[str, str, str]],
    *,
    only: str = "",
    width: int = 12,
    height: int = 9,
    sort: str,
    is_ascending: bool = False,
    key_links_to: str | None = None,
    steps: Mapping[str, Sequence[Step]] | None = None,
) -> table.Panel:
    """A table: a row for each value of the label `key`, columns of (name, unit, expression).

    Where `only` is given, it is the expression of one column and picks the rows.
    """
    panel = _common(table.Panel(), title, description, columns[0][1], width, height)
    panel.cell_options(options.TableAutoCellOptions())
    panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(not is_ascending)])
    names: dict[str, str] = {}
    for ref, (name, unit, expr) in zip(ascii_uppercase, columns, strict=False):
        names[f"Value #{ref}"] = name
        query = Query(f"{expr} and on ({key}) {only}" if only and expr != only else expr)
        panel.with_target(_target(ref, query).instant().format(PromQueryFormat.TABLE))
        properties: list[tuple[str, Any]] = [("unit", unit)]
        if steps and name in steps:
            properties += [("thresholds", _thresholds(steps[name])), ("custom.cellOptions", {"type": "color-text"})]
        panel.override_by_name(name, _properties(properties))
    if key_links_to is not None:
        here = f"{_address(key_links_to)}&var-{key}=${{__data.fields.{key}}}"
        panel.override_by_name(key, _properties([("links", [{"title": f"Show this {key}", "url": here}])]))
    for transformation, how in (
        ("joinByField", {"byField": key, "mode": "outer"}),
        ("filterFieldsByName", {"include": {"names": [key, *names]}}),
        ("organize", {"renameByName": names}),
    ):
        panel.with_transformation(model.DataTransformerConfig(id_val=transformation, options=how))
    return panel


def states(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    texts: dict[str, tuple[str, str]],
    width: int = 12,
    height: int = 6,
) -> statetimeline.Panel:
    """What held when, in words."""
    panel = _common(statetimeline.Panel(), title, description, unit, width, height)
    panel.mappings([_words(texts)]).thresholds(thresholds(ALWAYS)).fill_opacity(70)
    panel.show_value(options.VisibilityMode.NEVER).merge_values(True).legend(_legend()).tooltip(_tooltip())
    _ask_over_time(panel, queries)
    return panel


# --- parts ------------------------------------------------------------------------------------------------------------


def _common(panel: P, title: str, description: str, unit: str, width: int, height: int) -> P:
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE).span(width).height(height)
    return panel


def _ask_now(panel: Panel, queries: Sequence[Query]) -> None:
    for ref, query in _lettered(queries):
        panel.with_target(_target(ref, query).instant())
        _differ(panel, ref, query)


def _ask_over_time(panel: Panel, queries: Sequence[Query]) -> None:
    for ref, query in _lettered(queries):
        panel.with_target(_target(ref, query).range())
        _differ(panel, ref, query)


def _lettered(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    return list(zip(ascii_uppercase, queries, strict=False))


def _target(ref: str, query: Query) -> Dataquery:
    return Dataquery().ref_id(ref).datasource(DATASOURCE).expr(query.expr).legend_format(query.legend or "__auto")


def _differ(panel: Panel, ref: str, query: Query) -> None:
    """What one query of a panel has for itself."""
    properties: list[tuple[str, Any]] = []
    if query.unit:
        properties.append(("unit", query.unit))
    if query.colour:
        properties.append(("color", {"mode": "fixed", "fixedColor": query.colour}))
    if query.is_line:
        properties += [
            ("custom.fillOpacity", 0),
            ("custom.lineWidth", 2),
            ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            ("custom.stacking", {"mode": "none", "group": "line"}),
        ]
    if properties:
        panel.override_by_query(ref, _properties(properties))


def _properties(pairs: Sequence[tuple[str, Any]]) -> list[model.DynamicConfigValue]:
    return [model.DynamicConfigValue(id_val=name, value=value) for name, value in pairs]


def thresholds(steps: Sequence[Step]) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _thresholds(steps: Sequence[Step]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _words(texts: dict[str, tuple[str, str]]) -> model.ValueMap:
    return model.ValueMap(
        options={
            value: model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING)


def _address(uid: str) -> str:
    """Of a dashboard, with the data source, the site and the time range kept."""
    return f"/d/{uid}?${{datasource:queryparam}}&${{site:queryparam}}&${{__url_time_range}}"


def link_to(uid: str) -> build.DashboardLink:
    return build.DashboardLink("More").type(model.DashboardLinkType.LINK).url(_address(uid))
