"""A price step that moves a site of 1,000 Deployments and 5,000 Jobs, from the price to the last acknowledged write.

First 50 Deployments and one, up to the pods' going and coming; then the site and, in turn with it and on the same
cluster, the same writes sent bare (bare.py) to a second namespace with the same objects. What is real: the API server,
etcd and the controllers of a kind cluster; the controller with its store, in a process of its own
(controller_process.py). What is simulated: nodes and pods (KWOK), and the meters (meters.py), which follow a move at
once. All of it shares one machine. `make bench-cluster`, options by ARGS="--fleets 200 --jobs 500 --json bench.json".
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.cluster import population
from benchmarks.cluster.meters import Meters
from benchmarks.cluster.pod_watch import PodWatch
from benchmarks.cluster.report import Move, Report, show
from benchmarks.cluster.site import CHEAP, DEAR, Size
from orchestrator.adapters.workloads.kubernetes.api import CONFIG_MAPS, ClusterApi

CONNECTIONS = (16, 32, 64, 100)
"""That bare is tried with, in turn; the best one counts."""
SMALL = (50, 1)
SMALL_ROUNDS = 10
REST_S = 60.0
LEAST_LOAD = 1.0


class Child:
    """A process of this benchmark that answers each line of JSON with one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.cost = psutil.Process(process.pid)

    @staticmethod
    async def start(module: str, **options: object) -> "Child":
        arguments = [f"--{name}={value}" for name, value in options.items()]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        return Child(process)

    async def ask(self, **command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the benchmark ended with {await self._process.wait()}")
        document: dict[str, Any] = json.loads(line)
        return document

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def run(asked: argparse.Namespace, folder: Path) -> Report:
    report = Report(asked.fleets, asked.jobs)
    size = Size(asked.fleets, asked.jobs)
    await population.make_nodes()
    for fleets in SMALL:  # first, on a cluster that has nothing else to do
        await until_calm()
        report.small[fleets] = await small(folder, Size(fleets, 0), asked.small_rounds)
        say(f"{fleets}: {report.small[fleets]}")
    say(f"{size.fleets} Deployments and {size.jobs} Jobs, {size.running} of them running, twice")
    ours = await population.populate(f"ours-{secrets.token_hex(3)}", size)
    twin = await population.populate(f"bare-{secrets.token_hex(3)}", size)
    meters = Meters(size)
    url = await meters.start()
    controller = await start_controller(folder, "first", size, ours, url)
    say(f"the first start, which takes the site over: {await controller.answer()}")
    await settle(controller, ours, size, cheap=True)
    await controller.stop()
    await copy_setpoints(ours, twin)
    bare = await Child.start("benchmarks.cluster.bare", namespace=twin.namespace, source=ours.namespace)
    for number in range(asked.rounds):
        # A new one with an empty record each round: a job is paused once an hour at most.
        controller = await start_controller(folder, str(number), size, ours, url)
        report.starts.append(await controller.answer())
        say(f"start: {report.starts[-1]}")
        await settle(controller, ours, size, cheap=True)
        for cheap in (False, True):
            connections = CONNECTIONS[number % len(CONNECTIONS)]
            dump = folder / f"writes-{number}-{cheap}.json"
            move = Move("up" if cheap else "down", load=os.getloadavg()[0], connections=connections)
            move.ours = await controller.ask(usd_per_mwh=CHEAP if cheap else DEAR, dump=str(dump))
            meters.cheap = cheap
            move.ours_rss_mb = controller.cost.memory_info().rss / 1e6
            await settle(controller, ours, size, cheap=cheap)
            move.bare_load = os.getloadavg()[0]
            move.bare = await bare.ask(writes=str(dump), connections=connections)
            await settle(controller, twin, size, cheap=cheap)
            report.moves.append(move)
            say(str(move))
        if number == asked.rounds - 1:
            await until_calm()
            report.rest = await at_rest(controller, asked.rest)
            say(f"rest: {report.rest}")
        await controller.stop()
    await bare.stop()
    await meters.stop()
    for api in (ours, twin):
        await population.remove_namespace(api)
    return report


async def start_controller(folder: Path, store: str, size: Size, api: ClusterApi, prometheus: str) -> Child:
    return await Child.start(
        "benchmarks.cluster.controller_process",
        fleets=size.fleets,
        jobs=size.jobs,
        namespace=api.namespace,
        prometheus=prometheus,
        store=folder / f"{api.namespace}-{store}.db",
    )


async def settle(controller: Child, api: ClusterApi, size: Size, *, cheap: bool) -> None:
    """Wait until the pods have followed and the controller writes nothing more."""
    await population.until_pods(api, size.fleets if cheap else 0, size.running if cheap else size.guaranteed)
    await controller.ask(quiet=True)


async def copy_setpoints(ours: ClusterApi, twin: ClusterApi) -> None:
    """Give the twin the one object that only a controller makes."""
    document = await ours.get(CONFIG_MAPS, "wattshift-setpoints")
    assert document is not None, "the controller has started"
    metadata = {"name": document["metadata"]["name"]}
    await twin.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": document["data"]}
    )


async def at_rest(controller: Child, seconds: float) -> dict[str, float]:
    before, began = controller.cost.cpu_times(), time.monotonic()
    await asyncio.sleep(seconds)
    after, took = controller.cost.cpu_times(), time.monotonic() - began
    cpu = after.user + after.system - before.user - before.system
    rss = controller.cost.memory_info().rss / 1e6
    return {"core_share": cpu / took, "rss_mb": rss, "seconds": took, "load": os.getloadavg()[0]}


async def small(folder: Path, size: Size, rounds: int) -> list[dict[str, float]]:
    """A few fleets, to and fro: seconds from the price to the last acknowledgement and to the last pod's change."""
    api = await population.populate(f"small-{size.fleets}-{secrets.token_hex(3)}", size)
    meters = Meters(size)
    controller = await start_controller(folder, "small", size, api, await meters.start())
    await controller.answer()
    await settle(controller, api, size, cheap=True)
    watch = PodWatch(api)
    await watch.start()
    found = []
    for number in range(2 * rounds):
        cheap = number % 2 == 1
        load = os.getloadavg()[0]
        watch.forget()
        moved = await controller.ask(usd_per_mwh=CHEAP if cheap else DEAR)
        meters.cheap = cheap
        seen_at = await (watch.until_made(size.fleets) if cheap else watch.until_ending(size.fleets))
        await settle(controller, api, size, cheap=cheap)
        found.append(
            {
                "up": float(cheap),
                "acknowledged_s": moved["acknowledged_s"],
                "pods_s": seen_at - moved["pushed_at"],
                "load": load,
            }
        )
    await watch.stop()
    await controller.stop()
    await meters.stop()
    await population.remove_namespace(api)
    return found


async def until_calm() -> None:
    """Give what went before (a cluster's start, garbage collection) a while; other load is not ours to end."""
    for _ in range(30):
        if os.getloadavg()[0] < LEAST_LOAD:
            return
        await asyncio.sleep(2.0)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=4, help="each down and up, one for each number of connections")
    parser.add_argument("--small-rounds", type=int, default=SMALL_ROUNDS)
    parser.add_argument("--rest", type=float, default=REST_S, help="seconds to look at the controller at rest")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wattshift-bench-") as folder:
        report = asyncio.run(run(asked, Path(folder)))
    show(report)
    if asked.json:
        asked.json.write_text(json.dumps(report.document(), indent=2) + "\n")


if __name__ == "__main__":
    main()
