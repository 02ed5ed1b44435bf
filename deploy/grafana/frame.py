"""What all dashboards have: variables, links between them, and what happened, marked on every curve."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.panels import BLUE, ORANGE, PURPLE
from deploy.grafana.parts import DATASOURCE, Panel
from deploy.grafana.queries import RATE, SITE, gauge, increase

TAG = "wattshift"
TRIGGERS = 'trigger=~"price|curtailment|breach"'


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right."""

    title: str
    panels: Sequence[Panel]


def dashboard(
    uid: str, title: str, description: str, rows: Sequence[Row], variables: Sequence[build.QueryVariable] = ()
) -> model.Dashboard:
    """A whole dashboard; panels are numbered in their order."""
    frame = build.Dashboard(f"Wattshift / {title}").uid(uid).description(description).tags([TAG]).readonly()
    frame.time("now-6h", "now").refresh("10s").timezone(options.TimeZoneBrowser).tooltip(
        model.DashboardCursorSync.CROSSHAIR
    )
    frame.timepicker(build.TimePicker().refresh_intervals(["5s", "10s", "30s", "1m", "5m"]))
    for variable in (_datasource(), _site(), *variables):
        frame.with_variable(variable)
    frame.link(
        build.DashboardLink("Wattshift")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)
        .keep_time(True)
    )
    for annotation in _annotations():
        frame.annotation(annotation)
    for row in rows:
        frame.with_row(build.Row(row.title))
        for panel in row.panels:
            frame.with_panel(panel)
    made = frame.build()
    for link in made.links or []:
        link.placement = None  # type: ignore[assignment]  # the types hide links in a menu; none shows them at the top
    for number, item in enumerate(made.panels or [], start=1):
        item.id_val = number
    return made


def labels_of(name: str, label: str, metric: str) -> build.QueryVariable:
    """A variable over the values of a label, several at once, all at first."""
    return (
        _values(name, label, f"label_values(wattshift_{metric}{{{SITE}}}, {label})")
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(text="All", value="$__all"))
    )


def _datasource() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def _site() -> build.QueryVariable:
    return _values("site", "site", "label_values(wattshift_build_info, site)")


def _values(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label.capitalize())
        .datasource(DATASOURCE)
        .query({"query": query, "refId": f"{name}s", "qryType": 5})
        .definition(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
    )


def _annotations() -> list[build.AnnotationQuery]:
    """What is on at first must not hide the curves: on a day of spikes a price decides every quarter of an hour."""
    return [
        _annotation("Grid orders", PURPLE, f"{gauge('curtailments_active')} > 0", "Grid order in force", "curtailment"),
        _annotation(
            "Decisions",
            BLUE,
            # Those of a tick follow machines, jobs and the plan, and are many. The window, all of which is marked, is
            # of four scrapes: over less, one scrape that fails would hide a decision.
            f"{increase('decisions_total', RATE, 'trigger', TRIGGERS)} > 0",
            "Decision, triggered by {{trigger}}",
            "trigger",
        ).enable(False),
        _annotation("Breaches", ORANGE, f"{gauge('breaches_active', 'kind')} > 0", "Breach: {{kind}}", "kind").enable(
            False
        ),
    ]


def _annotation(name: str, colour: str, expr: str, text: str, tag: str) -> build.AnnotationQuery:
    """Grafana marks the times at which the query has a value above 0, as one region where they touch."""
    target = Dataquery().ref_id("Anno").datasource(DATASOURCE).expr(expr).range()
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .target(target)
        .title_format(text)
        .tag_keys(tag)
    )
