"""When work is done: again and again or once at a time, by APScheduler on the event loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that is due while one runs is left out, by design

Work = Callable[[], Awaitable[None]]


class Schedule:
    """Work by name. It never runs twice at once, and what falls due meanwhile is done once afterwards, however late."""

    def __init__(self) -> None:
        late = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=late)
        self._cut_off = False

    @property
    def running(self) -> bool:
        return bool(self._scheduler.running)

    def start(self) -> None:
        self._scheduler.start()

    def every(self, name: str, seconds: float, work: Work, *, at_once: bool = False) -> None:
        """`seconds` are of the wall."""
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(self._do, "interval", args=[work], seconds=seconds, id=name, **first)

    def every_on_a_thread(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        self._scheduler.add_job(work, "interval", seconds=seconds, id=name)

    def once(self, name: str, wait_s: float, work: Work) -> None:
        """In `wait_s` of the wall, in place of what was to be done by that name."""
        run_date = datetime.fromtimestamp(time.time() + wait_s, UTC)
        self._scheduler.add_job(self._do, "date", args=[work], run_date=run_date, id=name, replace_existing=True)

    def pause(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._scheduler.pause()

    def end(self) -> None:
        """For good."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def cut_off(self) -> None:
        """For good, and cancel what is under way wherever it waits."""
        self._cut_off = True
        self.end()
        await asyncio.sleep(0)  # APScheduler cancels in the next turn of the event loop

    async def _do(self, work: Work) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            if not self._cut_off:
                raise
