"""The power block in the books: its energy comes in by the clock, and is set against what the site drew.

Fleets, jobs and cooling are posted at the market price. One more line of each interval, account `ppa`, is what the
contract costs more than that, or less: so the site's sum is what it pays, and who uses power sees what it is worth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.ledger import Account, MeterMark, Posting
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.observation import Metric
from orchestrator.domain.units import JOULES_PER_KWH, KWH_PER_MWH, SECONDS_PER_HOUR

SITE = "site"
CORRECTED = timedelta(days=8)
"""A reading so late still corrects the line of its interval."""


@dataclass(frozen=True, slots=True)
class BlockUse:
    """Of one price of one interval, what is posted so far."""

    start: datetime
    price_usd_per_mwh: float
    block_kwh: float = 0.0
    """Energy of the block."""
    energy_kwh: float = 0.0
    """That the site drew."""


Uses = Mapping[tuple[datetime, float], BlockUse]


def block_mark(mark: MeterMark | None, ppa: Ppa, at: datetime) -> MeterMark:
    """The block's mark at `at`: like a meter's, of energy that comes in whether it is used or not, in J."""
    if mark is None:
        return MeterMark(Metric.PPA_BLOCK, SITE, 0.0, at)
    joules = _block_kwh(ppa, mark.at, at) * JOULES_PER_KWH
    return MeterMark(Metric.PPA_BLOCK, SITE, mark.value + joules, max(at, mark.at))


def post_block(
    ppa: Ppa,
    uses: Uses,
    since: MeterMark | None,
    at: datetime,
    prices: Iterable[tuple[CurrentPrice, float]],
    metered: Iterable[Posting],
) -> tuple[list[Posting], Uses]:
    """Postings to the lines of the block from its mark `since` to `at`, and what is posted by then.

    `prices` are those of that time with their shares of it, `metered` the energy posted since. The line of an interval
    is taken as a whole each time, and what changed of it is posted: so it comes to the same however often one posts.
    Without a mark the contract begins at `at`.
    """
    changed: dict[tuple[datetime, float], BlockUse] = {}
    basis: dict[tuple[datetime, float], str] = {}

    def use(start: datetime, price: float, price_basis: str) -> BlockUse:
        basis.setdefault((start, price), price_basis)
        return changed.get((start, price)) or uses.get((start, price)) or BlockUse(start, price)

    for posting in metered:
        if posting.energy_kwh:
            line = use(posting.start, posting.price_usd_per_mwh, posting.price_basis)
            changed[posting.start, posting.price_usd_per_mwh] = replace(
                line, energy_kwh=line.energy_kwh + posting.energy_kwh
            )
    if since is not None:
        block_kwh = _block_kwh(ppa, since.at, at)
        for price, share in prices:
            line = use(price.interval_start, price.usd_per_mwh, price.basis)
            changed[price.interval_start, price.usd_per_mwh] = replace(
                line, block_kwh=line.block_kwh + block_kwh * share
            )
    postings = []
    for key, line in changed.items():
        before = uses.get(key) or BlockUse(*key)
        if line.block_kwh:
            postings.append(
                Posting(
                    start=line.start,
                    account=Account.PPA,
                    subject=SITE,
                    price_usd_per_mwh=line.price_usd_per_mwh,
                    price_basis=basis[key],
                    cost_usd=_cost_usd(ppa, line) - _cost_usd(ppa, before),
                    quantity=(line.block_kwh - before.block_kwh) / KWH_PER_MWH,
                )
            )
    kept = {key: line for key, line in {**uses, **changed}.items() if line.start >= at - CORRECTED}
    return postings, kept


def _block_kwh(ppa: Ppa, start: datetime, end: datetime) -> float:
    return ppa.block_kw * max((end - start).total_seconds(), 0.0) / SECONDS_PER_HOUR


def _cost_usd(ppa: Ppa, use: BlockUse) -> float:
    return ppa.against_market_usd(use.block_kwh, use.energy_kwh, use.price_usd_per_mwh)
