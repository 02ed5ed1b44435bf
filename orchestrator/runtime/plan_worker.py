"""Makes plans on a thread of its own, so that the loop never waits for one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from orchestrator.controller.past import Past
from orchestrator.controller.planner import Answer, Planner, answer
from orchestrator.domain.snapshot import Snapshot
from orchestrator.explain.plan_view import PlanState

log = logging.getLogger(__name__)


class PlanWorker:
    """One plan at a time; those that fall due meanwhile are one plan afterwards."""

    def __init__(self, planner: Planner, past: Callable[[datetime], Awaitable[Past]], tell: Callable[[], None]) -> None:
        """`past` gives what was seen up to a time. `tell` is called on the event loop when a plan has come into
        force or failed, and when what keeps it from being made comes or goes."""
        self._planner = planner
        self._past = past
        self._tell = tell
        self._thread = ThreadPoolExecutor(1, "planner")
        self._making: asyncio.Task[None] | None = None

    def consider(self, snapshot: Snapshot) -> None:
        """Begin a plan if one is due, none is under way, and enough of the site is seen."""
        if self._making is not None and not self._making.done():
            return
        before = self._planner.state.blocked
        if not self._planner.due(snapshot):
            self._planner.unblock()
        elif not self._planner.blocked(snapshot):
            self._making = asyncio.create_task(self._make(snapshot), name="plan")
        self._tell_blocked(before, self._planner.state)

    def _tell_blocked(self, before: str, state: PlanState) -> None:
        """Once when it begins and once when it ends, however the share goes up and down between."""
        if bool(before) == bool(state.blocked):
            return
        if state.blocked:
            stays = "the last one stays in force" if state.view is not None else "dispatch goes by the price now"
            log.warning("no plan is made: %s; %s", state.blocked, stays)
        else:
            log.info("enough of the site is measured again for a plan")
        self._tell()

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
