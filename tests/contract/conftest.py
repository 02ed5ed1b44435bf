"""What contract tests share: a small site, jobs for it, and ways to wait for something that takes time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job
from tests.sites import three_rack_site

WAIT_S = 60.0
"""On the wall, for what takes a second: generous, since the machine may be busy."""

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def small_site() -> Site:
    return three_rack_site()


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
