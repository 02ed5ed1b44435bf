"""When pods are seen to come and to go, by a watch of its own."""

import asyncio
import contextlib
import time

from orchestrator.adapters.workloads.kubernetes.api import PODS, ApiError, ClusterApi

SILENT_S = 300.0
PATIENCE_S = 300.0


class PodWatch:
    """Times (unix s) at which the server told of pods made and pods asked to end since `forget`."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._made: dict[str, float] = {}
        self._ending: dict[str, float] = {}
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the watch is open."""
        page = await self._api.request("GET", PODS.path(self._api.namespace))
        opened = asyncio.Event()
        self._task = asyncio.create_task(self._follow(page["metadata"]["resourceVersion"], opened))
        await opened.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def forget(self) -> None:
        self._made.clear()
        self._ending.clear()

    async def until_made(self, count: int) -> float:
        """When the last of `count` new pods was seen."""
        return await self._until(self._made, count)

    async def until_ending(self, count: int) -> float:
        """When the last of `count` pods was seen to be asked to end, or gone."""
        return await self._until(self._ending, count)

    async def _until(self, seen: dict[str, float], count: int) -> float:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(seen) >= count)
        return max(seen.values())

    async def _follow(self, version: str, opened: asyncio.Event) -> None:
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        while True:
            with contextlib.suppress(ApiError):
                path = PODS.path(self._api.namespace)
                async for event in self._api.stream(path, query, SILENT_S, opened.set):
                    metadata = event["object"]["metadata"]
                    query["resourceVersion"] = metadata["resourceVersion"]
                    seen = self._ending if event["type"] == "DELETED" or "deletionTimestamp" in metadata else self._made
                    if event["type"] == "ADDED" or seen is self._ending:
                        seen.setdefault(metadata["name"], time.time())
                        async with self._changed:
                            self._changed.notify_all()
