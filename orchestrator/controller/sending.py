"""Moves of one direction, sent together; their answers are taken in as they come."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from orchestrator.domain.decision import Ack, Action
from orchestrator.ports import WorkloadDriver

Answers = Sequence[tuple[Action, Ack]]

RECORD_EVERY_S = 0.1
"""On the wall, while moves are being sent: a transaction for each answer would take as long as the moves."""


async def send_together(
    driver: WorkloadDriver, actions: Sequence[Action], now: datetime, put_on_record: Callable[[Answers], None]
) -> None:
    """Returns when all have been answered; `put_on_record` is given those of a moment together.

    Whatever goes wrong meanwhile is raised when all have been sent.
    """
    answered: list[tuple[Action, Ack]] = []

    async def send(action: Action) -> None:
        answered.append((action, await driver.apply(action.move, action.reason, now)))

    sending = asyncio.gather(*map(send, actions), return_exceptions=True)
    try:
        while answered or not sending.done():
            await asyncio.wait([sending], timeout=RECORD_EVERY_S)
            together = list(answered)
            answered.clear()
            if together:
                put_on_record(together)
    except asyncio.CancelledError:
        sending.cancel()
        raise
    finally:
        results = await sending
    for result in results:
        if isinstance(result, BaseException):
            raise result
