"""What contract tests share: a small site, jobs for it, and ways to wait for something that takes time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
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

WAIT_S = 60.0
"""On the wall, for what takes a second: generous, since the machine may be busy."""

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def small_site() -> Site:
    """Three racks of 10 machines and two nodes of 4 GPUs."""
    return Site(
        name="small",
        timezone="UTC",
        grid=Grid(limit_kw=200.0, measurement_uncertainty=0.01),
        feeders=(Feeder("A", 200.0),),
        cooling=Cooling(((20.0, 1.1),)),
        fleets=(
            Fleet(
                name="s21",
                model="Antminer S21",
                feeder="A",
                racks=3,
                machines_per_rack=10,
                modes=(Mode("eco", 2800.0, 175.0), Mode("normal", 3500.0, 200.0)),
                default_mode="normal",
                sleep_w=15.0,
                warm_up=timedelta(minutes=8),
                min_on=timedelta(minutes=15),
                min_off=timedelta(minutes=15),
            ),
        ),
        pools=(
            GpuPool(
                name="h100",
                gpu_model="NVIDIA H100 80GB HBM3",
                feeder="A",
                nodes=2,
                gpus_per_node=4,
                gpu_power_w=700.0,
                gpu_min_power_w=200.0,
                gpu_idle_w=70.0,
                node_overhead_w=1800.0,
            ),
        ),
        tenants=(Tenant("lab", SlaClass.FLEXIBLE, 2.5, 0.2, 4),),
        stale=StalePolicies(
            price=PricePolicy(timedelta(minutes=20), 50.0),
            telemetry_max_age=timedelta(seconds=60),
            temperature_max_age=timedelta(hours=2),
            temperature_assume_c=35.0,
            hashprice_max_age=timedelta(days=2),
            hashprice_assume_usd_per_ph_day=60.0,
        ),
        controls=Controls(
            tick=timedelta(seconds=60),
            verify_within=timedelta(seconds=120),
            lease=timedelta(minutes=5),
            outlook=timedelta(hours=1),
        ),
    )


@pytest.fixture
def job_of() -> Callable[..., Job]:
    """Makes a job of the small site; `work_s` is its run time at full power, site time."""

    def make(name: str, gpus: int = 4, work_s: float = 360_000.0) -> Job:
        return Job(
            name=name,
            tenant="lab",
            pool="h100",
            gpus=gpus,
            work_gpu_seconds=gpus * work_s,
            submitted_at=datetime(2023, 9, 6, 18, 0, tzinfo=UTC),
            deadline=None,
            checkpoint_every=timedelta(minutes=5),
            restart=timedelta(seconds=30),
        )

    return make


@pytest.fixture
def eventually() -> Eventually:
    """Waits until something holds; a failure after a minute."""

    async def wait(holds: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not await holds():
            assert time.monotonic() < deadline, f"did not come to hold in {WAIT_S:.0f} s"
            await asyncio.sleep(0.05)

    return wait
