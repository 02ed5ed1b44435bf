"""A view of all objects of one kind, kept in step by listing and watching.

As client-go's reflector does: list in pages, then watch from the list's resource version; after a break go on from the
last version seen, and list again when the server no longer knows that version (410 Gone).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from orchestrator.adapters.workloads.kubernetes.api import ApiError, ClusterApi, Document, Kind

log = logging.getLogger(__name__)

PAGE = 100
"""Objects a page of a list. A page's documents are all in memory at once, and what is kept of each lies between what is
not: with pages of 500, a list of 5,000 Jobs left 20 MB of holes that nothing else ever filled."""
SILENT_S = 90.0
"""A watch that brings not even a bookmark (the server sends one a minute) is broken."""
SERVER_ENDS_S = 290
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
ABSENT_WAIT_S = 60.0
"""Between two looks for a kind that the cluster does not know: its CRD may be installed later."""

T = TypeVar("T")


class Watched(Generic[T]):
    """Objects by name, each reduced to what is needed of it. `on_change(name)` hears of all that come, go or change.

    `reduce` gives None for an object that is of no interest. An `optional` kind that the server does not know is empty.
    """

    def __init__(
        self,
        api: ClusterApi,
        kind: Kind,
        reduce: Callable[[Document], T | None],
        *,
        labels: str = "",
        fields: str = "",
        optional: bool = False,
        on_change: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.items: dict[str, T] = {}
        self.listed = 0
        """Objects read by listing so far."""
        self._api = api
        self.kind = kind
        self._reduce = reduce
        self._selector = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        self._optional = optional
        self._on_change = on_change
        self._versions: dict[str, int] = {}
        self._amended: set[str] = set()
        """Objects of which a part alone is known at their version."""
        self._version = ""
        self._listed_at = -1
        """The last list's version: objects that it does not have were gone by then."""
        self._task: asyncio.Task[None] | None = None
        self._in_step = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Listed, and a watch is open: what the server knows is here but for what is on its way."""
        return self._in_step.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"watch {self.kind.plural}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until_synced(self) -> None:
        await self._in_step.wait()

    def put(self, document: Document) -> None:
        """Take over an object as a write's answer shows it, unless a newer one has been seen."""
        name, version = _identity(document)
        known = self._versions.get(name, self._listed_at)
        if version < known or (version == known and name not in self._amended):
            return  # of our own writes the answer and the watch tell
        self._versions[name] = version
        self._amended.discard(name)
        item = self._reduce(document)
        if item is None:
            self.items.pop(name, None)
        else:
            self.items[name] = item
        self._on_change(name)

    def amend(self, name: str, item: T, version: int) -> None:
        """Take over what a write of a part of an object (its scale) says about the whole."""
        if version > self._versions.get(name, -1):
            self._versions[name] = version
            self._amended.add(name)
            self.items[name] = item
            self._on_change(name)

    def remove(self, name: str, version: int) -> None:
        """It is gone; its version is kept until the next list, so that a late answer does not bring it back."""
        if version < self._versions.get(name, -1):
            return
        self._versions[name] = version
        if self.items.pop(name, None) is not None:
            self._on_change(name)

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                wait_s = FIRST_WAIT_S
                continue  # the server ended it in good order
            except ApiError as error:
                self._in_step.clear()
                if error.status == 410:
                    self._version = ""
                if error.status == 404 and self._optional:
                    self._replace({}, {})
                    self._in_step.set()
                    await asyncio.sleep(ABSENT_WAIT_S)
                    continue
                if wait_s == FIRST_WAIT_S:
                    log.warning("%s: %s; tried again until it works", self.kind.plural, error)
            except Exception:
                # An object of a shape that nobody thought of must not end the view for good.
                log.exception("the view of %s failed and is made anew", self.kind.plural)
                self._in_step.clear()
                self._version = ""
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _list(self) -> None:
        path = self.kind.path(self._api.namespace)
        query = {**self._selector, "limit": str(PAGE)}
        items: dict[str, T] = {}
        versions: dict[str, int] = {}
        while True:
            page = await self._api.request("GET", path, query=query, timeout_s=60.0)
            for document in page["items"]:
                name, version = _identity(document)
                item = self._reduce(document)
                versions[name] = version
                if item is not None:
                    items[name] = item
            self.listed += len(page["items"])
            following = page["metadata"].get("continue")
            if not following:
                break
            query["continue"] = following
        self._version = page["metadata"]["resourceVersion"]
        self._listed_at = int(self._version)
        newer = {name: version for name, version in self._versions.items() if version > self._listed_at}
        for name, version in newer.items():  # of writes while the list was on its way
            versions[name] = version
            items.pop(name, None)
            if name in self.items:
                items[name] = self.items[name]
        self._amended &= newer.keys()
        self._replace(items, versions)

    def _replace(self, items: dict[str, T], versions: dict[str, int]) -> None:
        before, self.items, self._versions = self.items, items, versions
        for name in before.keys() | items.keys():
            if before.get(name) != items.get(name):
                self._on_change(name)

    async def _watch(self) -> None:
        query = {
            **self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(SERVER_ENDS_S),
        }
        events = self._api.stream(self.kind.path(self._api.namespace), query, SILENT_S, self._in_step.set)
        async for event in events:
            document = event["object"]
            match event["type"]:
                case "ERROR":
                    raise ApiError(int(document.get("code", 0)), str(document.get("message", "")))
                case "DELETED":
                    self.remove(*_identity(document))
                case "ADDED" | "MODIFIED":
                    self.put(document)
            self._version = document["metadata"]["resourceVersion"]


def _identity(document: Document) -> tuple[str, int]:
    """Name and resource version. Versions compare as numbers (Kubernetes 1.35 says so; etcd's always did)."""
    metadata: Mapping[str, str] = document["metadata"]
    return metadata["name"], int(metadata["resourceVersion"])
