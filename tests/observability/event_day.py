"""The demo of the event day under a real Prometheus, until a spike was seen, answered and settled."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from orchestrator.adapters.workloads.process_table import MARK
from tests.observability.prometheus_server import PATIENCE_S, Prometheus, prometheus_server

SCRAPE_S = 1
SPIKE_USD_PER_MWH = 300.0
"""The first spike of 6 September 2023 after the demo's start is higher."""


@dataclass(frozen=True, slots=True)
class EventDay:
    """A demo that still runs, and the server that has scraped it since it began."""

    url: str
    """Of the console, the API and the metrics."""
    prometheus: Prometheus
    began: float
    """Unix time of the first scrape."""

    def metrics(self) -> str:
        """The page that Prometheus scrapes."""
        return httpx.get(f"{self.url}/metrics", timeout=PATIENCE_S, trust_env=False).raise_for_status().text


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
            day = EventDay(f"http://{target}", server, time.time())
            wait_for(lambda: _has_answered(server), "a spike to be answered and settled")
            yield day
    finally:
        _end(demo, state)


def wait_for(look: Callable[[], Any], what: str) -> Any:
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


def _has_answered(server: Prometheus) -> bool:
    """Mining has drawn power, a spike came, mining drew next to nothing, and the price is down again."""
    price, mining = "wattshift_price_usd_per_mwh", 'wattshift_power_watts{use="mining"}'
    return bool(
        server.query(
            f"max_over_time({price}[10m]) > {SPIKE_USD_PER_MWH} and on (site) {price} < {SPIKE_USD_PER_MWH / 2}"
            f" and on (site) max_over_time({mining}[10m]) > 20e6 and on (site) min_over_time({mining}[10m]) < 5e6"
            f' and on (site) increase(wattshift_actions_total{{state="measured"}}[10m]) > 0'
        )
    )


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
