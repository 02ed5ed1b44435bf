"""The workload driver on a Kubernetes namespace (docs/kubernetes.md)."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import assert_never

from orchestrator.adapters.workloads.kubernetes.api import ApiError, ClusterApi, ClusterError
from orchestrator.adapters.workloads.kubernetes.events import Recorder
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_moves import Fleets
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_upkeep import keep_in_step, settle_start
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_watch import FleetWatch
from orchestrator.adapters.workloads.kubernetes.jobs.job_moves import Jobs
from orchestrator.adapters.workloads.kubernetes.setpoints.board import SetpointsBoard
from orchestrator.domain.decision import Ack, LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.refusals import limit_refusal
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import PoolView, Workloads

log = logging.getLogger(__name__)

TOGETHER_S = 0.02
"""Changes that come within this are answered together."""
IN_STEP_S = 120.0
"""For the first lists: thousands of objects take seconds. A leader without a view must let another try."""
AGAIN_S = 1.0
"""After a write that the server did not take."""


class ClusterSite:
    """Fleets, jobs and power limits as Kubernetes objects. `may_act` says whether this process is the leader.

    The view is fed by watches; while one of them is broken it is unsynced. No call raises for what the server does.
    """

    def __init__(
        self, api: ClusterApi, site: Site, name: str, may_act: Callable[[], bool], *, identity: str = "wattshift"
    ) -> None:
        self._api = api
        self._site = site
        self._may_act = may_act
        self._identity = identity
        self._dirty_fleets: set[str] = set()
        self._dirty_jobs: set[str] = set()
        self._dirty = asyncio.Event()
        self._upkeep: asyncio.Task[None] | None = None
        api.write_only_while(may_act)
        self._recorder = Recorder(api, identity)
        self._board = SetpointsBoard(api, site, name, self._setpoints_changed)
        self._watch = FleetWatch(api, site, self._fleet_changed)
        self._fleets = Fleets(api, site, self._watch, self._board, self._recorder)
        self._jobs = Jobs(api, site, self._recorder, self._job_changed)
        self._watches = (*self._watch.watches, *self._jobs.watches)

    async def start(self) -> None:
        """List everything and wait until the view is in step; what an earlier controller left half-way is finished.

        ClusterError when a kind cannot be watched within `IN_STEP_S`, ApiError when the setpoints are not accepted.
        """
        self._board.start()
        for watch in self._watches:
            watch.start()
        try:
            async with asyncio.timeout(IN_STEP_S):
                await asyncio.gather(self._board.until_synced(), *(watch.until_synced() for watch in self._watches))
        except TimeoutError as error:
            missing = ", ".join(watch.kind.plural for watch in self._watches if not watch.synced) or "configmaps"
            raise ClusterError(f"no view of {missing} within {IN_STEP_S:.0f} s; may they be listed?") from error
        for problem in self.problems():
            log.warning("%s", problem)
        self._recorder.start()
        await self._board.read_lease()
        await settle_start(self._fleets, self._watch, self._board, datetime.now(UTC))
        self._fleet_changed(*(fleet.name for fleet in self._site.fleets))
        self._upkeep = asyncio.create_task(self._keep_up(), name="upkeep")

    async def stop(self) -> None:
        """End the watches. Everything stays as it is; events that wait are written."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await asyncio.gather(self._board.stop(), *(watch.stop() for watch in self._watches))
        await self._recorder.stop()

    def problems(self) -> list[str]:
        """What is not managed, and why."""
        return [*self._watch.problems(), *self._jobs.problems()]

    @property
    def listed(self) -> int:
        """Objects read by listing so far."""
        return sum(watch.listed for watch in self._watches)

    @property
    def synced(self) -> bool:
        """Every watch is open, and this process may act."""
        return self._may_act() and self._board.synced and all(watch.synced for watch in self._watches)

    async def observe(self, now: datetime) -> Workloads:
        """Setpoints and phases as accepted, whoever set them."""
        limits = self._board.current.gpu_limit_w
        return Workloads(
            at=now,
            synced=self.synced,
            fleets=MappingProxyType(dict(self._fleets.views(now))),
            jobs=MappingProxyType(dict(self._jobs.views(now))),
            pools=MappingProxyType({pool.name: PoolView(pool.name, limits[pool.name]) for pool in self._site.pools}),
            lapsed_at=self._board.lapsed_at(now),
        )

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        """Carry out one move; `at` of the answer is when the server had accepted it all."""
        if not self._may_act():
            return Ack(accepted=False, at=now, detail="this controller is not the leader any more")
        try:
            with self._recorder.held_back():
                ack = await self._carry_out(move, reason, now)
        except ApiError as error:
            return Ack(accepted=False, at=now, detail=f"{move.target}: {error}")
        return replace(ack, at=max(datetime.now(UTC), now))

    async def _carry_out(self, move: Move, reason: str, now: datetime) -> Ack:
        match move:
            case SetFleet():
                try:
                    return await self._fleets.apply(move, reason, now)
                finally:
                    self._fleet_changed(move.fleet)
            case LimitGpus():
                return await self._limit_gpus(move, now)
            case RunJob():
                return await self._jobs.run(move, reason, now)
            case PauseJob():
                return await self._jobs.pause(move.job, reason, now)
        assert_never(move)

    async def renew(self, until: datetime, now: datetime) -> None:
        """Extend the lease on the setpoints; a server that does not take it is tried again at the next call."""
        if not self._may_act():
            return
        try:
            await self._board.renew(until, now, self._identity)
        except ApiError as error:
            log.warning("the lease on the setpoints was not renewed: %s", error)

    async def _limit_gpus(self, move: LimitGpus, now: datetime) -> Ack:
        if why := limit_refusal(self._site.pools, move):
            return Ack(accepted=False, at=now, detail=why)
        await self._board.change(gpu_limit_w={move.pool: move.gpu_limit_w})
        return Ack(accepted=True, at=now)

    # --- upkeep --------------------------------------------------------------------------------------------------

    def _fleet_changed(self, *names: str) -> None:
        self._dirty_fleets.update(names)
        self._dirty.set()

    def _job_changed(self, name: str) -> None:
        self._dirty_jobs.add(name)
        self._dirty.set()

    def _setpoints_changed(self, fleets: set[str]) -> None:
        self._fleet_changed(*fleets)

    async def _keep_up(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(TOGETHER_S)
            self._dirty.clear()
            fleets, self._dirty_fleets = self._dirty_fleets, set()
            jobs, self._dirty_jobs = self._dirty_jobs, set()
            if not self.synced:
                await asyncio.sleep(AGAIN_S)
                self._fleet_changed(*fleets)
                self._dirty_jobs |= jobs
                continue
            now = datetime.now(UTC)
            try:
                if self._board.damaged:
                    await self._board.change()
                fleets = await keep_in_step(fleets, self._fleets, self._watch, self._board, now)
                jobs = await self._jobs.keep_in_step(jobs, now)
            except ApiError as error:
                log.warning("keeping in step: %s; tried again", error)
            except Exception:
                log.exception("keeping in step failed; tried again")
            if fleets or jobs:
                await asyncio.sleep(AGAIN_S)
                self._fleet_changed(*fleets)
                self._dirty_jobs |= jobs
