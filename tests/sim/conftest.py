"""A small site by hand: one fleet, one pool, three tenants."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Site, Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job
from tests.sites import h100_pool, s21_fleet, small_site

START = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def fleet() -> Fleet:
    """300 machines a rack: 0.84 MW in eco, 1.05 MW in normal, 4.5 kW asleep."""
    return replace(s21_fleet("a"), machines_per_rack=300)


@pytest.fixture
def pool() -> GpuPool:
    return h100_pool("a")


@pytest.fixture
def site(fleet: Fleet, pool: GpuPool) -> Site:
    small = small_site()
    return replace(
        small,
        grid=replace(small.grid, limit_kw=6000.0),
        feeders=(Feeder("a", 6000.0),),
        cooling=Cooling(((0.0, 1.1), (40.0, 1.2))),
        fleets=(fleet,),
        pools=(pool,),
        tenants=(
            Tenant("acme", SlaClass.GUARANTEED, 3.0, 0.2, 0),
            Tenant("flux", SlaClass.FLEXIBLE, 2.0, 0.1, 2),
            Tenant("lab", SlaClass.BEST_EFFORT, 1.0, 0.0, 6),
        ),
        stale=replace(
            small.stale,
            price=PricePolicy(max_age=timedelta(minutes=10), fallback_usd_per_mwh=100.0),
            telemetry_max_age=timedelta(minutes=2),
            temperature_assume_c=40.0,
        ),
        controls=replace(small.controls, tick=timedelta(seconds=30), verify_within=timedelta(minutes=2)),
    )


@pytest.fixture
def make_job(start: datetime) -> Callable[..., Job]:
    def make(name: str = "acme-0001", gpus: int = 12, run_s: float = 7200.0) -> Job:
        return Job(
            name=name,
            tenant="acme",
            pool="h100",
            gpus=gpus,
            work_gpu_seconds=gpus * run_s,
            submitted_at=start,
            deadline=start + timedelta(hours=6),
            checkpoint_every=timedelta(minutes=30),
            restart=timedelta(minutes=4),
        )

    return make
