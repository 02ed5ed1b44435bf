"""GET, POST and DELETE /curtailments: orders to stay under a limit for a while."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from orchestrator.api.asking import DeskNow, Instant
from orchestrator.api.desk import AskedOrder
from orchestrator.api.problems import not_found, unprocessable
from orchestrator.domain.limits import Curtailment, own_caps
from orchestrator.domain.target import GRID_CONNECTION, Target

router = APIRouter(tags=["curtailments"])

_LONGEST = timedelta(days=7)

Kilowatts = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class CurtailmentDocument(BaseModel):
    id: str
    feeder: str | None = Field(description="Where it holds; null is the grid connection")
    limit_kw: float = Field(description="Grid-side power to stay at or under there")
    shed_kw: float | None = Field(description="What was asked to be shed, where it was asked so")
    start: datetime
    respond_by: datetime = Field(description="When the limit must be reached")
    until: datetime
    reason: str
    source: str
    cancelled_at: datetime | None
    in_force: bool

    @staticmethod
    def of(order: Curtailment, now: datetime) -> "CurtailmentDocument":
        return CurtailmentDocument(
            id=order.id,
            feeder=order.at.name or None,
            limit_kw=order.limit_kw,
            shed_kw=order.shed_kw,
            start=order.start,
            respond_by=order.start + order.response,
            until=order.until,
            reason=order.reason,
            source=order.source,
            cancelled_at=order.cancelled_at,
            in_force=order.in_force(now),
        )


class CurtailmentOrder(BaseModel):
    """Exactly one of `limit_kw` and `shed_kw`, and exactly one of `until` and `for_minutes`."""

    model_config = ConfigDict(extra="forbid")

    feeder: str | None = Field(default=None, description="Where it is to hold; the grid connection when left out")
    limit_kw: Annotated[Kilowatts, Field(ge=0)] | None = Field(
        default=None, description="Grid-side power to stay at or under: 0 up to the limit of the place itself"
    )
    shed_kw: Annotated[Kilowatts, Field(gt=0)] | None = Field(
        default=None, description="Grid-side power to shed from what is measured there now"
    )
    until: Instant | None = Field(default=None, description="End, site time: in the future, at most 7 days ahead")
    for_minutes: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=7 * 24 * 60)] | None = Field(
        default=None, description="Or its length in minutes of site time, at most 10,080"
    )
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.limit_kw is None) == (self.shed_kw is None):
            raise ValueError("exactly one of limit_kw and shed_kw is needed")
        if (self.until is None) == (self.for_minutes is None):
            raise ValueError("exactly one of until and for_minutes is needed")
        return self


class CurtailmentsDocument(BaseModel):
    curtailments: list[CurtailmentDocument] = Field(description="Those not yet over, in order of their start")


@router.get("/curtailments")
async def curtailments(desk: DeskNow) -> CurtailmentsDocument:
    """Orders that are not yet over."""
    return CurtailmentsDocument(curtailments=running(desk.curtailments(), desk.clock_info().now))


@router.get("/curtailments/{curtailment_id}")
async def curtailment(desk: DeskNow, curtailment_id: str) -> CurtailmentDocument:
    """One order that is not yet over."""
    for order in desk.curtailments():
        if order.id == curtailment_id:
            return CurtailmentDocument.of(order, desk.clock_info().now)
    raise not_found("curtailment that is not yet over, by the id", curtailment_id)


@router.post("/curtailments", status_code=status.HTTP_201_CREATED)
async def curtail(desk: DeskNow, order: CurtailmentOrder, response: Response) -> CurtailmentDocument:
    """Order the site, or one of its feeders, to stay under a limit. Power starts to fall at once; the answer does not
    wait for it.

    409 where the site cannot say what to shed from, for it has no measured power.
    """
    now = desk.clock_info().now
    at = GRID_CONNECTION if order.feeder is None else Target.feeder(order.feeder)
    most_kw = {cap.at: cap.limit_kw for cap in own_caps(desk.site)}
    if at not in most_kw:
        feeders = ", ".join(feeder.name for feeder in desk.site.feeders)
        raise unprocessable("/feeder", f"must be one of the site's feeders: {feeders}", order.feeder)
    if order.limit_kw is not None and order.limit_kw > most_kw[at]:
        raise unprocessable("/limit_kw", f"must be at most the {most_kw[at]:g} kW of the {at}", order.limit_kw)
    until = order.until or now + timedelta(minutes=order.for_minutes or 0.0)
    if not now < until <= now + _LONGEST:
        allowed = f"must be after the site's now, {now.isoformat()}, by at most {_LONGEST.days} days"
        raise unprocessable("/until", allowed, until.isoformat())
    accepted = await desk.curtail(AskedOrder(at, order.limit_kw, order.shed_kw, until, order.reason, "api"))
    response.headers["Location"] = f"/api/v1/curtailments/{accepted.id}"
    return CurtailmentDocument.of(accepted, now)


@router.delete("/curtailments/{curtailment_id}", status_code=HTTPStatus.NO_CONTENT)
async def cancel(desk: DeskNow, curtailment_id: str) -> None:
    """End an order now. What it held down comes back as the price decides."""
    if not await desk.cancel(curtailment_id):
        raise not_found("running curtailment", curtailment_id)


def running(orders: Sequence[Curtailment], now: datetime) -> list[CurtailmentDocument]:
    """Those neither over nor cancelled at `now`, by start."""
    left = [order for order in orders if now < order.until and order.cancelled_at is None]
    return [CurtailmentDocument.of(order, now) for order in sorted(left, key=lambda order: (order.start, order.id))]
