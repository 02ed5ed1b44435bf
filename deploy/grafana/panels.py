"""The kinds of panels there are, each with a title, a description, a unit and its queries."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.parts import (
    COUNT,
    address,
    ask_now,
    ask_over_time,
    frame_of,
    legend,
    link_to,
    plain_thresholds,
    properties,
    target,
    thresholds,
    tooltip,
    words,
)
from deploy.grafana.queries import Query, Step

USD_PER_MWH = "suffix:$/MWh"
J_PER_TH = "suffix:J/TH"

GREEN, YELLOW, ORANGE, RED, PURPLE, BLUE = "green", "yellow", "orange", "red", "purple", "blue"
MINING, HPC, OVERHEAD = ORANGE, BLUE, "#8e8e8e"
LIMIT, TARGET, MUTED = RED, PURPLE, "#8e8e8e"

ALWAYS: tuple[Step, ...] = ((None, "text"),)
NONE_IS_GOOD: tuple[Step, ...] = ((None, GREEN), (1, RED))
NARROWEST, NAMES_WIDTH = 70, 130
"""Of a table's columns, pixels. Grafana's own 150 push the fourth out of sight where three tables are in a row."""


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
    if_none: str | None = None,
    links_to: str | None = None,
) -> stat.Panel:
    """What is now, as large as it goes.

    `texts` says values in words (text, colour); `is_text` shows names alone; `if_none` is said where nothing answers.
    """
    panel = frame_of(stat.Panel(), title, description, unit, width, height)
    panel.thresholds(thresholds(steps)).color_mode(
        options.BigValueColorMode.BACKGROUND if len(steps) > 1 else options.BigValueColorMode.VALUE
    )
    panel.graph_mode(options.BigValueGraphMode.NONE).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if is_text:
        panel.text_mode(options.BigValueTextMode.NAME)
    elif len(queries) > 1:
        panel.text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    if texts:
        panel.mappings(words(texts))
    if if_none is not None:
        panel.no_value(if_none)
    if decimals is not None:
        panel.decimals(decimals)
    if links_to is not None:
        panel.links([link_to(links_to)])
    ask_now(panel, queries)
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
    highest: float | None = None,
    end: float | None = None,
    axis_width: float | None = None,
    points: int | None = None,
    steps: Sequence[Step] | None = None,
    colours: Mapping[str, str] | None = None,
    links_to: str | None = None,
) -> timeseries.Panel:
    """Curves over time.

    `points` asks for fewer, so that each averages over longer or costs less; `is_joined` draws over gaps; the axis
    shows `lowest` and `highest` in any case and nothing above its `end`; `steps` colours the background, `colours`
    series by name.
    """
    panel = frame_of(timeseries.Panel(), title, description, unit, width, height)
    panel.line_width(2).show_points(options.VisibilityMode.NEVER).fill_opacity(60 if is_stacked or is_bars else 0)
    panel.legend(legend()).tooltip(tooltip())
    # An axis of counts that are all 0 would otherwise go to 100.
    _axis(panel, lowest, 1 if highest is None and unit == COUNT else highest, end, axis_width)
    if is_stacked or is_bars:
        panel.line_width(1 if is_bars else 0).stacking(
            common.StackingConfig().mode(options.StackingMode.NORMAL).group("A")
        )
    if is_bars:
        panel.draw_style(options.GraphDrawStyle.BARS).fill_opacity(80)
    if is_stepped:
        panel.line_interpolation(options.LineInterpolation.STEP_AFTER)
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
    ask_over_time(panel, queries)
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, properties([("color", {"mode": "fixed", "fixedColor": colour})]))
    return panel


def _axis(
    panel: timeseries.Panel, lowest: float | None, highest: float | None, end: float | None, width: float | None
) -> None:
    if lowest is not None:
        panel.axis_soft_min(lowest)
    if highest is not None:
        panel.axis_soft_max(highest)
    if end is not None:
        panel.max(end)
    if width is not None:
        panel.axis_width(width)


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
    panel = frame_of(bargauge.Panel(), title, description, unit, width, height)
    panel.orientation(options.VizOrientation.HORIZONTAL).display_mode(options.BarGaugeDisplayMode.BASIC).min(0)
    panel.thresholds(thresholds(steps)).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if highest is not None:
        panel.max(highest)
    if unit == "percentunit":
        panel.decimals(1)
    panel.name_placement(options.BarGaugeNamePlacement.LEFT).sizing(options.BarGaugeSizing.MANUAL).max_viz_height(36)
    panel.text(common.VizTextDisplayOptions().title_size(14).value_size(18))  # else as large as they go
    ask_now(panel, queries)
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
    if_none: str | None = None,
) -> table.Panel:
    """A table: a row for each value of the label `key`, columns of (name, unit, expression), two at least: Grafana
    calls a sole one's field otherwise.

    Where `only` is given, it is the expression of one column and picks the rows.
    """
    panel = frame_of(table.Panel(), title, description, columns[0][1], width, height)
    panel.cell_options(options.TableAutoCellOptions())
    panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(not is_ascending)])
    panel.min_width(NARROWEST)
    if if_none is not None:
        panel.no_value(if_none)
    names: dict[str, str] = {}
    for ref, (name, unit, expr) in zip(ascii_uppercase, columns, strict=False):
        names[f"Value #{ref}"] = name
        query = Query(f"{expr} and on ({key}) {only}" if only and expr != only else expr)
        panel.with_target(target(ref, query).instant().format(PromQueryFormat.TABLE))
        own: list[tuple[str, Any]] = [("unit", unit)]
        if steps and name in steps:
            own += [("thresholds", plain_thresholds(steps[name])), ("custom.cellOptions", {"type": "color-text"})]
        panel.override_by_name(name, properties(own))
    of_key: list[tuple[str, Any]] = [("custom.width", NAMES_WIDTH)]
    if key_links_to is not None:
        here = f"{address(key_links_to)}&var-{key}=${{__data.fields.{key}}}"
        of_key.append(("links", [{"title": f"Show this {key}", "url": here}]))
    panel.override_by_name(key, properties(of_key))
    for transformation, how in (
        ("joinByField", {"byField": key, "mode": "outer"}),
        ("filterFieldsByName", {"include": {"names": [key, *names]}}),
        ("organize", {"renameByName": {key: key.removeprefix("sla_").capitalize(), **names}}),
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
    from_one: tuple[str, str] | None = None,
    width: int = 12,
    height: int = 6,
) -> statetimeline.Panel:
    """What held when, in words; `from_one` says 1 and all above."""
    panel = frame_of(statetimeline.Panel(), title, description, unit, width, height)
    panel.mappings(words(texts, from_one)).thresholds(thresholds(ALWAYS)).fill_opacity(70)
    panel.show_value(options.VisibilityMode.NEVER).merge_values(True).legend(legend()).tooltip(tooltip())
    ask_over_time(panel, queries)
    return panel
