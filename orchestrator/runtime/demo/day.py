"""The day that a demo plays: which one of a price file, from when, and with which jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.accounting.economics import mode_steps
from orchestrator.adapters.prices.file import PriceFile
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.domain.market import Market, Price
from orchestrator.domain.site.site import Site
from orchestrator.runtime.feeds import read_price_files
from orchestrator.settings.values import FilePrices

LEAD = timedelta(minutes=30)
"""Site time before the event at which the demo opens: devices start and machines warm up in it, and then hash."""
TYPICAL_PUE = 1.1


class DayError(Exception):
    """The price file has no such day; the text says what there is."""


@dataclass(frozen=True, slots=True)
class PriceDay:
    """One local day of prices, or less where the file has less."""

    prices: ReplayedPrices
    start: datetime
    end: datetime
    event: datetime
    """When power first costs more than the best fleet's hash is worth, or the dearest interval where it never does."""
    event_usd_per_mwh: float
    name: str

    @property
    def opening(self) -> datetime:
        return max(self.start, self.event - LEAD)


def price_day(
    site: Site, feed: FilePrices, on: date | None, hashprice_usd_per_ph_day: Callable[[datetime], float]
) -> PriceDay:
    """The local day `on` of the feed's files, else the one with the highest price. Bad files raise PriceFileError."""
    files = read_price_files(feed)
    prices = [price for file in files for price in file.prices]
    real_time = [price for price in prices if price.market is Market.REAL_TIME]
    if not real_time:
        raise DayError(f"{_names(files)}: no real-time prices; a day is settled on them, so a file must have some")
    zone = ZoneInfo(site.timezone)
    days: dict[date, list[Price]] = {}
    for price in real_time:
        days.setdefault(price.start.astimezone(zone).date(), []).append(price)
    if on is not None and on not in days:
        raise DayError(f"{_names(files)}: no prices on {on}; it has {min(days)} to {max(days)} (local days)")
    chosen = on or max(days, key=lambda day: max(price.usd_per_mwh for price in days[day]))
    of_day = sorted(days[chosen], key=lambda price: price.start)
    event = _event(site, of_day, hashprice_usd_per_ph_day(of_day[0].start))
    return PriceDay(
        prices=ReplayedPrices(prices, site.timezone),
        start=of_day[0].start,
        end=of_day[-1].end,
        event=event.start,
        event_usd_per_mwh=event.usd_per_mwh,
        name=f"{chosen} of {_names(files)}",
    )


def _event(site: Site, prices: Sequence[Price], hashprice_usd_per_ph_day: float) -> Price:
    best = max(
        (mode_steps(fleet, hashprice_usd_per_ph_day, TYPICAL_PUE)[0].value_usd_per_mwh for fleet in site.fleets),
        default=0.0,
    )
    for price in prices:
        if price.usd_per_mwh > best:
            return price
    return max(prices, key=lambda price: price.usd_per_mwh)


def local(at: datetime, site: Site) -> str:
    return f"{at.astimezone(ZoneInfo(site.timezone)):%H:%M}"


def at_local(clock: time, day: PriceDay, site: Site) -> datetime:
    """A local time of day on the day that is played."""
    zone = ZoneInfo(site.timezone)
    at = datetime.combine(day.start.astimezone(zone).date(), clock, zone).astimezone(day.start.tzinfo)
    if not day.start <= at < day.end:
        raise DayError(f"{clock:%H:%M} is not on the day played: {local(day.start, site)} to {local(day.end, site)}")
    return at


def _names(files: Sequence[PriceFile]) -> str:
    return ", ".join(Path(file.path).name for file in files)
