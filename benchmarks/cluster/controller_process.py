"""The controller in a process of its own, driven by lines of JSON on its input; one line of JSON answers each.

What `wattshift serve` runs (Controller, LiveSite, ClusterSite, a SQLite store on disk, the Prometheus adapter) without
the HTTP server in front and without leader election. Every write it sends is noted, so that just the same can be sent
bare.
"""

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.cluster.population import CONTEXT
from benchmarks.cluster.site import CHEAP, HASHPRICE_USD_PER_PH_DAY, OUTDOOR_C, Size, make_site
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.store import SqlStore
from orchestrator.adapters.telemetry.prometheus import PrometheusMetrics
from orchestrator.adapters.workloads.kubernetes.api import ClusterApi, connect
from orchestrator.adapters.workloads.kubernetes.driver import ClusterSite
from orchestrator.clock import wall_clock
from orchestrator.domain.decision import Outcome, OutcomeState
from orchestrator.domain.market import Market, Price
from orchestrator.ports import Record
from orchestrator.runtime.feeds import Series, Sources
from orchestrator.runtime.live_site import LiveSite

QUIET_S = 3.0


class Acknowledged:
    """Outcomes as they come on record."""

    def __init__(self) -> None:
        self.last_at = 0.0
        self.count = 0
        self.refused: list[str] = []

    def __call__(self, record: Record) -> None:
        match record:
            case Outcome(state=OutcomeState.ACKNOWLEDGED, acknowledged_at=datetime() as at):
                self.last_at = max(self.last_at, at.timestamp())
                self.count += 1
            case Outcome(state=OutcomeState.REFUSED, detail=detail):
                self.refused.append(detail)


class Writes:
    """Every write that `api` sends from now on: counted, and noted with the time (unix s) it was answered while asked.

    What was noted goes to who asked for it: it is no part of what the controller keeps.
    """

    def __init__(self, api: ClusterApi) -> None:
        self.count = 0
        self._noted: list[dict[str, Any]] | None = None
        self._request = api.request
        api.request = self._send  # type: ignore[method-assign]

    def note(self) -> list[dict[str, Any]]:
        """The list that they are added to until `forget`."""
        self._noted = []
        return self._noted

    def forget(self) -> None:
        self._noted = None

    async def _send(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if method == "GET":
            return await self._request(method, path, **options)
        self.count += 1
        entry = {"method": method, "path": path, **options, "answered_at": math.inf}
        if self._noted is not None:
            self._noted.append(entry)
        answer = await self._request(method, path, **options)
        entry["answered_at"] = time.time()
        return answer


class Bench:
    """The commands."""

    def __init__(self, live: LiveSite, writes: Writes, acknowledged: Acknowledged) -> None:
        self._live = live
        self._writes = writes
        self._acknowledged = acknowledged
        start = datetime.now(UTC).replace(second=0, microsecond=0)
        self._interval = (start, start + timedelta(hours=8))

    async def push(self, usd_per_mwh: float, dump: str) -> Mapping[str, Any]:
        """Push a price; times in s from then to the last acknowledgement, and until all is on record."""
        noted = self._writes.note()
        seen = self._acknowledged
        seen.count, seen.last_at = 0, 0.0
        seen.refused.clear()
        cpu = process_cpu_s()
        pushed_at = time.time()
        await self._live.push_prices([Price(*self._interval, usd_per_mwh, Market.REAL_TIME)])
        done_at = time.time()
        self._writes.forget()
        writes = [entry for entry in noted if moves(entry) and entry["answered_at"] <= seen.last_at]
        if dump:
            write_down(writes, dump)
        return {
            "pushed_at": pushed_at,
            "acknowledged_s": max(seen.last_at - pushed_at, 0.0),
            "on_record_s": done_at - pushed_at,
            "actions": seen.count,
            "refused": seen.refused[:3],
            "writes": len(writes),
            "cpu_s": process_cpu_s() - cpu,
        }

    async def quiet(self) -> Mapping[str, Any]:
        """Wait until nothing has been written for a while: events are out, pods have their racks."""
        count, since = self._writes.count, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            await asyncio.sleep(0.2)
            if self._writes.count != count:
                count, since = self._writes.count, time.monotonic()
        return {"writes": count}


def write_down(writes: list[dict[str, Any]], file: str) -> None:
    Path(file).write_text(json.dumps(writes))


def moves(entry: Mapping[str, Any]) -> bool:
    """Events and the lease are not part of a move."""
    return not entry["path"].endswith("/events") and "/leases" not in entry["path"]


def process_cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


async def serve(asked: argparse.Namespace) -> None:
    """Start, say how that went, and answer commands until the input ends."""
    site = make_site(Size(asked.fleets, asked.jobs))
    acknowledged = Acknowledged()
    api = await connect(asked.namespace, CONTEXT)
    writes = Writes(api)
    driver = ClusterSite(api, site, "wattshift", lambda: True)
    began = time.perf_counter()
    await driver.start()
    started_s = time.perf_counter() - began
    store = SqlStore.open(f"sqlite:///{asked.store}")
    prices = PushedPrices()
    clock = wall_clock()
    async with httpx.AsyncClient(trust_env=False) as client:
        series = Series(ConstantSeries(HASHPRICE_USD_PER_PH_DAY, "USD/PH/s/day"), ConstantSeries(OUTDOOR_C, "degC"))
        live = LiveSite(
            site,
            clock,
            Sources(prices, series, PrometheusMetrics(asked.prometheus, client, clock)),
            driver,
            store,
            on_record=acknowledged,
        )
        bench = Bench(live, writes, acknowledged)
        await bench.push(CHEAP, "")
        live.start()
        say({"objects": driver.listed, "started_s": started_s, "problems": driver.problems()[:3]})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            if "usd_per_mwh" in command:
                say(await bench.push(command["usd_per_mwh"], command.get("dump", "")))
            else:
                say(await bench.quiet())
        await live.pause()
        live.close()
    await driver.stop()
    store.close()
    await api.close()


def say(document: Mapping[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--store", required=True)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
