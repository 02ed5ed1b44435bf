"""The plan of a running controller as a short table: an hour a row."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.domain.units import power_text
from orchestrator.explain.local_times import clock_text, span_text
from orchestrator.runtime.client.client import ask

MOST_JOBS = 1000
"""Asked for; of more, the changes of the others are not counted."""
MOST_PROMISES = 20
NAMED = 6
"""Changes of fleets named in an hour; of more, the rest is counted."""

Document = Mapping[str, Any]


def show_plan(url: str, api_key: str | None, console: Console) -> None:
    """Print the plan's hours, what changes in them, and its profit, bound, gap and age."""
    plan = ask("GET", url, f"/api/v1/plan?fleets_limit=1000&jobs_limit={MOST_JOBS}", api_key)
    clock = ask("GET", url, "/api/v1/site", api_key)["clock"]
    print_plan(plan, datetime.fromisoformat(clock["now"]), ZoneInfo(clock["timezone"]), console)


def print_plan(plan: Document, now: datetime, zone: ZoneInfo, console: Console) -> None:
    """`plan` is the document of GET /plan."""
    if plan["made_at"] is None:
        console.print(escape(plan["problem"]), soft_wrap=True)
        return
    age = timedelta(seconds=plan["age_seconds"])
    made = clock_text(datetime.fromisoformat(plan["made_at"]), now, zone)
    console.print(f"Plan of {made}, {'[red]' if plan['old'] else ''}{span_text(age)} old{'[/]' if plan['old'] else ''}")
    if plan["problem"]:
        console.print(f"[red]The newest attempt failed:[/] {escape(plan['problem'])}", soft_wrap=True)
    if plan["blocked"]:
        console.print(f"[red]No new one is made:[/] {escape(plan['blocked'])}", soft_wrap=True)
    table = Table("hour", "USD/MWh", "mining", "HPC", "what changes")
    for column in table.columns[1:4]:
        column.justify = "right"
    changes = [*_changes(plan["fleets"], fleets=True), *_changes(plan["jobs"], fleets=False)]
    for start, steps in itertools.groupby(plan["steps"], key=lambda step: _hour(step["start"], zone)):
        rows = list(steps)
        table.add_row(
            f"{start:%H:%M}",
            f"{_mean(rows, 'price_usd_per_mwh'):.0f}",
            power_text(_mean(rows, "mining_kw")),
            power_text(_mean(rows, "hpc_kw")),
            escape(_in_words([change for change in changes if _hour(change["at"], zone) == start], zone)),
        )
    console.print(table)
    console.print(_worth(plan), soft_wrap=True)
    if not plan["sound"]:
        console.print("Its gap is large: of promises only those are told that no plan could keep.", soft_wrap=True)
    if plan["jobs_total"] > MOST_JOBS:
        console.print(f"Of {plan['jobs_total']} jobs the first {MOST_JOBS} are counted among what changes.")
    promises = plan["broken_promises"]
    for promise in promises[:MOST_PROMISES]:
        console.print(f"[red]cannot be kept:[/] {escape(promise)}", soft_wrap=True)
    if len(promises) > MOST_PROMISES:
        console.print(f"[red]cannot be kept:[/] {len(promises) - MOST_PROMISES} more promises")


def _worth(plan: Document) -> str:
    if plan["profit_usd"] is None:
        return "Its profit is not known."
    text = f"It expects {plan['profit_usd']:,.0f} USD to its end"
    if plan["bound_usd"] is not None:
        text += f"; no plan could earn more than {plan['bound_usd']:,.0f}"
    if plan["gap"] is not None:
        text += f" (gap {plan['gap']:.1%})"
    return f"{text}. Made in {plan['seconds_to_make']:.1f} s."


def _changes(targets: Sequence[Document], *, fleets: bool) -> Iterator[Document]:
    """What happens at the seams between stretches."""
    for target in targets:
        ends_at = target["ends_at"]
        for before, after in itertools.pairwise(target["stretches"]):
            if fleets:
                yield {"at": after["start"], "name": target["name"], "what": after["level"], "fleet": True}
            elif not after["on"] and ends_at is not None and after["start"] >= ends_at:
                yield {"at": ends_at, "name": target["name"], "what": "ends", "fleet": False}
                break
            elif before["on"] != after["on"]:
                what = "starts" if after["on"] else "pauses"
                yield {"at": after["start"], "name": target["name"], "what": what, "fleet": False}


def _in_words(changes: Sequence[Document], zone: ZoneInfo) -> str:
    """`17:15 s21 asleep, s19-xp asleep; 2 jobs start, 1 ends`."""
    fleets = sorted((change for change in changes if change["fleet"]), key=lambda change: str(change["at"]))
    parts = [
        f"{_local(at, zone):%H:%M} " + ", ".join(f"{change['name']} {change['what']}" for change in together)
        for at, together in itertools.groupby(fleets[:NAMED], key=lambda change: change["at"])
    ]
    if len(fleets) > NAMED:
        parts.append(f"and {len(fleets) - NAMED} more of fleets")
    counts = Counter(change["what"] for change in changes if not change["fleet"])
    jobs = [
        f"{count} {'job' if count == 1 else 'jobs'} {what if count == 1 else what.removesuffix('s')}"
        for what, count in sorted(counts.items())
    ]
    return "; ".join([*parts, *([", ".join(jobs)] if jobs else [])])


def _mean(steps: Sequence[Document], key: str) -> float:
    return sum(float(step[key]) for step in steps) / len(steps)


def _local(at: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(at).astimezone(zone)


def _hour(at: str, zone: ZoneInfo) -> datetime:
    return _local(at, zone).replace(minute=0, second=0, microsecond=0)
