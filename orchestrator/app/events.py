"""What happens, told to everyone who listens."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from orchestrator.api.desk import Event
from orchestrator.domain.decision import Breach, Decision, Outcome
from orchestrator.domain.limits import Curtailment
from orchestrator.ports import Record

BEHIND = 1000
"""Events that a listener may be behind; one further behind is cut off and has to come back."""


class Events:
    """Fans records out to listeners; a slow one never delays the controller."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._ids = itertools.count(1)

    def publish(self, record: Record) -> None:
        name, data = _named(record)
        event = Event(name=name, data=data, id=str(next(self._ids)))
        for listener in list(self._listeners):
            try:
                listener.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners.discard(listener)
                with contextlib.suppress(asyncio.QueueEmpty):
                    listener.get_nowait()
                listener.put_nowait(None)

    async def listen(self) -> AsyncIterator[Event]:
        """Events from now on; ends when the site shuts down or the listener fell too far behind."""
        listener: asyncio.Queue[Event | None] = asyncio.Queue(maxsize=BEHIND)
        self._listeners.add(listener)
        try:
            while (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        for listener in list(self._listeners):
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(None)


def _named(record: Record) -> tuple[str, dict[str, object]]:
    if isinstance(record, Decision):
        return "decision", {"id": record.id}
    if isinstance(record, Outcome):
        return "decision", {"id": record.action_id.split("/")[0]}
    if isinstance(record, Curtailment):
        return "curtailment", {"id": record.id}
    if isinstance(record, Breach):
        return "breach", {"id": record.id}
    return "observation", {}
