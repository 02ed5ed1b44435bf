"""GET /events: what changes, as server-sent events."""

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.types import Send

from orchestrator.api.asking import DeskNow
from orchestrator.api.desk import Desk, Event
from orchestrator.api.routes.decisions import DecisionDocument
from orchestrator.api.routes.state import StateDocument

router = APIRouter(tags=["events"])

HEARTBEAT_S = 15.0
"""Of silence, before a comment is sent."""

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
        return self._drain(queue)

    async def _drain(self, queue: "asyncio.Queue[Event | None]") -> AsyncIterator[Event]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """End every listener's stream, so that a server with open pages can shut down."""
        self._closed = True
        for queue in list(self._listeners):
            _put(queue, None)


class EventStream(StreamingResponse):
    """Closes its generator as soon as the reader is gone, so that the subscription ends with it."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


@router.get("/events", response_class=EventStream)
async def events(
    desk: DeskNow, last_event_id: Annotated[str | None, Header(description="Taken and not needed")] = None
) -> EventStream:
    """Server-sent events, the first at once: `state` (the document of GET /state, after every observation, new price,
    curtailment, breach or plan) and `decision` (that of GET /decisions/{id}, when it is made and when its outcomes
    change).

    A `state` is whole, so nothing needs to be sent again after a lost connection. A comment every 15 s of silence
    shows that the connection lives.
    """
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # a proxy must not hold events back
    return EventStream(_stream(desk), headers=headers)


async def _stream(desk: Desk) -> AsyncGenerator[bytes, None]:
    # Not FastAPI's own event stream: as of 0.165 it fails loudly when a reader leaves while an event is under way.
    changes = desk.events()  # subscribed before the first state is read, so that nothing falls between the two
    yield format_sse_event(event="state", data_str=StateDocument.of(desk).model_dump_json(), retry=_RETRY_MS)
    following = asyncio.ensure_future(_next(changes))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=HEARTBEAT_S)
            if not done:
                yield KEEPALIVE_COMMENT
                continue
            event = following.result()
            if event is None:
                return
            following = asyncio.ensure_future(_next(changes))
            if (block := await _block(event, desk)) is not None:
                yield block
    finally:
        following.cancel()


async def _block(event: Event, desk: Desk) -> bytes | None:
    if event.name != "decision":
        return format_sse_event(event="state", data_str=StateDocument.of(desk).model_dump_json(), id=event.id)
    found = await run_in_threadpool(desk.store.decision, str(event.data["id"]))
    if found is None:
        return None
    return format_sse_event(event="decision", data_str=DecisionDocument.of(*found).model_dump_json(), id=event.id)


async def _next(changes: AsyncIterator[Event]) -> Event | None:
    return await anext(changes, None)


def _put(queue: "asyncio.Queue[Event | None]", event: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
