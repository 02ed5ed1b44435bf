"""GET /events: what changes, as server-sent events."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from orchestrator.api.asking import DeskNow
from orchestrator.api.decisions import DecisionDocument
from orchestrator.api.desk import Event
from orchestrator.api.state import StateDocument

router = APIRouter(tags=["events"])

_RETRY_MS = 2000


class EventHub:
    """Hands each published event to all who listen, on one event loop. A listener that falls `backlog` events
    behind loses the oldest: it is sent whole states, so the newest make up for them."""

    def __init__(self, backlog: int = 256) -> None:
        self._backlog = backlog
        self._listeners: weakref.WeakSet[asyncio.Queue[Event | None]] = weakref.WeakSet()
        self._closed = False

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def publish(self, event: Event) -> None:
        for queue in list(self._listeners):
            _put(queue, event)

    def subscribe(self) -> AsyncIterator[Event]:
        """Everything published from this call on, until the hub closes."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(self._backlog)
        self._listeners.add(queue)
        if self._closed:
            _put(queue, None)
        return _drain(queue)

    def close(self) -> None:
        """End every listener's stream, so that a server with open pages can shut down."""
        self._closed = True
        for queue in list(self._listeners):
            _put(queue, None)


@router.get("/events", response_class=EventSourceResponse)
async def events(
    desk: DeskNow, last_event_id: Annotated[str | None, Header(description="Taken and not needed")] = None
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events, the first at once: `state` (the document of GET /state, after every observation, new price,
    curtailment or breach) and `decision` (that of GET /decisions/{id}, when it is made and when its outcomes change).

    A `state` is whole, so nothing needs to be sent again after a lost connection. A comment every 15 s of silence
    shows that the connection lives.
    """
    changes = desk.events()  # subscribed before the first state is read, so that nothing falls between the two
    yield ServerSentEvent(event="state", data=StateDocument.of(desk), retry=_RETRY_MS)
    async for event in changes:
        if event.name != "decision":
            yield ServerSentEvent(event="state", data=StateDocument.of(desk), id=event.id)
            continue
        found = await run_in_threadpool(desk.store.decision, str(event.data["id"]))
        if found is not None:
            yield ServerSentEvent(event="decision", data=DecisionDocument.of(*found), id=event.id)


async def _drain(queue: "asyncio.Queue[Event | None]") -> AsyncIterator[Event]:
    while (event := await queue.get()) is not None:
        yield event


def _put(queue: "asyncio.Queue[Event | None]", event: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
