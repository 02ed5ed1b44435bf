"""GET /unaccounted, PUT /unaccounted/resolutions/{id}: what counters said and cannot be true, and what became of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from orchestrator.accounting.settlement import Asked
from orchestrator.accounting.unaccounted import Parked, Resolution, Way, parked_of
from orchestrator.api.asking import DeskNow
from orchestrator.api.problems import unprocessable

router = APIRouter(tags=["unaccounted"])

MOST_RESOLUTIONS = 100

Amount = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Text = StringConstraints(strip_whitespace=True, min_length=1, max_length=500)
ResolutionId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Of your choosing")]


class ParkedDocument(BaseModel):
    meter: str = Field(description="Metric and device")
    metric: str
    device: str
    amount: float = Field(description="Left to account for; negative where its counter fell")
    unit: str = Field(description="MWh of an energy meter, PH/s-days of a hash meter")
    since: datetime = Field(description="Start of the first price interval in which something was parked")
    until: datetime = Field(description="Start of the last one")
    intervals: int = Field(description="In how many")
    reason: str

    @staticmethod
    def of(parked: Parked) -> "ParkedDocument":
        return ParkedDocument(
            meter=parked.meter,
            metric=parked.metric,
            device=parked.device,
            amount=parked.amount,
            unit=parked.unit,
            since=parked.since,
            until=parked.lines[-1].start,
            intervals=len(parked.lines),
            reason=parked.reason,
        )


class ResolutionDocument(BaseModel):
    id: str
    at: datetime
    meter: str
    way: Way
    parked: float = Field(description="Taken off, in the meter's unit")
    booked: float = Field(description="In the meter's unit, before cooling; 0 where it is written off")
    cost_usd: float = Field(description="Of the energy booked, at the market price and with its cooling")
    revenue_usd: float = Field(description="Of the hash booked")
    reason: str
    person: str

    @staticmethod
    def of(done: Resolution) -> "ResolutionDocument":
        return ResolutionDocument(
            id=done.id,
            at=done.at,
            meter=done.meter,
            way=done.way,
            parked=done.parked,
            booked=done.booked,
            cost_usd=done.cost_usd,
            revenue_usd=done.revenue_usd,
            reason=done.reason,
            person=done.person,
        )


class UnaccountedDocument(BaseModel):
    meters: list[ParkedDocument] = Field(description="Those of which something is parked, by name")
    resolutions: list[ResolutionDocument] = Field(description="What was accounted for, the newest 100 first")


class ResolutionOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    meter: Annotated[str, _Text] = Field(description="As GET /unaccounted names it")
    way: Way = Field(description="`book`: as that meter's energy or hash; `write_off`: as nothing")
    parked: Amount | None = Field(
        default=None, description="What you have seen parked: refused where it is something else by now"
    )
    amount: Annotated[Amount, Field(gt=0)] | None = Field(
        default=None, description="To book instead of what is parked, in the meter's unit, before cooling"
    )
    reason: Annotated[str, _Text]
    person: Annotated[str, _Text] = Field(description="Who accounts for it")


# Reads the store, so it is a plain function: FastAPI runs it on a worker thread, off the control loop.
@router.get("/unaccounted")
def unaccounted(desk: DeskNow) -> UnaccountedDocument:
    """What is parked by meter, and what was accounted for."""
    return UnaccountedDocument(
        meters=[ParkedDocument.of(parked) for parked in parked_of(desk.store.parked())],
        resolutions=[ResolutionDocument.of(done) for done in desk.store.resolutions(MOST_RESOLUTIONS)],
    )


@router.put("/unaccounted/resolutions/{resolution_id}")
async def resolve(desk: DeskNow, resolution_id: ResolutionId, order: ResolutionOrder) -> ResolutionDocument:
    """Book or write off all that is parked of a meter, for good. The same request again answers the same and changes
    nothing.

    409 where nothing is parked of it, something else than `parked`, what is to be booked is no amount that its device
    can have done, or the id is that of another resolution.
    """
    if order.way is Way.WRITE_OFF and order.amount is not None:
        raise unprocessable("/amount", "must be left out where it is written off", order.amount)
    asked = Asked(resolution_id, order.meter, order.way, order.amount, order.reason, order.person)
    return ResolutionDocument.of(await desk.account_for(asked, order.parked))
