"""Wattshift as its user starts it: the command in a process of its own, on a small site written here.

The site and its prices are invented; its devices are simulated, as everywhere in the demo.
"""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx
import psutil
import pytest

from orchestrator.adapters.workloads.processes.process_table import MARK
from tests.cluster.kind_cluster import KindCluster
from tests.command import PATIENCE_S, WATTSHIFT, Ended, ended, environment, refused
from tests.e2e.cluster_site import Images, load_images
from tests.sharing import run_folder
from tests.stopwatch import Stopwatch

POLL_S = 0.1
MIDNIGHT = datetime(2023, 9, 6, tzinfo=UTC)

T = TypeVar("T")

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
controls: {tick_s: 5, verify_within_s: 60, lease_s: 300, price_persistence_s: 3600}
mock: {seed: 1, nodes_per_exporter: 1}
"""


AWAKE_KW = 0.95 * 1.05 * 3 * 60 * (3.5 + 3.068)
"""Less than the small site draws with all racks awake: machines draw at least 97 % of their nameplate."""
ASLEEP_KW = 100.0
"""More than it draws with all racks asleep."""


def wait_for(look: Callable[[], T | None], what: str, within_s: float = PATIENCE_S) -> T:
    """The first result of `look` that is true; fails with `what` when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s for {what}"
        time.sleep(POLL_S)
    return found


@dataclass
class Live:
    """A command that runs on, with real device processes in `state`."""

    command: Sequence[str]
    state: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes]" = field(init=False)
    log: Path = field(init=False)
    url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.log = self.state.with_name(f"{self.state.name.lstrip('.')}-{time.time_ns()}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment(self.settings))

    def said(self) -> str:
        return self.log.read_text()

    def wait_started(self) -> "Live":
        """The address is printed, the first round is done and every device answers."""

        def address() -> str | None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
            found = re.search(r"(?:Look|answers) at (http://[^\s\"]+)", self.said())
            return found[1] if found else None

        self.url = wait_for(address, "the address of the page")
        wait_for(lambda: self.status("/readyz"), "an answer")
        self.wait_observed(lambda seen: not set(seen["stale"]) - {"price"}, "readings of all devices")
        return self

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, timeout=PATIENCE_S, trust_env=False).raise_for_status().json()

    def post(self, path: str, document: object) -> httpx.Response:
        return httpx.post(self.url + path, json=document, timeout=PATIENCE_S, trust_env=False)

    def status(self, path: str) -> int:
        """The status of a GET; 0 where nothing answers."""
        try:
            return httpx.get(self.url + path, timeout=PATIENCE_S, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    def wait_observed(self, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The first observation, as the console gets it, that `holds`."""

        def seen() -> dict[str, Any] | None:
            observed = self.get("/api/v1/state")["observed"]
            return observed if observed and holds(observed) else None

        return wait_for(seen, what)

    def wait_awake(self) -> dict[str, Any]:
        """All racks are up and draw what they should."""
        return self.wait_observed(lambda seen: seen["measured_kw"] > AWAKE_KW, f"more than {AWAKE_KW:.0f} kW")

    def processes(self) -> dict[str, int]:
        """Pids of the state folder's living processes, by name, from their own environment."""
        found: dict[str, int] = {}
        for process in psutil.process_iter():
            try:
                folder, _, name = process.environ().get(MARK, "").rpartition("//")
                if folder == str(self.state.resolve()) and process.status() != psutil.STATUS_ZOMBIE:
                    found[name] = process.pid
            except (psutil.Error, OSError):
                continue
        return found

    def kill(self) -> None:
        """kill -9 of the controller."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def interrupt(self) -> float:
        """Ctrl-C of the controller; how long it took to end, s by a stopwatch. Nothing it started is left."""
        watch = Stopwatch(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        left_there = os.WEXITED | os.WNOHANG | os.WNOWAIT
        wait_for(lambda: os.waitid(os.P_PID, self.process.pid, left_there), "the controller to end")
        took_s = watch.seconds
        assert self.process.wait() == 0, self.said()
        assert "Traceback" not in self.said(), self.said()
        assert self.processes() == {}
        return took_s

    def rows(self, *queries: str) -> list[list[dict[str, Any]]]:
        """Answers of the store, all of one moment, by plain SQL."""
        with sqlite3.connect(f"file:{self.state / 'wattshift.db'}?mode=ro", uri=True) as store:
            store.row_factory = sqlite3.Row
            store.execute("BEGIN")
            answers = [[dict(row) for row in store.execute(query)] for query in queries]
        store.close()
        return answers

    def clean_up(self) -> None:
        """End what a failed test left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        for pid in self.processes().values():
            psutil.Process(pid).kill()


@dataclass(frozen=True)
class World:
    """A folder with the small site and its prices, and the commands on it."""

    folder: Path
    racks: ClassVar[int] = 6
    nodes: ClassVar[int] = 2
    """Each behind an exporter of its own."""
    awake_kw: ClassVar[float] = AWAKE_KW
    asleep_kw: ClassVar[float] = ASLEEP_KW

    @property
    def site(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def prices(self) -> Path:
        return self.folder / "prices.csv"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @staticmethod
    def wait_for(look: Callable[[], T | None], what: str) -> T:
        return wait_for(look, what)

    @staticmethod
    def lines(prices: Sequence[float], start: datetime = MIDNIGHT) -> str:
        """A price file of 5 min intervals from `start` on, USD/MWh."""
        rows = [f"{start + timedelta(minutes=5 * number):%FT%TZ},{price}" for number, price in enumerate(prices)]
        return "\n".join(["interval_start_utc,real_time_usd_per_mwh", *rows, ""])

    def write(self, prices: str, feed: str = "{kind: file, files: [prices.csv]}") -> None:
        self.prices.write_text(prices)
        self.site.write_text(SITE.replace("PRICES", feed))

    def run(self, *arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
        """`wattshift ...` to its end."""
        return ended(*arguments, settings=settings)

    def demo(self, *arguments: str, settings: Mapping[str, str] | None = None) -> Ended:
        """`wattshift demo` on the small site, to its end."""
        return self.run(*self._demo(arguments), settings=settings)

    def refused_demo(self, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
        """What `wattshift demo` on the small site says, which it must refuse."""
        return refused(*self._demo(arguments), settings=settings)

    def _demo(self, arguments: Sequence[str]) -> tuple[str, ...]:
        return ("demo", "--site", str(self.site), "--state", str(self.state), *arguments)

    def live_demo(self, *arguments: str, settings: Mapping[str, str] | None = None) -> Live:
        """`wattshift demo` on the small site with real processes at 60x, just started."""
        command = ["demo", "--site", str(self.site), "--state", str(self.state), "--speed", "60", "--from", "start"]
        return Live([*WATTSHIFT, *command, "--headless", "--port", "0", *arguments], self.state, settings or {})

    def live_serve(self, settings: Mapping[str, str] | None = None) -> Live:
        """`wattshift serve` on the small site in real time, just started."""
        return Live([*WATTSHIFT, "serve", str(self.site), "--port", "0"], self.folder / ".wattshift", settings or {})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="class")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One for all tests of a class."""
    return World(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def launch() -> Iterator[Callable[[Live], Live]]:
    """Waits until a command has started; sees to it that nothing outlives the test."""
    launched: list[Live] = []

    def start(live: Live) -> Live:
        launched.append(live)
        return live.wait_started()

    yield start
    for live in launched:
        live.clean_up()


@pytest.fixture(scope="session")
def site_images(kind_cluster: KindCluster, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The image of this checkout and those that the chart takes from elsewhere, loaded into the cluster."""
    return load_images(kind_cluster, run_folder(tmp_path_factory))
