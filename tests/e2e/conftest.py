"""Wattshift as its user starts it: the command in a process of its own, on a small site written here.

The site and its prices are invented; its devices are simulated, as everywhere in the demo.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from orchestrator.adapters.workloads.process_table import MARK

PATIENCE_S = 60.0
"""For anything that a busy machine may be slow at."""
POLL_S = 0.1
MIDNIGHT = datetime(2023, 9, 6, tzinfo=UTC)

SITE = """
name: small
timezone: UTC
grid: {limit_kw: 1500, measurement_uncertainty: 0.01}
feeders:
  - {name: a, limit_kw: 800}
  - {name: b, limit_kw: 800}
cooling:
  pue_by_temperature: [{temperature_c: 20, pue: 1.05}]
fleets:
  - name: s21
    model: Antminer S21
    feeder: a
    racks: 3
    machines_per_rack: 60
    default_mode: normal
    modes:
      - {name: eco, power_w: 2800, hashrate_ths: 174}
      - {name: normal, power_w: 3500, hashrate_ths: 200}
    sleep_w: 15
    warm_up_s: 120
    min_on_s: 120
    min_off_s: 120
  - name: s19
    model: Antminer S19j Pro
    feeder: b
    racks: 3
    machines_per_rack: 60
    default_mode: normal
    modes:
      - {name: normal, power_w: 3068, hashrate_ths: 104}
    sleep_w: 15
    warm_up_s: 120
    min_on_s: 120
    min_off_s: 120
gpu_pools:
  - name: h100
    gpu_model: NVIDIA H100 80GB HBM3
    feeder: b
    nodes: 2
    gpus_per_node: 8
    gpu_power_w: 700
    gpu_min_power_w: 200
    gpu_idle_w: 70
    node_overhead_w: 3000
tenants:
  - {name: gold, sla: guaranteed, usd_per_gpu_h: 2.9, credit_share: 1.0, interruptions_per_hour: 0}
  - {name: silver, sla: flexible, usd_per_gpu_h: 2.1, credit_share: 0.5, interruptions_per_hour: 12}
  - {name: bronze, sla: best-effort, usd_per_gpu_h: 1.1, credit_share: 0, interruptions_per_hour: 60}
prices: PRICES
hashprice: {usd_per_ph_day: 60}
weather: {temperature_c: 20}
telemetry: {kind: scrape}
stale:
  price_max_age_s: 900
  price_fallback_usd_per_mwh: 60
  telemetry_max_age_s: 60
  temperature_max_age_s: 7200
  temperature_assume_c: 38
  hashprice_max_age_s: 172800
  hashprice_assume_usd_per_ph_day: 55
controls: {tick_s: 5, verify_within_s: 60, lease_s: 300, outlook_s: 3600}
mock: {seed: 1, nodes_per_exporter: 1}
"""
RACKS = 6
NODES = 2
ALL_AWAKE_KW = 1.05 * 3 * 60 * (3.5 + 3.068) * 0.95
"""Less than what all racks draw at the grid when awake: a rack draws at least 97 % of its nameplate."""


def environment(settings: Mapping[str, str] = {}) -> dict[str, str]:  # noqa: B006 - never changed
    """The tests' environment without anything that changes what Wattshift does, on a wide terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WATTSHIFT_")}
    return {**kept, "COLUMNS": "300", "PYTHONUNBUFFERED": "1", **settings}


@dataclass(frozen=True)
class Ended:
    """A command that came to its end."""

    code: int
    out: str
    err: str

    def refusal(self) -> str:
        """What a refused command said: one error on stderr, exit code 2, no traceback."""
        assert self.code == 2, self
        assert "Traceback" not in self.out + self.err
        assert self.err.count("error:") + self.err.count("Error") == 1, self.err
        return re.sub(r"[\s│╭╮╰╯─]+", " ", self.err).strip()


@dataclass
class Live:
    """A command that runs on: `wattshift demo` or `serve` with real device processes."""

    state: Path
    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes]" = field(init=False)
    url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment())

    def said(self) -> str:
        return self.log.read_text()

    def wait_started(self) -> "Live":
        """The address is printed, the page answers, and the first round is done."""

        def address() -> str | None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
            found = re.search(r"Look at (http://\S+)", self.said())
            return found[1] if found else None

        self.url = self.wait_for(address, "the address of the page")
        self.wait_for(lambda: self.asked("/readyz") == 200, "/readyz to be 200")
        return self

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, timeout=PATIENCE_S).raise_for_status().json()

    def asked(self, path: str) -> int:
        """The status of a GET; 0 where nothing answers."""
        try:
            return httpx.get(self.url + path, timeout=PATIENCE_S).status_code
        except httpx.TransportError:
            return 0

    def observed(self) -> dict[str, Any]:
        """The last observation as the console gets it; {} before the first one."""
        return self.get("/api/v1/state")["observed"] or {}

    def wait_for[T](self, look: Callable[[], T], what: str, within_s: float = PATIENCE_S) -> T:
        raise NotImplementedError

    def wait_observed(self, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            observed = self.observed()
            return observed if observed and holds(observed) else None

        return self.wait_for(seen, what)
