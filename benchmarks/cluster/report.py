"""What the benchmark found: ratios first."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

TARGET_RATIO = 1.25
TARGET_REST_MB = 250.0
TARGET_REST_CORE = 0.05
AUTOSCALER = {1: "0.49 s median, 0.94 s most", 50: "1 to 17 s"}
"""An event-driven autoscaler at its fastest settings, from a pushed price to the (last) Deployment's change."""
TARGET_SMALL_S = {1: 0.05, 50: 0.3}


@dataclass(slots=True)
class Move:
    """One step of the price, ours and bare."""

    direction: str
    load: float
    connections: int
    """Bare's."""
    ours: dict[str, Any] = field(default_factory=dict)
    ours_rss_mb: float = 0.0
    bare_load: float = 0.0
    bare: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    fleets: int
    jobs: int
    starts: list[dict[str, Any]] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    rest: dict[str, float] = field(default_factory=dict)
    small: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def ratio(self, direction: str) -> float:
        """Median of ours over the best median of bare by connections."""
        return self.ours_s(direction) / self.bare_s(direction)[1]

    def ours_s(self, direction: str) -> float:
        return statistics.median(float(m.ours["acknowledged_s"]) for m in self.moves if m.direction == direction)

    def bare_s(self, direction: str) -> tuple[int, float]:
        """Connections and seconds of the best."""
        by_connections: dict[int, list[float]] = {}
        for move in self.moves:
            if move.direction == direction:
                by_connections.setdefault(move.connections, []).append(float(move.bare["seconds"]))
        medians = {connections: statistics.median(seconds) for connections, seconds in by_connections.items()}
        best = min(medians, key=lambda connections: medians[connections])
        return best, medians[best]

    def objects_per_s(self) -> float:
        """Listed, reduced and in step; the median of the starts."""
        return statistics.median(float(start["objects"]) / float(start["started_s"]) for start in self.starts)

    def document(self) -> dict[str, Any]:
        """As JSON: the ratios, then everything they are made of."""
        directions = sorted({move.direction for move in self.moves})
        return {
            "ratio": {direction: round(self.ratio(direction), 3) for direction in directions},
            "target_ratio": TARGET_RATIO,
            "objects_per_s_at_start": round(self.objects_per_s(), 1),
            **asdict(self),
        }


def show(report: Report) -> None:
    console = Console()
    table = Table(title=f"{report.fleets} Deployments, {report.jobs} Jobs: price to last acknowledged write")
    for heading in ("step", "ratio", "ours s", "bare s", "bare's connections", "writes", "on record s", "load"):
        table.add_column(heading, justify="right")
    for direction in ("down", "up"):
        connections, bare_s = report.bare_s(direction)
        ours = [move for move in report.moves if move.direction == direction]
        table.add_row(
            direction,
            f"{report.ratio(direction):.2f}",
            f"{report.ours_s(direction):.2f}",
            f"{bare_s:.2f}",
            str(connections),
            " ".join(str(move.ours["writes"]) for move in ours),
            f"{statistics.median(move.ours['on_record_s'] for move in ours):.2f}",
            " ".join(f"{move.load:.1f}/{move.bare_load:.1f}" for move in ours),
        )
    console.print(table, f"  target ratio {TARGET_RATIO}")
    costs = Table(title="the controller's process")
    for heading in ("when", "memory MB", "share of a core", "target"):
        costs.add_column(heading, justify="right")
    rest = report.rest
    targets = f"{TARGET_REST_MB:.0f} MB, {TARGET_REST_CORE:.0%}"
    costs.add_row("at rest", f"{rest['rss_mb']:.0f}", f"{rest['core_share']:.1%}", targets)
    most = max(move.ours_rss_mb for move in report.moves)
    share = statistics.median(move.ours["cpu_s"] / move.ours["on_record_s"] for move in report.moves)
    costs.add_row("in a move", f"{most:.0f}", f"{share:.0%}", "")
    console.print(costs)
    took_s = statistics.median(start["started_s"] for start in report.starts)
    objects = report.starts[0]["objects"]
    console.print(f"start: {objects} objects in step after {took_s:.2f} s, {report.objects_per_s():.0f}/s")
    few = Table(title="few Deployments, seconds from the price: median (most)")
    for heading in ("Deployments", "step", "acknowledged", "target", "last pod", "an event-driven autoscaler", "load"):
        few.add_column(heading, justify="right")
    for fleets, found in report.small.items():
        for direction in ("down", "up"):
            mine = [entry for entry in found if bool(entry["up"]) == (direction == "up")]
            few.add_row(
                str(fleets),
                direction,
                spread([entry["acknowledged_s"] for entry in mine]),
                f"{TARGET_SMALL_S[fleets]:g}",
                spread([entry["pods_s"] for entry in mine]),
                AUTOSCALER[fleets],
                f"{statistics.median(entry['load'] for entry in mine):.1f}",
            )
    console.print(few)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({max(values):.3f})"
