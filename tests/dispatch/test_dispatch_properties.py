"""What holds of every site, price, order and fault: caps, counts, promises, and the same answer twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import plan_moves
from orchestrator.domain.decision import Direction, RunJob
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import SLEEP, Fleet, Mode
from orchestrator.domain.site.site import Feeder, Grid, Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase

ANY_SPEED = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

if TYPE_CHECKING:
    from tests.scenes import Scene


@st.composite
def fleets(draw: st.DrawFn, name: str, feeders: list[str]) -> Fleet:
    power_w = ths = 0.0
    modes = []
    for mode in ("eco", "normal", "turbo")[: draw(st.integers(1, 3))]:
        power_w += draw(st.floats(300, 3000))
        ths += draw(st.floats(0, 200))
        modes.append(Mode(mode, power_w, ths))
    return Fleet(
        name=name,
        model=name,
        feeder=draw(st.sampled_from(feeders)),
        racks=draw(st.integers(1, 6)),
        machines_per_rack=draw(st.integers(1, 300)),
        modes=tuple(modes),
        default_mode=modes[-1].name,
        sleep_w=15.0,
        warm_up=timedelta(minutes=8),
        min_on=timedelta(minutes=15),
        min_off=timedelta(minutes=15),
    )


def ppas() -> st.SearchStrategy[tuple[Ppa, ...]]:
    """A block of any share of the site; half of the sites have none."""
    one = st.builds(Ppa, st.floats(10, 10_000), st.floats(0, 200), st.none() | st.floats(0, 3000))
    return st.just(()) | st.tuples(one)


@st.composite
def sites(draw: st.DrawFn, base: Site) -> Site:
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    pools = tuple(
        GpuPool(
            name=name,
            gpu_model=name,
            feeder=draw(st.sampled_from(names)),
            nodes=draw(st.integers(1, 20)),
            gpus_per_node=8,
            gpu_power_w=700.0,
            gpu_min_power_w=200.0,
            gpu_idle_w=70.0,
            node_overhead_w=1800.0,
        )
        for name in ("h100", "l40")[: draw(st.integers(1, 2))]
    )
    return replace(
        base,
        grid=Grid(draw(st.floats(50, 10_000)), draw(st.sampled_from([0.0, 0.01, 0.03])), draw(ppas())),
        feeders=tuple(Feeder(name, draw(st.floats(50, 5_000))) for name in names),
        fleets=tuple(draw(fleets(f"fleet-{number}", names)) for number in range(draw(st.integers(1, 6)))),
        pools=pools,
    )


@st.composite
def scenes(draw: st.DrawFn, scene_of: Callable[[Site], Scene], base: Site, now: datetime) -> Scene:
    scene = scene_of(draw(sites(base)))
    scene.price = draw(st.floats(-500, 5000))
    scene.hashprice = draw(st.floats(20, 150))
    minutes = st.integers(0, 40).map(lambda count: now - timedelta(minutes=count))
    for fleet in scene.site.fleets:
        names = [SLEEP, *(mode.name for mode in fleet.modes)]
        modes = draw(st.lists(st.sampled_from(names), min_size=fleet.racks, max_size=fleet.racks))
        scene.racks[fleet.name] = {mode: modes.count(mode) for mode in modes}
        scene.woken[fleet.name] = draw(minutes)
        scene.put_to_sleep[fleet.name] = draw(minutes)
        scene.moved[fleet.name] = max(scene.woken[fleet.name], scene.put_to_sleep[fleet.name])
    strongest = {rack: fleet.rack_kw(fleet.modes[-1].name) for fleet, rack in scene.site.racks()}
    for rack in draw(st.lists(st.sampled_from(sorted(strongest)), max_size=3, unique=True)):
        scene.kw[rack] = draw(st.none() | st.floats(0.0, strongest[rack]))
    free = {pool.name: pool.gpus for pool in scene.site.pools}
    for number in range(draw(st.integers(0, 12))):
        pool = draw(st.sampled_from(scene.site.pools))
        phase = draw(st.sampled_from([JobPhase.WAITING, JobPhase.RUNNING, JobPhase.PAUSED, JobPhase.STOPPING]))
        gpus = draw(st.integers(1, pool.gpus))
        if phase.holds_gpus:
            gpus = min(gpus, free[pool.name])
            free[pool.name] -= gpus
        if gpus:
            tenant = draw(st.sampled_from(["bank", "flux", "lab"]))
            deadline_in_h = draw(st.none() | st.floats(-1, 20)) if tenant == "flux" else None
            changed_at = now - draw(st.sampled_from([timedelta(0), timedelta(days=1)]))
            scene.job(
                f"job-{number}",
                tenant,
                gpus,
                phase,
                pool=pool.name,
                run_h=8.0,
                deadline_in_h=deadline_in_h,
                changed_at=changed_at,
            )
    if draw(st.booleans()):
        scene.order(draw(st.floats(0, 8000)))
    if draw(st.booleans()):
        feeder = draw(st.sampled_from(scene.site.feeders))
        scene.order(draw(st.floats(0, feeder.limit_kw)), at=Target.feeder(feeder.name))
    return scene


@pytest.fixture
def any_scene(scene_of: Callable[[Site], Scene], site: Site, now: datetime) -> st.SearchStrategy[Scene]:
    return scenes(scene_of, site, now)


def drawn_kw(snapshot: Snapshot, desired: Desired, *, feeder: str | None = None, optional: bool = True) -> float:
    """Grid power of the desired state: awake racks at the share of their nameplate that is measured of their fleet,
    racks that no choice moves at what they may draw.

    Without what is `optional` it is what cannot be switched off: sleeping racks, idle nodes, guaranteed jobs that run.
    """
    kw = 0.0
    for name, status in snapshot.fleets.items():
        fleet, unmoved = status.fleet, status.unmoved
        if feeder in (None, fleet.feeder):
            kw += status.unmoved_kw
            kw += (fleet.racks - len(unmoved)) * fleet.rack_kw(SLEEP)
            if optional:
                awake_kw = sum((fleet.rack_kw(m) - fleet.rack_kw(SLEEP)) * n for m, n in desired.racks[name].items())
                followed_kw = [fleet.rack_kw(status.view.rack_modes[rack]) - fleet.rack_kw(SLEEP) for rack in unmoved]
                kw += max(awake_kw - sum(followed_kw), 0.0) * status.draw_share  # measured beats modelled
    for name, pool_status in snapshot.pools.items():
        if feeder in (None, pool_status.pool.feeder):
            kw += pool_status.pool.idle_kw
            for job in snapshot.jobs.values():
                kept = job.tenant.sla is SlaClass.GUARANTEED and job.view.phase is JobPhase.RUNNING
                if job.job.pool == name and job.job.name in desired.jobs and (optional or kept):
                    kw += pool_status.pool.rise_kw(job.view.gpus, desired.gpu_limit_w[name])
    return kw * snapshot.pue


@ANY_SPEED
@given(st.data())
def test_no_cap_is_exceeded_but_by_what_cannot_be_switched_off(
    any_scene: st.SearchStrategy[Scene], data: st.DataObject
) -> None:
    scene = data.draw(any_scene)
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot)
    limits = snapshot.limits
    for at, cap in limits.tightest.items():
        feeder, usable_kw = at.name or None, limits.usable_kw(cap)
        must_kw = drawn_kw(snapshot, desired, feeder=feeder, optional=False)
        assert drawn_kw(snapshot, desired, feeder=feeder) <= max(usable_kw, must_kw) + 1e-3, feeder
        assert must_kw <= usable_kw + desired.shortfalls_kw.get(cap, 0.0) + 1e-3, "what is above a cap is reported"


@ANY_SPEED
@given(st.data())
def test_counts_add_up_and_jobs_fit_their_pools(any_scene: st.SearchStrategy[Scene], data: st.DataObject) -> None:
    scene = data.draw(any_scene)
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot)
    for fleet in scene.site.fleets:
        assert sum(desired.racks[fleet.name].values()) == fleet.racks
        assert set(desired.racks[fleet.name]) <= {SLEEP, *(mode.name for mode in fleet.modes)}
        assert all(count > 0 for count in desired.racks[fleet.name].values())
    for pool in scene.site.pools:
        stuck_since = snapshot.at - scene.site.controls.verify_within
        held = sum(
            job.job.gpus
            for name, job in snapshot.jobs.items()
            if job.job.pool == pool.name
            and (name in desired.jobs or (job.view.phase is JobPhase.STOPPING and job.view.changed_at < stuck_since))
        )
        assert held <= pool.gpus
        assert pool.gpu_min_power_w <= desired.gpu_limit_w[pool.name] <= pool.gpu_power_w
    targets = {
        *(Target.fleet(fleet.name) for fleet in scene.site.fleets),
        *(Target.job(name) for name in snapshot.jobs),
        *(Target.pool(pool.name) for pool in scene.site.pools),
    }
    assert set(scene.why(desired)) == targets
    assert all(kw > 0 for kw in desired.shortfalls_kw.values())


@ANY_SPEED
@given(st.data())
def test_the_same_snapshot_gives_the_same_answer(any_scene: st.SearchStrategy[Scene], data: st.DataObject) -> None:
    scene = data.draw(any_scene)
    one, other = scene.snapshot(), scene.snapshot()
    assert dispatch(scene.site, one) == dispatch(scene.site, other)
    assert plan_moves(scene.site, one, dispatch(scene.site, one)) == plan_moves(
        scene.site, other, dispatch(scene.site, other)
    )


@ANY_SPEED
@given(st.data())
def test_no_order_interrupts_a_guaranteed_job(any_scene: st.SearchStrategy[Scene], data: st.DataObject) -> None:
    scene = data.draw(any_scene)
    scene.site = replace(
        scene.site,
        grid=replace(scene.site.grid, limit_kw=20_000.0),
        feeders=tuple(replace(feeder, limit_kw=20_000.0) for feeder in scene.site.feeders),
    )
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot)
    running = {
        name
        for name, job in snapshot.jobs.items()
        if job.tenant.sla is SlaClass.GUARANTEED and job.view.phase is JobPhase.RUNNING
    }
    assert running <= desired.jobs.keys()
    assert not desired.shortfalls_kw or scene.orders or scene.kw


@ANY_SPEED
@given(st.data())
def test_moves_raise_power_only_into_room_and_lower_it_first(
    any_scene: st.SearchStrategy[Scene], data: st.DataObject
) -> None:
    scene = data.draw(any_scene)
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot)
    moves = plan_moves(scene.site, snapshot, desired)
    directions = [move.direction for move in moves.now]
    assert directions == sorted(directions, key=lambda direction: direction is Direction.UP)
    targets = [move.move.target for move in moves.now]
    assert len(targets) == len(set(targets))
    assert all(move.change_kw <= 1e-9 for move in moves.now if move.direction is Direction.DOWN)

    limits = snapshot.limits
    room_kw = {at.name or None: limits.usable_kw(cap) for at, cap in limits.tightest.items()}
    rise_kw = dict.fromkeys(room_kw, 0.0)
    feeder_of = {Target.fleet(fleet.name): fleet.feeder for fleet in scene.site.fleets}
    feeder_of |= {Target.pool(pool.name): pool.feeder for pool in scene.site.pools}
    feeder_of |= {Target.job(name): snapshot.pools[job.job.pool].pool.feeder for name, job in snapshot.jobs.items()}
    for status in snapshot.fleets.values():
        for key in (None, status.fleet.feeder):
            room_kw[key] -= status.committed_kw * snapshot.pue
    for pool in snapshot.pools.values():
        for key in (None, pool.pool.feeder):
            room_kw[key] -= pool.committed_kw * snapshot.pue
    gpus = {pool.name: pool.gpus for pool in scene.site.pools}
    for job in snapshot.jobs.values():
        if job.view.phase.holds_gpus:
            gpus[job.job.pool] -= job.job.gpus
    for move in moves.now:
        if move.direction is Direction.UP:
            for key in (None, feeder_of[move.move.target]):
                rise_kw[key] += move.change_kw
            if isinstance(move.move, RunJob):
                job = snapshot.jobs[move.move.job]
                gpus[job.job.pool] -= job.job.gpus
    assert all(rise <= max(room_kw[key], 0.0) + 1e-6 for key, rise in rise_kw.items())
    assert all(left >= 0 for left in gpus.values())
