"""Dispatch at scale: 10,000 jobs and 1,000 fleets. Prints median and p99 of each stage and peak memory.

Not a test: run it on a quiet machine. `python benchmarks/bench_dispatch.py [--jobs N] [--fleets N] [--rounds N]`
"""

import argparse
import random
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from orchestrator.domain.limits import limits_now
from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy, current_price
from orchestrator.domain.observation import Quality, Reading
from orchestrator.domain.site import (
    SLEEP,
    Controls,
    Cooling,
    Feeder,
    Fleet,
    GpuPool,
    Grid,
    Mode,
    Site,
    SlaClass,
    StalePolicies,
    Tenant,
)
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus, Power, Snapshot
from orchestrator.domain.work import FleetView, Job, JobPhase, JobView
from orchestrator.planning.dispatch import dispatch
from orchestrator.planning.moves import plan_moves

NOW = datetime(2023, 9, 6, 18, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
PUE = 1.08


def make_site(fleets: int, pools: int, jobs: int, rng: random.Random) -> Site:
    """A site whose grid connection carries about 95 % of everything, so that the caps bind."""
    gpus = jobs * 16 // pools
    made_fleets = tuple(
        Fleet(
            name=f"fleet-{number}",
            model="Antminer",
            feeder=f"feeder-{number % 4}",
            racks=4,
            machines_per_rack=250,
            modes=(Mode("eco", 2800.0, 174.0), Mode("normal", 3500.0, rng.uniform(110.0, 270.0) + 70.0)),
            default_mode="normal",
            sleep_w=15.0,
            warm_up=timedelta(minutes=8),
            min_on=timedelta(minutes=15),
            min_off=timedelta(minutes=15),
        )
        for number in range(fleets)
    )
    made_pools = tuple(
        GpuPool(
            name=f"pool-{number}",
            gpu_model="H100",
            feeder=f"feeder-{number % 4}",
            nodes=gpus // 8 + 1,
            gpus_per_node=8,
            gpu_power_w=700.0,
            gpu_min_power_w=200.0,
            gpu_idle_w=70.0,
            node_overhead_w=3000.0,
        )
        for number in range(pools)
    )
    nameplate_kw = sum(fleet.nameplate_kw for fleet in made_fleets) + sum(pool.nameplate_kw for pool in made_pools)
    limit_kw = nameplate_kw * PUE * 0.95
    return Site(
        name="bench",
        timezone="UTC",
        grid=Grid(limit_kw, 0.01),
        feeders=tuple(Feeder(f"feeder-{number}", limit_kw / 3.5) for number in range(4)),
        cooling=Cooling(((0.0, PUE),)),
        fleets=made_fleets,
        pools=made_pools,
        tenants=(
            Tenant("g", SlaClass.GUARANTEED, 2.9, 1.0, 0),
            Tenant("f", SlaClass.FLEXIBLE, 2.1, 0.5, 1000),
            Tenant("b", SlaClass.BEST_EFFORT, 1.1, 0.0, 1000),
        ),
        stale=StalePolicies(
            PricePolicy(timedelta(minutes=15), 100.0),
            timedelta(minutes=1),
            timedelta(hours=2),
            35.0,
            timedelta(days=2),
            50.0,
        ),
        controls=Controls(timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1)),
    )


def make_snapshot(site: Site, jobs: int, rng: random.Random, price_usd_per_mwh: float) -> Snapshot:
    fleets = {}
    for fleet in site.fleets:
        mode = rng.choice([SLEEP, "eco", "normal"])
        racks = dict.fromkeys(fleet.rack_names(), mode)
        kw = fleet.racks * fleet.rack_kw(mode)
        fleets[fleet.name] = FleetStatus(
            fleet=fleet,
            view=FleetView(
                fleet=fleet.name,
                racks=MappingProxyType({mode: fleet.racks}),
                rack_modes=MappingProxyType(racks),
                last_up_at=LONG_AGO,
                last_down_at=LONG_AGO,
                last_wake_at=LONG_AGO,
                last_sleep_at=LONG_AGO,
            ),
            counted_kw=kw,
            committed_kw=kw,
            draw_share=0.985,
            hashrate_phs=1.0,
            silent=frozenset(),
            stuck=frozenset(),
        )
    statuses = {}
    for number in range(jobs):
        tenant = rng.choice(site.tenants)
        gpus = rng.choice([4, 8, 16, 32])
        job = Job(
            name=f"job-{number}",
            tenant=tenant.name,
            pool=f"pool-{number % len(site.pools)}",
            gpus=gpus,
            work_gpu_seconds=gpus * rng.uniform(3600, 36000),
            submitted_at=LONG_AGO,
            deadline=NOW + timedelta(hours=rng.uniform(4, 40)) if tenant.name != "b" else None,
            checkpoint_every=timedelta(minutes=30),
            restart=timedelta(minutes=5),
        )
        phase = rng.choice([JobPhase.RUNNING, JobPhase.RUNNING, JobPhase.PAUSED, JobPhase.WAITING])
        statuses[job.name] = JobStatus(job, JobView(job, phase, LONG_AGO, 1, timedelta(0)), tenant, 0.0, 0.0, 0)
    pools = {
        pool.name: PoolStatus(pool, pool.gpu_power_w, pool.idle_kw, pool.idle_kw, frozenset()) for pool in site.pools
    }
    start = NOW.replace(minute=0)
    book = PriceBook.of([Price(start, start + timedelta(minutes=15), price_usd_per_mwh, Market.REAL_TIME)])
    nothing = Power(0.0, 0.0, 0.0, 0.0, {feeder.name: 0.0 for feeder in site.feeders})
    return Snapshot(
        at=NOW,
        price=current_price(book, NOW, site.stale.price),
        book=book,
        hashprice=Reading(61.8, "USD/PH/s/day", NOW, Quality.FRESH),
        outdoor=Reading(30.0, "degC", NOW, Quality.FRESH),
        pue=PUE,
        power=nothing,
        measured=nothing,
        limits=limits_now(site, (), NOW),
        fleets=fleets,
        pools=pools,
        jobs=statuses,
        curtailments=(),
        breaches=(),
        stale=(),
        interruptions_last_hour={},
    )


def timed(name: str, rounds: int, call: Callable[[int], object]) -> None:
    """Print median and p99 of `rounds` calls."""
    seconds = []
    for number in range(rounds):
        began = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - began)
    seconds.sort()
    p99 = seconds[min(int(0.99 * rounds), rounds - 1)]
    print(f"{name:<12} median {statistics.median(seconds) * 1e3:8.2f} ms   p99 {p99 * 1e3:8.2f} ms   ({rounds} rounds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--fleets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    rng = random.Random(1)
    site = make_site(asked.fleets, 4, asked.jobs, rng)
    prices = (-20.0, 40.0, 90.0, 150.0, 400.0, 5000.0)
    snapshots = [make_snapshot(site, asked.jobs, rng, price) for price in prices]
    print(f"{asked.jobs} jobs, {asked.fleets} fleets, at {', '.join(f'{price:g}' for price in prices)} USD/MWh in turn")
    timed("dispatch", asked.rounds, lambda number: dispatch(site, snapshots[number % len(snapshots)]))
    wanted = [dispatch(site, snapshot) for snapshot in snapshots]
    timed("moves", asked.rounds, lambda number: plan_moves(site, snapshots[number % 6], wanted[number % 6]))
    tracemalloc.start()
    dispatch(site, replace(snapshots[0]))
    print(f"dispatch allocates at most {tracemalloc.get_traced_memory()[1] / 1e6:.1f} MB")
    tracemalloc.stop()
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
