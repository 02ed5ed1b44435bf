"""The demo of the event day under a real Prometheus: a price spike and a grid order, each answered and settled."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from orchestrator.adapters.workloads.processes.process_table import MARK
from tests.prometheus_server import PATIENCE_S, Prometheus, prometheus_server

SCRAPE_S = 2
SPIKE_USD_PER_MWH = 300.0
"""The first spike of 6 September 2023 after the demo's start is higher."""
Found = TypeVar("Found")

ORDER = {"limit_kw": 30_000.0, "for_minutes": 10.0, "reason": "called by the grid operator"}


@dataclass(frozen=True, slots=True)
class EventDay:
    """What Prometheus saw; the demo itself has ended."""

    prometheus: Prometheus
    began: float
    """Unix time of the first scrape."""
    calm: float
    """When the spike was over, its hours settled, and machines hashed again."""
    ended: float
    page: str = field(repr=False)
    """The metrics as scraped at the end."""

    def at_calm(self, expr: str) -> list[dict[str, Any]]:
        """Series after the spike."""
        return self.prometheus.query(expr, self.calm)

    def all_day(self, expr: str) -> list[dict[str, Any]]:
        """Series over all of it, the end included."""
        steps = int((self.ended - self.began) / SCRAPE_S)
        return self.prometheus.query_range(expr, self.ended - steps * SCRAPE_S, self.ended, SCRAPE_S)


@contextmanager
def event_day(folder: Path, rules: str = "") -> Iterator[EventDay]:
    """The 100 MW site from shortly before its first spike on, at 60x; `rules` names a file of rules to evaluate."""
    state, log = folder / "state", folder / "demo.log"
    # At once where it is done; while the day runs, a minute of it would be hours without a plan.
    subprocess.run([sys.executable, "-m", "orchestrator.runtime.compile"], check=True)
    command = [sys.executable, "-m", "orchestrator.cli", "demo", "--state", str(state), "--headless", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WATTSHIFT_")}
    with log.open("wb") as output:
        demo = subprocess.Popen(command, stdout=output, stderr=output, env={**environment, "COLUMNS": "300"})
    try:

        def address() -> str | None:
            assert demo.poll() is None, log.read_text()
            found = re.search(r"Look at http://(\S+)", log.read_text())
            return found[1] if found else None

        target = wait_for(address, "the demo to start")
        with prometheus_server(folder, _config(target, rules)) as server:
            began = time.time()
            calm = wait_for(lambda: _last(server, began, AFTER_THE_SPIKE), "a spike to be answered and settled")
            answer = httpx.post(f"http://{target}/api/v1/curtailments", json=ORDER, timeout=PATIENCE_S, trust_env=False)
            assert answer.status_code == httpx.codes.CREATED, answer.text
            ended = wait_for(lambda: _last(server, calm, ORDERED), "an order to be in force")

            def shown() -> str | None:
                """A fleet of which nothing is read at the moment, as on a busy machine, has no power to show."""
                text = (
                    httpx.get(f"http://{target}/metrics", timeout=PATIENCE_S, trust_env=False).raise_for_status().text
                )
                return text if "wattshift_fleet_power_watts{" in text else None

            page = wait_for(shown, "the fleets to be measured")
            _end(demo, state)
            yield EventDay(server, began, calm, ended, page)
    finally:
        _end(demo, state)


def wait_for(look: Callable[[], Found | None], what: str) -> Found:
    """The first result of `look` that is true; fails when there is none in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.2)
    return found


def _config(target: str, rules: str) -> str:
    lines = [
        f"global: {{scrape_interval: {SCRAPE_S}s, scrape_timeout: {SCRAPE_S}s, evaluation_interval: {SCRAPE_S}s}}",
        *([f"rule_files: ['{rules}']"] if rules else []),
        "scrape_configs:",
        f"  - {{job_name: wattshift, static_configs: [{{targets: ['{target}']}}]}}",
    ]
    return "\n".join(lines) + "\n"


PRICE, MINING = "wattshift_price_usd_per_mwh", 'wattshift_power_watts{use="mining"}'
AFTER_THE_SPIKE = (
    f"{PRICE} < {SPIKE_USD_PER_MWH / 2}",
    f"max_over_time({PRICE}[1h]) > {SPIKE_USD_PER_MWH}",
    f"min_over_time({MINING}[1h]) < 5e6",
    f"{MINING} > 10e6",
    "sum by (site) (wattshift_fleet_hashrate_hashes_per_second) > 0",
    'wattshift_decision_latency_seconds_count{stage="measured"} > 0',
    "wattshift_always_on_energy_cost_usd_total > 0",
    "wattshift_plan_age_seconds",
)
"""Mining drew nearly nothing in the spike and hashes again, and there is a plan."""
ORDERED = ("wattshift_curtailments_active > 0",)


def _last(server: Prometheus, since: float, conditions: tuple[str, ...]) -> float | None:
    """The last time since when all held: on a slow machine it may be over when it is asked for."""
    series = server.query_range(" and on (site) ".join(conditions), since, time.time(), 1)
    return max((float(at) for each in series for at, _ in each["values"]), default=None)


def _end(demo: "subprocess.Popen[bytes]", state: Path) -> None:
    """Ctrl-C, and whatever the demo would leave if it were killed."""
    if demo.poll() is None:
        demo.send_signal(signal.SIGINT)
        try:
            demo.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{state.resolve()}//"):
                process.kill()
        except (psutil.Error, OSError):
            continue
