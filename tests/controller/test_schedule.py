"""Work at its time: again and again, once in place of what was to be done, and cut off for good."""

import asyncio

import pytest

from orchestrator.runtime.schedule import Schedule, Work

PATIENCE_S = 60.0


async def test_work_is_done_again_and_again_and_what_is_put_off_is_done_once() -> None:
    schedule, done = Schedule(), asyncio.Queue[str]()

    def noting(name: str) -> Work:
        async def work() -> None:
            done.put_nowait(name)

        return work

    schedule.start()
    schedule.once("look", 3600.0, noting("in an hour"))
    schedule.once("look", 0.0, noting("now"))
    async with asyncio.timeout(PATIENCE_S):
        assert await done.get() == "now"
        schedule.every("tick", 0.01, noting("tick"), at_once=True)
        assert [await done.get() for _ in range(3)] == ["tick"] * 3
    schedule.end()
    await asyncio.sleep(0)  # APScheduler ends in the next turn of the event loop
    assert not schedule.running


async def test_what_is_under_way_is_cut_off_and_nobody_told(caplog: pytest.LogCaptureFixture) -> None:
    schedule, begun, ended = Schedule(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    schedule.start()
    schedule.once("look", 0.0, work)
    async with asyncio.timeout(PATIENCE_S):
        await begun.wait()
        await schedule.cut_off()
        await ended.wait()
    assert not schedule.running
    assert caplog.records == []
