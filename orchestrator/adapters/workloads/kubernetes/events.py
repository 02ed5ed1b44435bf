"""Events on the objects that are moved, so that `kubectl describe` and `kubectl get events` tell why."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from orchestrator.adapters.workloads.kubernetes.api import EVENTS, ApiError, ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.times import stamp

log = logging.getLogger(__name__)

CONTROLLER = "wattshift.dev/controller"
LONGEST_NOTE = 1024
"""What the API takes; longer ones are cut."""
MOST_WAITING = 10_000
SENDERS = 4
AGAIN_AFTER_S = 1.0


class Recorder:
    """Sends events behind the moves, so that none waits for its event. They are lost if the process is killed."""

    def __init__(self, api: ClusterApi, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._queue: asyncio.Queue[Document] = asyncio.Queue(MOST_WAITING)
        self._senders: list[asyncio.Task[None]] = []
        self._moves = 0
        self._no_moves = asyncio.Event()
        self._no_moves.set()
        self.lost = 0
        """Events that could not be written."""

    def start(self) -> None:
        self._senders = [asyncio.create_task(self._send(), name="events") for _ in range(SENDERS)]

    async def stop(self, within_s: float = 2.0) -> None:
        """Send what waits, as far as `within_s` goes."""
        try:
            async with asyncio.timeout(within_s):
                await self._queue.join()
        except TimeoutError:
            log.warning("%d events were not written", self._queue.qsize())
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    def record(self, regarding: Document, action: str, reason: str, note: str, *, warning: bool = False) -> None:
        """`action` is what was done, `reason` why as one CamelCase word, `note` the sentence."""
        body = event_object(regarding, action, reason, note, self._instance, datetime.now(UTC), warning=warning)
        try:
            self._queue.put_nowait(body)
        except asyncio.QueueFull:
            self.lost += 1

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Nothing is sent meanwhile: the API server's time is the moves'."""
        self._moves += 1
        self._no_moves.clear()
        try:
            yield
        finally:
            self._moves -= 1
            if not self._moves:
                self._no_moves.set()

    async def _send(self) -> None:
        while True:
            body = await self._queue.get()
            try:
                await self._no_moves.wait()
                await self._deliver(body)
            finally:
                self._queue.task_done()

    async def _deliver(self, body: Document) -> None:
        for attempt in range(3):
            try:
                await self._api.create(EVENTS, body)
                return
            except ApiError as error:
                if error.status == 409 and attempt:
                    return  # the one that got no answer in time was written after all
                if 400 <= error.status < 500 and error.status != 429:
                    log.warning("an event was refused: %s", error)
                    break
                await asyncio.sleep(AGAIN_AFTER_S)
        self.lost += 1


def event_object(
    regarding: Document, action: str, reason: str, note: str, instance: str, now: datetime, *, warning: bool
) -> Document:
    """`regarding` has apiVersion, kind, namespace, name and uid."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{regarding['name'][:220]}.{int(now.timestamp() * 1e6):x}",
            "namespace": regarding["namespace"],
        },
        "eventTime": stamp(now),
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:128],
        "action": action,
        "reason": reason,
        "regarding": regarding,
        "note": note
        if len(note.encode()) <= LONGEST_NOTE
        else note.encode()[: LONGEST_NOTE - 3].decode(errors="ignore") + "...",
        "type": "Warning" if warning else "Normal",
    }
