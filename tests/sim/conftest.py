"""A small site by hand: one fleet, one pool, three tenants."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site import (
    Controls,
    Cooling,
    Feeder,
    Fleet,
    GpuPool,
    Grid,
    Mode,
    Site,
    StalePolicies,
    Tenant,
)
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job

START = datetime(2023, 9, 6, 20, 0, tzinfo=UTC)


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def fleet() -> Fleet:
    """300 machines a rack: 0.84 MW in eco, 1.05 MW in normal, 4.5 kW asleep."""
    return Fleet(
        name="s21",
        model="Antminer S21",
        feeder="a",
        racks=4,
        machines_per_rack=300,
        modes=(Mode("eco", 2800.0, 175.0), Mode("normal", 3500.0, 200.0)),
        default_mode="normal",
        sleep_w=15.0,
        warm_up=timedelta(seconds=480),
        min_on=timedelta(minutes=15),
        min_off=timedelta(minutes=15),
    )


@pytest.fixture
def pool() -> GpuPool:
    return GpuPool(
        name="h100",
        gpu_model="NVIDIA H100 80GB HBM3",
        feeder="a",
        nodes=4,
        gpus_per_node=8,
        gpu_power_w=700.0,
        gpu_min_power_w=200.0,
        gpu_idle_w=70.0,
        node_overhead_w=1800.0,
    )


@pytest.fixture
def site(fleet: Fleet, pool: GpuPool) -> Site:
    return Site(
        name="small",
        timezone="UTC",
        grid=Grid(limit_kw=6000.0, measurement_uncertainty=0.01),
        feeders=(Feeder("a", 6000.0),),
        cooling=Cooling(((0.0, 1.1), (40.0, 1.2))),
        fleets=(fleet,),
        pools=(pool,),
        tenants=(
            Tenant("acme", SlaClass.GUARANTEED, 3.0, 0.2, 0),
            Tenant("flux", SlaClass.FLEXIBLE, 2.0, 0.1, 2),
            Tenant("lab", SlaClass.BEST_EFFORT, 1.0, 0.0, 6),
        ),
        stale=StalePolicies(
            price=PricePolicy(max_age=timedelta(minutes=10), fallback_usd_per_mwh=100.0),
            telemetry_max_age=timedelta(minutes=2),
            temperature_max_age=timedelta(hours=2),
            temperature_assume_c=40.0,
            hashprice_max_age=timedelta(days=2),
            hashprice_assume_usd_per_ph_day=50.0,
        ),
        controls=Controls(
            tick=timedelta(seconds=30),
            verify_within=timedelta(minutes=2),
            lease=timedelta(minutes=5),
            outlook=timedelta(hours=1),
        ),
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
