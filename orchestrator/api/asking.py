"""What routes share: the desk they ask, instants in requests, pages of long lists."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime, BeforeValidator, WithJsonSchema

from orchestrator.api.desk import Desk
from orchestrator.api.problems import Fault, ProblemError, not_observed
from orchestrator.domain.snapshot import Snapshot


def _desk(request: Request) -> Desk:
    return cast(Desk, request.app.state.desk)


def _snapshot(request: Request) -> Snapshot:
    snapshot = _desk(request).snapshot()
    if snapshot is None:
        raise not_observed()
    return snapshot


DeskNow = Annotated[Desk, Depends(_desk)]

SnapshotNow = Annotated[Snapshot, Depends(_snapshot)]
"""The latest snapshot; the route answers 503 before there is one."""


def _instant(given: object) -> datetime:
    if not isinstance(given, str):
        raise ValueError("an ISO 8601 time with its UTC offset is needed, as text, such as 2023-09-06T20:00:00Z")
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError("not an ISO 8601 time; one such as 2023-09-06T20:00:00Z is needed") from None
    if at.tzinfo is None:
        raise ValueError("has no UTC offset; append Z for UTC")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range in UTC") from None


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2023-09-06T20:00:00Z"]}),
]
"""A time in a request: ISO 8601 text with a UTC offset; never a bare number, whose unit could be guessed wrong."""

Limit = Annotated[int, Query(ge=1, le=10_000, description="At most this many")]
Offset = Annotated[int, Query(ge=0, description="Skip this many")]
From = Annotated[Instant | None, Query(alias="from", description="Site time, included")]
To = Annotated[Instant | None, Query(description="Site time, excluded")]


def check_window(start: datetime, end: datetime, longest: timedelta) -> None:
    """Refuse a window `[start, end)` that is empty or too long."""
    if not timedelta(0) < end - start <= longest:
        detail = f"to must be after from by at most {longest.days} days"
        fault = Fault(where="query", pointer="/to", detail=detail, given=f"{start.isoformat()} to {end.isoformat()}")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, [fault])
