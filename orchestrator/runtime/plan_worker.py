"""Makes plans on a thread of its own, so that the loop never waits for one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from orchestrator.controller.past import Past
from orchestrator.controller.planner import Answer, Planner, answer
from orchestrator.domain.snapshot import Snapshot

log = logging.getLogger(__name__)


class PlanWorker:
    """One plan at a time; those that fall due meanwhile are one plan afterwards."""

    def __init__(self, planner: Planner, past: Callable[[datetime], Awaitable[Past]], tell: Callable[[], None]) -> None:
        """`past` gives what was seen up to a time. `tell` is called on the event loop when a plan has come into
        force or failed."""
        self._planner = planner
        self._past = past
        self._tell = tell
        self._thread = ThreadPoolExecutor(1, "planner")
        self._making: asyncio.Task[None] | None = None

    def consider(self, snapshot: Snapshot) -> None:
        """Begin a plan if one is due and none is under way."""
        if (self._making is None or self._making.done()) and self._planner.due(snapshot):
            self._making = asyncio.create_task(self._make(snapshot), name="plan")

    async def _make(self, snapshot: Snapshot) -> None:
        """Whatever goes wrong with a plan, the last one stays in force and the loop goes on."""
        try:
            past = await self._past(snapshot.at)
            made = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, snapshot, past)
        except Exception as error:
            log.exception("no plan could be made; the last one stays in force")
            self._planner.fail(f"{type(error).__name__}: {error}")
        else:
            self._planner.take(made)
        self._tell()

    def _answer(self, snapshot: Snapshot, past: Past) -> Answer:
        """On the thread: gathering what is known takes its time too where there are thousands of jobs."""
        return answer(self._planner.question(snapshot, past))

    def close(self) -> None:
        """Let a plan under way come to its end unheard."""
        if self._making is not None:
            self._making.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
