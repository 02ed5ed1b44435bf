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

from orchestrator.adapters.workloads.process_table import MARK
from tests.observability.prometheus_server import PATIENCE_S, Prometheus, prometheus_server

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
    until: float
    """Of one of the last, which was not missed: a missed one would make all that was scraped look gone."""
    page: str = field(repr=False)
    """The metrics as scraped at the end."""

    def at_end(self, expr: str) -> list[dict[str, Any]]:
        """Series at the end."""
        return self.prometheus.query(expr, self.until)

    def all_day(self, expr: str) -> list[dict[str, Any]]:
        """Series over all of it, the end included."""
        steps = int((self.until - self.began) / SCRAPE_S)
        return self.prometheus.query_range(expr, self.until - steps * SCRAPE_S, self.until, SCRAPE_S)


@contextmanager
def event_day(folder: Path, rules: str = "") -> Iterator[EventDay]:
    """The 100 MW site from shortly before its first spike on, at 60x; `rules` names a file of rules to evaluate."""
    state, log = folder / "state", folder / "demo.log"
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
            wait_for(lambda: _holds(server, SPIKE_ANSWERED), "a spike to be answered and settled")
            answer = httpx.post(f"http://{target}/api/v1/curtailments", json=ORDER, timeout=PATIENCE_S, trust_env=False)
            assert answer.status_code == httpx.codes.CREATED, answer.text
            until = wait_for(lambda: _holds(server, ORDER_ANSWERED), "an order to be answered")
            page = httpx.get(f"http://{target}/metrics", timeout=PATIENCE_S, trust_env=False).raise_for_status().text
            _end(demo, state)
            yield EventDay(server, began, until, page)
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
SPIKE_ANSWERED = (
    f"max_over_time({PRICE}[10m]) > {SPIKE_USD_PER_MWH}",
    f"{PRICE} < {SPIKE_USD_PER_MWH / 2}",
    f"min_over_time({MINING}[10m]) < 5e6",
    f"{MINING} > 20e6",
    'increase(wattshift_decision_latency_seconds_count{stage="measured"}[10m]) > 0',
    "increase(wattshift_always_on_energy_cost_usd_total[10m]) > 0",
    "wattshift_plan_age_seconds",
)
"""Mining drew power, nearly none in the spike, and does again; the books are settled, and there is a plan."""
ORDER_ANSWERED = (
    "max_over_time(wattshift_curtailments_active[10m]) > 0",
    f"wattshift_grid_power_watts < {ORDER['limit_kw']}e3",
    'increase(wattshift_decisions_total{trigger="curtailment"}[10m]) > 0',
    "sum by (site) (wattshift_fleet_hashrate_hashes_per_second) > 0",
)


def _holds(server: Prometheus, conditions: tuple[str, ...]) -> float | None:
    """When all hold, now; None if they do not."""
    now = time.time()
    return now if server.query(" and on (site) ".join(conditions), now) else None


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
