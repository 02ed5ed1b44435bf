"""From device counters to the ledger: energy, hash and GPU-hours by price interval.

Counters are read, not power integrated: a reading that comes late, or after the controller was away, still posts
every joule since the mark before, shared out over the price intervals between the two by time. Only where a device has
no counter, or its counter stands still, its power is integrated, and what is posted of it is marked as estimated. PUE
and hashprice are those at the time of posting. What a counter says and its device's nameplate rules out is parked, on
the account `unaccounted`, and booked nowhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from orchestrator.accounting.counters import settle_meter
from orchestrator.accounting.economics import hash_revenue_usd
from orchestrator.accounting.integrals import Integral, Integrals
from orchestrator.accounting.ledger import Account, MeterMark, Posting
from orchestrator.accounting.power_cost import market_usd
from orchestrator.domain.market import CurrentPrice, PriceBook, PricePolicy, current_price
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_PH_DAY, JOULES_PER_KWH, KWH_PER_MWH

Marks = Mapping[tuple[Metric, str], MeterMark]


@dataclass(slots=True)
class _Line:
    joules: float = 0.0
    hashes: float = 0.0
    estimated_joules: float = 0.0
    estimated_hashes: float = 0.0


class Metered(NamedTuple):
    """What the meters come to since their marks."""

    postings: list[Posting]
    marks: list[MeterMark]
    """The new ones."""
    integrals: Integrals
    """What is left of them to settle."""
    estimated: frozenset[str]
    """Devices of which something is posted from power or hashrate."""
    since: Mapping[datetime, datetime]
    """By start of the price interval, the earliest time that what is posted was done."""


def meter(
    site: Site,
    telemetry: Telemetry,
    marks: Marks,
    book: PriceBook,
    *,
    pue: float,
    hashprice_usd_per_ph_day: float,
    integrals: Integrals = MappingProxyType({}),
) -> Metered:
    """Postings for all that the meters did since their marks; `settle_meter` says what of it can be true."""
    lines: dict[tuple[Account, str, CurrentPrice], _Line] = {}
    new_marks: list[MeterMark] = []
    parked: list[Posting] = []
    cuts: dict[tuple[datetime, datetime], list[tuple[CurrentPrice, float]]] = {}
    left: dict[tuple[Metric, str], Integral] = {}
    uncounted: set[str] = set()
    since: dict[datetime, datetime] = {}

    def cut(start: datetime, end: datetime) -> list[tuple[CurrentPrice, float]]:
        if (start, end) not in cuts:
            cuts[start, end] = list(intervals(book, start, end, site.stale.price))
        return cuts[start, end]

    def post(metric: Metric, meter_subject: str, account: Account, subject: str, nameplate_per_s: float) -> None:
        key = (metric, meter_subject)
        mark, integral, reading = marks.get(key), integrals.get(key), telemetry.get(metric, meter_subject)
        done = settle_meter(key, mark, reading, integral, nameplate_per_s, site.stale.telemetry_max_age)
        if done.mark is not None and done.mark is not mark:
            new_marks.append(done.mark)
        if done.integral is not None:
            left[key] = done.integral
        if done.parked:
            assert mark is not None, "a first reading only sets its mark"
            assert reading.at is not None, "what is parked was read"
            parked.append(parked_posting(metric, meter_subject, done.parked, cut(mark.at, reading.at)[-1][0]))
        for part in done.parts:
            for price, share in cut(part.start, part.end):
                start = price.interval_start
                since[start] = min(since.get(start, part.end), max(part.start, start))
                line = lines.setdefault((account, subject, price), _Line())
                amount = part.amount * share
                estimated = amount if part.estimated else 0.0
                if part.estimated:
                    uncounted.add(meter_subject)
                if metric is Metric.ASIC_HASHES:
                    line.hashes += amount
                    line.estimated_hashes += estimated
                else:
                    line.joules += amount
                    line.estimated_joules += estimated

    for fleet in site.fleets:
        for rack in fleet.rack_names():
            post(Metric.ASIC_ENERGY, rack, Account.MINING, fleet.name, fleet.rack_nameplate_kw * 1000.0)
            post(Metric.ASIC_HASHES, rack, Account.MINING, fleet.name, fleet.rack_nameplate_hs)
    for pool in site.pools:
        for node in pool.node_names():
            post(Metric.NODE_ENERGY, node, Account.HPC, pool.name, pool.node_nameplate_kw * 1000.0)

    postings = parked
    overhead: dict[CurrentPrice, _Line] = {}
    for (account, subject, price), line in lines.items():
        more = overhead.setdefault(price, _Line())
        more.joules += line.joules * (pue - 1.0)
        more.estimated_joules += line.estimated_joules * (pue - 1.0)
        postings.append(_posting(account, subject, price, line, hashprice_usd_per_ph_day))
    postings.extend(
        _posting(Account.OVERHEAD, "site", price, line, hashprice_usd_per_ph_day) for price, line in overhead.items()
    )
    return Metered(postings, new_marks, left, frozenset(uncounted), since)


def parked_posting(metric: Metric, meter_subject: str, jump: float, price: CurrentPrice) -> Posting:
    """The jump of a meter, at the interval in which it was read."""
    per_unit = HASHES_PER_PH_DAY if metric is Metric.ASIC_HASHES else JOULES_PER_KWH * KWH_PER_MWH
    return Posting(
        start=price.interval_start,
        account=Account.UNACCOUNTED,
        subject=f"{metric.value} {meter_subject}",
        price_usd_per_mwh=price.usd_per_mwh,
        price_basis=price.basis,
        quantity=jump / per_unit,
    )


def intervals(
    book: PriceBook, start: datetime, end: datetime, policy: PricePolicy
) -> Iterable[tuple[CurrentPrice, float]]:
    """The price in force over `[start, end)`, piece by piece, each with its share of the time."""
    total_s = (end - start).total_seconds()
    at = start
    while at < end:
        price = current_price(book, at, policy)
        until = min(price.interval_end, end)
        yield price, (until - at).total_seconds() / total_s
        at = until


def _posting(
    account: Account, subject: str, price: CurrentPrice, line: _Line, hashprice_usd_per_ph_day: float
) -> Posting:
    energy_kwh = line.joules / JOULES_PER_KWH
    return Posting(
        start=price.interval_start,
        account=account,
        subject=subject,
        price_usd_per_mwh=price.usd_per_mwh,
        price_basis=price.basis,
        energy_kwh=energy_kwh,
        cost_usd=market_usd(price.interval_start, energy_kwh, price.usd_per_mwh),
        quantity=line.hashes / HASHES_PER_PH_DAY,
        revenue_usd=hash_revenue_usd(line.hashes, hashprice_usd_per_ph_day),
        estimated_kwh=line.estimated_joules / JOULES_PER_KWH,
        estimated_usd=hash_revenue_usd(line.estimated_hashes, hashprice_usd_per_ph_day),
    )
