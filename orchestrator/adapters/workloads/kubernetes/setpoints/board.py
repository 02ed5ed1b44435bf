"""The setpoints as accepted by the API server: changed by one writer, in as few writes as the moment allows."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.adapters.workloads.kubernetes.api import CONFIG_MAPS, LEASES, ApiError, ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.setpoints.objects import (
    ClusterSetpoints,
    asleep,
    lease_end,
    lease_object,
    read_setpoints,
    setpoints_object,
)
from orchestrator.adapters.workloads.kubernetes.watched import Watched
from orchestrator.domain.site.site import Site

log = logging.getLogger(__name__)

NOTHING: Mapping[str, str] = {}
ATTEMPTS = 4
SHARE_OF_LEASE = 0.1
"""A lease is renewed on the server once this share of it is used up: ticks are more frequent than agents need."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the ConfigMap holds."""

    setpoints: ClusterSetpoints | None
    """None if it cannot be read."""
    problem: str
    version: int


class SetpointsBoard:
    """The one object that all agents watch. Changes asked for at the same moment go out in one write.

    `on_change` is told of the fleets whose racks or agents have changed, of none if it is the limits or cannot be read.
    """

    def __init__(self, api: ClusterApi, site: Site, name: str, on_change: Callable[[set[str]], None]) -> None:
        self._api = api
        self._site = site
        self._name = f"{name}-setpoints"
        self._on_change = on_change
        self._watched = Watched(
            api,
            CONFIG_MAPS,
            self._read,
            fields=f"metadata.name={self._name}",
            on_change=self._changed,
        )
        self._good = asleep(site)
        self._racks: dict[str, str] = {}
        self._agents: dict[str, str | None] = {}
        self._gpu_limit_w: dict[str, float] = {}
        self._waiting: list[asyncio.Future[None]] = []
        """Callers of the changes above, which go out with the next write."""
        self._writer: asyncio.Task[None] | None = None
        self._lease_until: datetime | None = None

    @property
    def current(self) -> ClusterSetpoints:
        """The last good ones."""
        return self._good

    @property
    def synced(self) -> bool:
        return self._watched.synced

    @property
    def damaged(self) -> str:
        """Why the object cannot be read, or that it is gone; empty if it can."""
        seen = self._watched.items.get(self._name)
        return "it is gone" if seen is None else seen.problem

    @property
    def exists(self) -> bool:
        return self._name in self._watched.items

    def start(self) -> None:
        self._watched.start()

    async def until_synced(self) -> None:
        await self._watched.until_synced()

    async def read_lease(self) -> None:
        """Look until when whoever was here before renewed it; ApiError where the server does not say."""
        lease = await self._api.get(LEASES, self._name)
        self._lease_until = lease_end(lease) if lease is not None else None

    def lapsed_at(self, now: datetime) -> datetime | None:
        """When the lease ran out, None while it holds or where there was none."""
        until = self._lease_until
        return until if until is not None and until <= now else None

    async def stop(self) -> None:
        await self._watched.stop()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def change(
        self,
        racks: Mapping[str, str] = NOTHING,
        agents: Mapping[str, str | None] = NOTHING,
        gpu_limit_w: Mapping[str, float] | None = None,
    ) -> None:
        """Set modes of racks, their agents (None: no pod) and power limits of pools; what is not named stays.

        Returns when the server has accepted it; ApiError if it does not.
        """
        self._racks.update(racks)
        self._agents.update(agents)
        self._gpu_limit_w.update(gpu_limit_w or {})
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="setpoints")
        await done

    async def renew(self, until: datetime, now: datetime, holder: str) -> None:
        """Extend the lease; ApiError if the server does not take it."""
        if self._lease_until is not None and until - self._lease_until < SHARE_OF_LEASE * (until - now):
            return
        body = lease_object(self._name, holder, until, now)
        try:
            await self._api.patch(LEASES, self._name, body)
        except ApiError as error:
            if error.status != 404:
                raise
            await self._api.create(LEASES, body)
        self._lease_until = until

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            racks, self._racks = self._racks, {}
            agents, self._agents = self._agents, {}
            gpu_limit_w, self._gpu_limit_w = self._gpu_limit_w, {}
            failure: ApiError | None = None
            try:
                await self._write(racks, agents, gpu_limit_w)
            except ApiError as error:
                failure = error
            except Exception as error:
                log.exception("the setpoints could not be written")
                failure = ApiError(0, f"setpoints: {error!r}")
            except BaseException:
                for done in (*batch, *self._waiting):
                    done.cancel()
                raise
            for done in batch:
                if done.done():
                    continue  # nobody waits any more
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)

    async def _write(
        self, racks: Mapping[str, str], agents: Mapping[str, str | None], gpu_limit_w: Mapping[str, float]
    ) -> None:
        for attempt in range(ATTEMPTS):
            named = {**self._good.agents, **agents}
            wanted = ClusterSetpoints(
                generation=max(self._good.generation + 1, int(time.time())),
                racks={**self._good.racks, **racks},
                agents={rack: pod for rack, pod in named.items() if pod is not None},
                gpu_limit_w={**self._good.gpu_limit_w, **gpu_limit_w},
            )
            seen = self._watched.items.get(self._name)
            if seen is not None and not seen.problem and wanted.same(self._good):
                return
            version = seen.version if seen is not None else None
            body = setpoints_object(self._name, wanted, version, lapse_over=self._site.controls.lapse_over)
            try:
                if seen is None:
                    answer = await self._api.create(CONFIG_MAPS, body)
                else:
                    answer = await self._api.patch(CONFIG_MAPS, self._name, body)
                self._watched.put(answer)
                return
            except ApiError as error:
                if error.status not in (404, 409) or attempt == ATTEMPTS - 1:
                    raise
            await self._look_again()

    async def _look_again(self) -> None:
        """Someone else has written, made or removed the object since."""
        document = await self._api.get(CONFIG_MAPS, self._name)
        if document is None:
            self._watched.items.pop(self._name, None)
        else:
            self._watched.put(document)

    def _read(self, document: Document) -> _Seen:
        version = int(document["metadata"]["resourceVersion"])
        try:
            return _Seen(read_setpoints(document, self._site), "", version)
        except ValueError as error:
            return _Seen(None, str(error), version)

    def _changed(self, name: str) -> None:
        seen, before = self._watched.items.get(name), self._good
        if seen is None or seen.setpoints is None:
            log.warning("setpoints: %s; the last good ones hold and are written again", self.damaged)
        else:
            # The generation only grows: agents trust it.
            generation = max(seen.setpoints.generation, self._good.generation)
            self._good = replace(seen.setpoints, generation=generation)
        after = self._good
        self._on_change(
            {
                fleet.name
                for fleet, rack in self._site.racks()
                if before.racks[rack] != after.racks[rack] or before.agents.get(rack) != after.agents.get(rack)
            }
        )
