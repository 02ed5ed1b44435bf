"""Dispatch at scale: 10,000 jobs and 1,000 fleets. Prints median and p99 of each stage and peak memory.

The fast path is what lies between a new price and the targets that change, the table of tranches being laid out; a tick
is all of `planning/` in a round of the controller. At rest nothing changes but the readings: of meters, and of the
progress of jobs that run.

Not a test: run it on a quiet machine. `python benchmarks/bench_dispatch.py [--jobs N] [--fleets N] [--rounds N]`
"""

import argparse
import gc
import itertools
import random
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import numpy as np

from orchestrator.accounting.charges.block import Ppa
from orchestrator.dispatch.allocate import changed_fleets, changed_jobs, choose
from orchestrator.dispatch.decide import SiteColumns, decide
from orchestrator.dispatch.dispatch import dispatch, moment_of
from orchestrator.dispatch.inputs import no_plan
from orchestrator.dispatch.kernels.tranches import Tranches
from orchestrator.dispatch.live_columns import LiveColumns, places
from orchestrator.dispatch.merit_order import lay_out
from orchestrator.dispatch.moves import plan_moves
from orchestrator.dispatch.power_price import power_prices
from orchestrator.dispatch.room_left import block_left, room_left
from orchestrator.domain.charge import Charge
from orchestrator.domain.decision import Trigger
from orchestrator.domain.limits import limits_now
from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy, current_price
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import SLEEP, Fleet, Mode
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site, Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus, Power, Snapshot
from orchestrator.domain.target import Kind
from orchestrator.domain.work import FleetView, Job, JobPhase, JobView, PoolView, Workloads
from orchestrator.explain.decision_record import write_up
from orchestrator.explain.reasons import Reasons
from orchestrator.observe.assess import Inputs, assess
from orchestrator.observe.proof.verify import breaches_now

NOW = datetime(2023, 9, 6, 18, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
PUE = 1.08


def make_site(
    fleets: int, pools: int, jobs: int, rng: random.Random, *, racks: int = 4, gpus_per_job: int = 16
) -> Site:
    """A site whose grid connection carries about 95 % of everything, so that the caps bind."""
    gpus = jobs * gpus_per_job // pools
    made_fleets = tuple(
        Fleet(
            name=f"fleet-{number}",
            model="Antminer",
            feeder=f"feeder-{number % 4}",
            racks=racks,
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
                racks=RackMix({mode: fleet.racks}),
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
    book = book_at(price_usd_per_mwh)
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


def book_at(price_usd_per_mwh: float) -> PriceBook:
    start = NOW.replace(minute=0)
    return PriceBook.of([Price(start, start + timedelta(minutes=15), price_usd_per_mwh, Market.REAL_TIME)])


def priced(site: Site, snapshot: Snapshot, price_usd_per_mwh: float) -> Snapshot:
    """The same at another price."""
    book = book_at(price_usd_per_mwh)
    return replace(snapshot, book=book, price=current_price(book, NOW, site.stale.price))


def at_rest(site: Site, jobs: int, rng: random.Random) -> Snapshot:
    """A site that runs as dispatch wants it to."""
    snapshot = make_snapshot(site, jobs, rng, 60.0)
    for _ in range(10):
        desired = dispatch(site, snapshot)
        if not desired.changes:
            break
        fleets, statuses = dict(snapshot.fleets), dict(snapshot.jobs)
        for target in desired.changes:
            name = target.name
            if target.kind is Kind.FLEET:
                fleets[name] = _moved(fleets[name], desired.racks[name])
            else:
                phase = JobPhase.RUNNING if name in desired.jobs else JobPhase.PAUSED
                statuses[name] = replace(statuses[name], view=replace(statuses[name].view, phase=phase))
        snapshot = replace(snapshot, fleets=fleets, jobs=statuses)
    return snapshot


def _moved(status: FleetStatus, racks: RackMix) -> FleetStatus:
    fleet = status.fleet
    modes = choose_racks(fleet, status.view.rack_modes, racks)
    view = replace(status.view, racks=racks, rack_modes=MappingProxyType(modes))
    kw = fleet.setpoint_kw(racks) * status.draw_share
    return replace(status, view=view, counted_kw=kw, committed_kw=kw)


def readings(site: Site, snapshot: Snapshot, now: datetime) -> Inputs:
    """What a round reads of a site that stays as it is: every meter anew, and the progress of what runs."""
    samples = []
    for status in snapshot.fleets.values():
        fleet = status.fleet
        for rack, mode in status.view.rack_modes.items():
            watts = fleet.rack_kw(mode) * 985.0
            samples.append(Sample(Metric.ASIC_POWER, rack, Reading(watts, "W", now, Quality.FRESH)))
            hashrate = 0.0 if mode == SLEEP else fleet.mode(mode).hashrate_ths * fleet.machines_per_rack * 1e12
            samples.append(Sample(Metric.ASIC_HASHRATE, rack, Reading(hashrate, "H/s", now, Quality.FRESH)))
    views = {name: job.view for name, job in snapshot.jobs.items()}
    for pool in site.pools:
        busy = sum(view.gpus for view in views.values() if view.job.pool == pool.name and view.phase.holds_gpus)
        node_w = 1000.0 * (pool.idle_kw + pool.rise_kw(busy, pool.gpu_power_w)) / pool.nodes
        samples.extend(
            Sample(Metric.NODE_POWER, node, Reading(node_w, "W", now, Quality.FRESH)) for node in pool.node_names()
        )
    for name, view in views.items():
        if view.phase is JobPhase.RUNNING:
            done = Reading(view.gpus * (now - LONG_AGO).total_seconds(), "GPU s", now, Quality.FRESH)
            samples.append(Sample(Metric.JOB_PROGRESS, name, done))
    return Inputs(
        book=snapshot.book,
        hashprice=snapshot.hashprice,
        outdoor=snapshot.outdoor,
        telemetry=Telemetry(now, samples),
        workloads=Workloads(
            at=now,
            synced=True,
            fleets={name: status.view for name, status in snapshot.fleets.items()},
            jobs=views,
            pools={pool.name: PoolView(pool.name, pool.gpu_power_w) for pool in site.pools},
        ),
        curtailments=(),
        breaches=(),
        job_records={},
        before=None,
    )


def ticks(fleets: int, jobs: int, rounds: int) -> None:
    """Each stage of a round at rest, and all of them together in CPU time.

    A fleet has one rack, and there are GPUs for about one job in five: as in `benchmarks/cluster`.
    """
    site = make_site(fleets, 1, jobs, random.Random(1), racks=1, gpus_per_job=3)
    resting = at_rest(site, jobs, random.Random(1))
    live, seen = LiveColumns(), resting
    stages: dict[str, list[float]] = {stage: [] for stage in ("assess", "dispatch", "moves", "breaches", "tick")}
    for number in range(rounds + 2):
        now = NOW + number * site.controls.tick
        inputs = replace(readings(site, resting, now), before=seen)
        gc.collect()
        times = [time.process_time()]
        seen = assess(site, inputs, now)
        times.append(time.process_time())
        desired = dispatch(site, seen, None, live)
        times.append(time.process_time())
        moves = plan_moves(site, seen, desired)
        decision = write_up(seen, desired, Reasons(seen, desired), moves, Trigger.TICK, now)
        times.append(time.process_time())
        breaches_now(site, seen, seen.limits, {}, desired.shortfalls_kw, NOW)
        times.append(time.process_time())
        assert decision is None, "nothing moves at rest"
        if number >= 2:
            for stage, (start, end) in zip(stages, itertools.pairwise(times), strict=False):
                stages[stage].append(end - start)
            stages["tick"].append(times[-1] - times[0])
    running = sum(job.view.phase is JobPhase.RUNNING for job in resting.jobs.values())
    racks, nodes = sum(fleet.racks for fleet in site.fleets), sum(pool.nodes for pool in site.pools)
    print(f"At rest: {running} of {jobs} jobs run; {racks} racks and {nodes} nodes have meters. CPU time:")
    for stage, seconds in stages.items():
        show(stage, seconds)


def timed(name: str, rounds: int, call: Callable[[int], object]) -> None:
    """Call it `rounds` times and show how long it took."""
    seconds = []
    for number in range(rounds):
        began = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - began)
    show(name, seconds)


def show(name: str, seconds: Sequence[float]) -> None:
    """Print median and p99."""
    p99 = sorted(seconds)[min(int(0.99 * len(seconds)), len(seconds) - 1)]
    print(
        f"{name:<12} median {statistics.median(seconds) * 1e3:8.3f} ms   p99 {p99 * 1e3:8.3f} ms"
        f"   ({len(seconds)} rounds)"
    )


def fast_path(site: Site, snapshot: Snapshot, prices: Sequence[float], rounds: int) -> None:
    """From a new price to the targets that change."""
    fleets, jobs, pools = LiveColumns().of(site, snapshot)
    room, _, _ = room_left(site, snapshot, fleets, jobs, pools)
    moment = moment_of(site, snapshot)
    switches = no_plan(len(fleets.names), len(jobs.names))

    def table(_: int) -> Tranches:
        return lay_out(fleets.columns, jobs.columns, pools, moment, switches, places(fleets, jobs))

    tranches = table(0)

    ppa = Ppa(site.grid.limit_kw * 0.4, 38.0, 30.0)
    fixed_kw = snapshot.limits.usable_kw(snapshot.limits.grid) - room.grid_kw

    def switch(number: int, charges: Sequence[Charge] = ()) -> object:
        price = prices[number % len(prices)]
        now = power_prices(charges, snapshot.price.interval_start, price)
        bought = block_left(now.block_kw, fixed_kw, now.left.usd_per_mwh)
        chosen = choose(tranches, now.beyond.usd_per_mwh, room, snapshot.pue, fleets.columns, jobs.columns, bought)
        return (
            np.flatnonzero(changed_fleets(chosen, fleets.columns)),
            np.flatnonzero(changed_jobs(chosen, jobs.columns)),
        )

    switch(0)
    timed("fast path", rounds * 20, switch)
    timed("with a block", rounds * 20, lambda number: switch(number, (ppa,)))
    timed("table", rounds, table)


def small_site(rounds: int) -> None:
    """A step of a backtest: a table and a walk at once, on columns, for 4 fleets and 500 jobs."""
    site = make_site(4, 1, 500, random.Random(2))
    snapshot = make_snapshot(site, 500, random.Random(2), 60.0)
    fleets, jobs, pools = LiveColumns().of(site, snapshot)
    room, _, _ = room_left(site, snapshot, fleets, jobs, pools)
    columns, moment = SiteColumns(fleets.columns, jobs.columns, pools), moment_of(site, snapshot)
    timed(
        "500 jobs",
        rounds * 20,
        lambda number: decide(columns, moment, room, 60.0 + number % 7),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--fleets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    rng = random.Random(1)
    site = make_site(asked.fleets, 4, asked.jobs, rng)
    prices = (-20.0, 40.0, 90.0, 150.0, 400.0, 5000.0)
    snapshot = make_snapshot(site, asked.jobs, rng, prices[0])
    snapshots = [priced(site, snapshot, price) for price in prices]
    print(f"{asked.jobs} jobs, {asked.fleets} fleets, at {', '.join(f'{price:g}' for price in prices)} USD/MWh in turn")
    fast_path(site, snapshots[0], prices, asked.rounds)
    live = LiveColumns()
    timed("dispatch", asked.rounds, lambda number: dispatch(site, snapshots[number % len(snapshots)], None, live))
    wanted = [dispatch(site, snapshot) for snapshot in snapshots]
    timed("moves", asked.rounds, lambda number: plan_moves(site, snapshots[number % 6], wanted[number % 6]))
    small_site(asked.rounds)
    ticks(asked.fleets, asked.jobs, asked.rounds)
    tracemalloc.start()
    dispatch(site, replace(snapshots[0]))
    print(f"dispatch allocates at most {tracemalloc.get_traced_memory()[1] / 1e6:.1f} MB")
    tracemalloc.stop()
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
