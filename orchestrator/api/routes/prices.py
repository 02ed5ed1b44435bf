"""GET and POST /prices: what energy costs now and over the day; prices pushed by an outside source."""

import itertools
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.api.asking import DeskNow, From, Instant, SnapshotNow, To, check_window
from orchestrator.api.problems import unprocessable
from orchestrator.domain.market import CurrentPrice, Market, Price
from orchestrator.domain.observation import Quality
from orchestrator.domain.units import utc

router = APIRouter(tags=["prices"])

_LONGEST = timedelta(days=31)


class PriceNow(BaseModel):
    usd_per_mwh: float = Field(description="The price decided and settled on")
    basis: str = Field(description="`real_time`, `real_time_held`, `day_ahead` or `fallback`")
    quality: Quality
    interval_start_utc: datetime
    interval_end_utc: datetime

    @staticmethod
    def of(price: CurrentPrice) -> "PriceNow":
        return PriceNow(
            usd_per_mwh=price.usd_per_mwh,
            basis=price.basis,
            quality=price.reading.quality,
            interval_start_utc=price.interval_start,
            interval_end_utc=price.interval_end,
        )


class IntervalPrice(BaseModel):
    interval_start_utc: datetime
    interval_end_utc: datetime
    usd_per_mwh: float


class PricesDocument(BaseModel):
    current: PriceNow
    from_utc: datetime
    to_utc: datetime
    real_time: list[IntervalPrice] = Field(description="As far as known now")
    day_ahead: list[IntervalPrice] = Field(description="As far as published")


PriceValue = Annotated[
    float, Field(strict=True, ge=-5000, le=50_000, allow_inf_nan=False, description="USD/MWh, -5,000 to 50,000")
]


class PushedPrice(BaseModel):
    """One interval `[start, end)`, of one or both markets."""

    model_config = ConfigDict(extra="forbid")

    interval_start_utc: Instant
    interval_end_utc: Instant = Field(description="After the start, by at most 24 h")
    real_time_usd_per_mwh: PriceValue | None = None
    day_ahead_usd_per_mwh: PriceValue | None = None

    @model_validator(mode="after")
    def _one_interval_with_a_price(self) -> Self:
        length = self.interval_end_utc - self.interval_start_utc
        if not timedelta(0) < length <= timedelta(hours=24):
            raise ValueError("interval_end_utc must be after interval_start_utc, by at most 24 h")
        if self.real_time_usd_per_mwh is None and self.day_ahead_usd_per_mwh is None:
            raise ValueError("real_time_usd_per_mwh or day_ahead_usd_per_mwh is needed, or both")
        return self

    def prices(self) -> list[Price]:
        values = {Market.REAL_TIME: self.real_time_usd_per_mwh, Market.DAY_AHEAD: self.day_ahead_usd_per_mwh}
        return [
            Price(self.interval_start_utc, self.interval_end_utc, value, market)
            for market, value in values.items()
            if value is not None
        ]


class PushedPrices(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prices: list[PushedPrice] = Field(min_length=1, max_length=10_000)


class Taken(BaseModel):
    accepted: int = Field(description="How many prices were taken over")


@router.get("/prices")
async def prices(desk: DeskNow, snapshot: SnapshotNow, from_: From = None, to: To = None) -> PricesDocument:
    """The price now, and those of the intervals that touch `[from, to)`: by default the site's day, at most 31 days."""
    zone = ZoneInfo(desk.site.timezone)
    midnight = datetime.combine(snapshot.at.astimezone(zone), time(0), zone)
    start = from_ or utc(midnight)
    end = to or (start + timedelta(days=1) if from_ else utc(midnight + timedelta(days=1)))
    check_window(start, end, _LONGEST)
    return PricesDocument(
        current=PriceNow.of(snapshot.price),
        from_utc=start,
        to_utc=end,
        real_time=_between(snapshot.book.real_time, start, end),
        day_ahead=_between(snapshot.book.day_ahead, start, end),
    )


@router.post("/prices", status_code=status.HTTP_202_ACCEPTED)
async def push(desk: DeskNow, document: PushedPrices) -> Taken:
    """Take over prices from outside, where the site file says that they are pushed.

    An interval given again replaces what was known of it; all or none of a document is taken. Two rows of one market
    must not overlap.
    """
    pushed = [price for row in document.prices for price in row.prices()]
    _refuse_overlap(document.prices)
    return Taken(accepted=await desk.push_prices(pushed))


def _refuse_overlap(rows: Sequence[PushedPrice]) -> None:
    for market in Market:
        of_market = [
            (price.start, price.end, index)
            for index, row in enumerate(rows)
            for price in row.prices()
            if price.market is market
        ]
        for (_, end, first), (start, _, second) in itertools.pairwise(sorted(of_market)):
            if start < end:
                pointer = f"/prices/{second}"
                detail = f"overlaps /prices/{first} in the {market} market; an interval has one price"
                raise unprocessable(pointer, detail, None)


def _between(known: Sequence[Price], start: datetime, end: datetime) -> list[IntervalPrice]:
    return [
        IntervalPrice(interval_start_utc=price.start, interval_end_utc=price.end, usd_per_mwh=price.usd_per_mwh)
        for price in known
        if price.end > start and price.start < end
    ]
