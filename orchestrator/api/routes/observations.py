"""GET /observations: power over time, thinned out for a chart."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from orchestrator.api.asking import DeskNow, From, To, check_window
from orchestrator.ports import ObservationRecord

router = APIRouter(tags=["observations"])

_LONGEST = timedelta(days=31)


class ObservationDocument(BaseModel):
    at: datetime
    price_usd_per_mwh: float
    price_basis: str
    grid_kw: float
    mining_kw: float
    hpc_kw: float
    overhead_kw: float
    limit_kw: float = Field(description="The cap in force")
    above_limit_seconds: float = Field(description="Time above a cap since the point before")
    stale: list[str] = Field(description="Inputs that were stale or missing")


class ObservationsDocument(BaseModel):
    from_utc: datetime
    to_utc: datetime
    seen: int = Field(description="Observations in the window, of which those below were chosen")
    observations: list[ObservationDocument] = Field(description="In order of time")


@router.get("/observations")
def observations(
    desk: DeskNow,
    from_: From = None,
    to: To = None,
    points: Annotated[int, Query(ge=2, le=5000, description="At most this many")] = 500,
) -> ObservationsDocument:
    """Observations with `from <= at < to`: by default the last 24 h of site time, at most 31 days.

    Where there are more than `points`, each stretch of time gives the one with the highest grid power, so that a
    peak is never thinned away; its time above the cap is that of the whole stretch.
    """
    end = to or desk.clock_info().now + timedelta(microseconds=1)
    start = from_ or end - timedelta(hours=24)
    check_window(start, end, _LONGEST)
    records = desk.store.observations(start, end)
    return ObservationsDocument(from_utc=start, to_utc=end, seen=len(records), observations=_thinned(records, points))


def _thinned(records: Sequence[ObservationRecord], points: int) -> list[ObservationDocument]:
    """One document a stretch; the newest observation is always the last."""
    if len(records) <= points:
        return [_document([record]) for record in records]
    before_last, stretches = records[:-1], points - 1
    edges = [len(before_last) * index // stretches for index in range(stretches + 1)]
    documents = [_document(before_last[low:high]) for low, high in itertools.pairwise(edges)]
    return [*documents, _document(records[-1:])]


def _document(stretch: Sequence[ObservationRecord]) -> ObservationDocument:
    highest = max(stretch, key=lambda record: record.grid_kw)
    return ObservationDocument(
        at=highest.at,
        price_usd_per_mwh=highest.price_usd_per_mwh,
        price_basis=highest.price_basis,
        grid_kw=highest.grid_kw,
        mining_kw=highest.mining_kw,
        hpc_kw=highest.hpc_kw,
        overhead_kw=highest.overhead_kw,
        limit_kw=highest.limit_kw,
        above_limit_seconds=sum(record.above_limit_s for record in stretch),
        stale=list(highest.stale),
    )
