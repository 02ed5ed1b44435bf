"""What the programs of a run directory share: site time, the setpoints they watch, their metrics, their end.

A program lives in a run directory (see docs/mock-site.md). It ends on SIGTERM, when the directory is gone, or when
the lease on the setpoints has been out for ten minutes on the wall: an abandoned site leaves no processes behind.
"""

import json
import logging
import math
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.clock import SiteClock
from orchestrator.domain.units import utc
from orchestrator.sim.atomic_file import write_atomically
from orchestrator.sim.meters.power_files import PowerFile
from orchestrator.sim.metrics_server import LOOPBACK, Handler, metrics_app, routed, serve
from orchestrator.sim.process import hold_sigterm, sigterm_within

POLL_S = 0.1
"""How often the setpoints are looked at, on the wall."""
ABANDONED_AFTER_S = 600.0
"""On the wall, after the lease ran out."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setpoints:
    generation: int
    lease_until: datetime
    racks: Mapping[str, str]
    """Mode or SLEEP by rack, `fleet/rack-n`."""
    gpu_limit_w: Mapping[str, float]
    """By pool."""
    lapse_over_s: float = 0.0
    """Racks whose lease is out fall asleep over this time, one after the other."""


def parse_setpoints(text: str) -> Setpoints:
    """ValueError for anything that is not a whole setpoints document."""
    document = json.loads(text)
    try:
        return Setpoints(
            generation=int(document["generation"]),
            lease_until=utc(datetime.fromisoformat(document["lease_until"])),
            racks={str(rack): str(mode) for rack, mode in document["racks"].items()},
            gpu_limit_w=power_limits(document["gpu_limit_w"]),
            lapse_over_s=lapse_over_s(document),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a setpoints document: {error!r}") from error


def power_limits(by_pool: Mapping[object, float]) -> dict[str, float]:
    """The `gpu_limit_w` of a setpoints document, W; ValueError unless all are positive numbers."""
    limits = {str(pool): float(limit) for pool, limit in by_pool.items()}
    if not all(math.isfinite(limit) and limit > 0.0 for limit in limits.values()):
        raise ValueError("gpu_limit_w: a power limit is a positive number of watts")
    return limits


def lapse_over_s(document: Mapping[str, Any]) -> float:
    """The `lapse_over_s` of a setpoints document, 0 where it has none; ValueError unless it is a number from 0 on."""
    over_s = float(document.get("lapse_over_s", 0.0))
    if not (math.isfinite(over_s) and over_s >= 0.0):
        raise ValueError("lapse_over_s: a number of seconds from 0 on")
    return over_s


def bad_reads_metric(count: int) -> Metric:
    bad = CounterMetricFamily("wattshift_agent_bad_setpoint_reads", "Setpoint documents that could not be read.")
    bad.add_metric([], count)
    return bad


def abandoned(setpoints: Setpoints | None, clock: SiteClock, started_wall: float, wall: float) -> bool:
    """Whether nobody has held the lease for ABANDONED_AFTER_S at `wall`; a program just started has as long."""
    lease_wall = clock.wall_at(setpoints.lease_until) if setpoints is not None else started_wall
    return wall - max(lease_wall, started_wall) > ABANDONED_AFTER_S


class Agent(Collector):
    """One program's place in the run directory. Made in the main thread, before any other thread."""

    def __init__(self, run: Path, name: str, job: str) -> None:
        hold_sigterm()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the controller
        self.clock = SiteClock.from_json(json.loads((run / "clock.json").read_text()))
        self.setpoints: Setpoints | None = None
        """The last good ones."""
        self._run = run
        self._job = job
        self._target = run / "targets" / f"{name.replace('/', '_')}.json"
        self._power = PowerFile(run, name.replace("/", "_"))
        self._started_wall = time.time()
        self._seen: tuple[int, int, int] | None = None
        self._bad_reads = 0

    def now(self) -> datetime:
        """Site time."""
        return self.clock.at(time.time())

    def serve(self, collector: Collector, port: int, **handlers: Handler) -> int:
        """Serve metrics on 127.0.0.1 at `port` (0: any free one) and tell scrapers; returns the port."""
        port = serve(routed(metrics_app(collector, self), **handlers), LOOPBACK, port)
        entry = {"targets": [f"{LOOPBACK}:{port}"], "labels": {"job": self._job}}
        write_atomically(self._target, json.dumps([entry]))
        return port

    def draw(self, power_w: float, energy_j: float) -> None:
        """Tell the meters what the device really draws, and has drawn so far."""
        self._power.write(power_w, energy_j)

    def alive(self, wait_s: float = POLL_S) -> bool:
        """Wait, read new setpoints; False when it is time to end."""
        if not sigterm_within(wait_s) and (self._run / "clock.json").exists():
            self._read_setpoints()
            if not abandoned(self.setpoints, self.clock, self._started_wall, time.time()):
                return True
        self.leave()
        return False

    def leave(self) -> None:
        """Tell scrapers and meters that this program is gone."""
        self._target.unlink(missing_ok=True)
        self._power.remove()

    def collect(self) -> Iterable[Metric]:
        yield bad_reads_metric(self._bad_reads)

    def _read_setpoints(self) -> None:
        path = self._run / "setpoints.json"
        try:
            stat = path.stat()
        except FileNotFoundError:
            return  # none given yet
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.setpoints = parse_setpoints(path.read_text())
        except (OSError, ValueError) as error:
            self._bad_reads += 1
            log.warning("%s: %s; the last good setpoints stay", path, error)
