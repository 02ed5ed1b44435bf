"""Charges in the books: what each of them adds to the market price of what the site drew, a line an interval.

Fleets, jobs and cooling are posted at the market price. One more line of each interval and charge, on the account of
its name, is what it costs more than that, or less: so the site's sum is what it pays, and who uses power sees what it
is worth. Of a charge that bought power ahead, its block comes in by the clock, and is set against what the site drew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.accounting.ledger import MeterMark, Posting
from orchestrator.accounting.power_cost import block_kw
from orchestrator.domain.charge import Charge
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.observation import Metric
from orchestrator.domain.units import JOULES_PER_KWH, KWH_PER_MWH, SECONDS_PER_HOUR

SITE = "site"
CORRECTED = timedelta(days=8)
"""A reading so late still corrects the line of its interval."""


@dataclass(frozen=True, slots=True)
class Charged:
    """Of one charge at one price of one interval, what is posted so far."""

    account: str
    start: datetime
    price_usd_per_mwh: float
    block_kwh: float = 0.0
    """Energy of its block."""
    energy_kwh: float = 0.0
    """That the site drew."""

    @property
    def key(self) -> "Key":
        return self.account, self.start, self.price_usd_per_mwh


Key = tuple[str, datetime, float]
Posted = Mapping[Key, Charged]


def block_mark(mark: MeterMark | None, charges: Iterable[Charge], at: datetime) -> MeterMark:
    """The mark at `at` of the block bought ahead: like a meter's, of energy that comes in whether it is used or not,
    in J."""
    if mark is None:
        return MeterMark(Metric.BLOCK_BOUGHT, SITE, 0.0, at)
    joules = _block_kwh(block_kw(charges), mark.at, at) * JOULES_PER_KWH
    return MeterMark(Metric.BLOCK_BOUGHT, SITE, mark.value + joules, max(at, mark.at))


def post_charges(
    charges: Iterable[Charge],
    posted: Posted,
    since: MeterMark | None,
    at: datetime,
    prices: Iterable[tuple[CurrentPrice, float]],
    metered: Iterable[Posting],
) -> tuple[list[Posting], Posted]:
    """Postings to the lines of the charges up to `at`, and what is posted by then.

    `metered` is the energy posted since, `prices` are those of the time from the block's mark `since` with their shares
    of it. The line of an interval is taken as a whole each time, and what changed of it is posted: so it comes to the
    same however often one posts. Without a mark the block begins to come in at `at`. A charge of nothing has no line.
    """
    metered, prices = list(metered), list(prices)
    postings: list[Posting] = []
    changed: dict[Key, Charged] = {}
    for charge in charges:
        lines, basis = _changed(charge, posted, since, at, prices, metered)
        for line in lines:
            before = posted.get(line.key) or Charged(*line.key)
            cost_usd, booked_usd = _cost_usd(charge, line), _cost_usd(charge, before)
            changed[line.key] = line
            if line.block_kwh or cost_usd or booked_usd:
                postings.append(
                    Posting(
                        start=line.start,
                        account=charge.name,
                        subject=SITE,
                        price_usd_per_mwh=line.price_usd_per_mwh,
                        price_basis=basis[line.key],
                        cost_usd=cost_usd - booked_usd,
                        quantity=(line.block_kwh - before.block_kwh) / KWH_PER_MWH,
                    )
                )
    kept = {key: line for key, line in {**posted, **changed}.items() if line.start >= at - CORRECTED}
    return postings, kept


def _changed(
    charge: Charge,
    posted: Posted,
    since: MeterMark | None,
    at: datetime,
    prices: Iterable[tuple[CurrentPrice, float]],
    metered: Iterable[Posting],
) -> tuple[Iterable[Charged], Mapping[Key, str]]:
    """Of one charge, the lines as they are now, where energy was drawn or its block came in; and what each one's price
    is based on."""
    found: dict[Key, Charged] = {}
    basis: dict[Key, str] = {}

    def line(start: datetime, price_usd_per_mwh: float, price_basis: str) -> Charged:
        key = (charge.name, start, price_usd_per_mwh)
        basis.setdefault(key, price_basis)
        return found.get(key) or posted.get(key) or Charged(*key)

    for posting in metered:
        if posting.energy_kwh:
            of = line(posting.start, posting.price_usd_per_mwh, posting.price_basis)
            found[of.key] = replace(of, energy_kwh=of.energy_kwh + posting.energy_kwh)
    if since is not None and charge.block_kw:
        block_kwh = _block_kwh(charge.block_kw, since.at, at)
        for price, share in prices:
            of = line(price.interval_start, price.usd_per_mwh, price.basis)
            found[of.key] = replace(of, block_kwh=of.block_kwh + block_kwh * share)
    return found.values(), basis


def _block_kwh(power_kw: float, start: datetime, end: datetime) -> float:
    return power_kw * max((end - start).total_seconds(), 0.0) / SECONDS_PER_HOUR


def _cost_usd(charge: Charge, line: Charged) -> float:
    return charge.cost_usd(line.start, line.block_kwh, line.energy_kwh, line.price_usd_per_mwh)
