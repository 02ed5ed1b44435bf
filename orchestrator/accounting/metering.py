"""From device counters to the ledger: energy, hash and GPU-hours by price interval.

Counters are read, not power integrated: a reading that comes late, or after the controller was away, still posts
every joule since the mark before, shared out over the price intervals between the two by time. PUE and hashprice are
those at the time of posting. What a counter says and its device's nameplate rules out is parked, on the account
`unaccounted`, and booked nowhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.accounting.counters import advance_of
from orchestrator.accounting.economics import hash_revenue_usd
from orchestrator.accounting.ledger import Account, MeterMark, Posting
from orchestrator.accounting.power_cost import market_usd
from orchestrator.domain.market import CurrentPrice, PriceBook, PricePolicy, current_price
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site import Site
from orchestrator.domain.units import HASHES_PER_PH_DAY, JOULES_PER_KWH, KWH_PER_MWH

Marks = Mapping[tuple[Metric, str], MeterMark]


@dataclass(slots=True)
class _Line:
    joules: float = 0.0
    hashes: float = 0.0


def meter(
    site: Site,
    telemetry: Telemetry,
    marks: Marks,
    book: PriceBook,
    *,
    pue: float,
    hashprice_usd_per_ph_day: float,
) -> tuple[list[Posting], list[MeterMark]]:
    """Postings for all that the energy and hash counters advanced since their marks, and the new marks.

    A counter seen for the first time only sets its mark. `advance_of` says what of its advance can be true.
    """
    lines: dict[tuple[Account, str, CurrentPrice], _Line] = {}
    new_marks: list[MeterMark] = []
    parked: list[Posting] = []
    cuts: dict[tuple[datetime, datetime], list[tuple[CurrentPrice, float]]] = {}

    def post(metric: Metric, meter_subject: str, account: Account, subject: str, nameplate_per_s: float) -> None:
        reading = telemetry.get(metric, meter_subject)
        if reading.value is None or reading.at is None:
            return
        mark = marks.get((metric, meter_subject))
        if mark is not None and reading.at <= mark.at:
            return
        new_marks.append(MeterMark(metric, meter_subject, reading.value, reading.at))
        if mark is None:
            return
        span = (mark.at, reading.at)
        most = nameplate_per_s * (reading.at - mark.at).total_seconds()
        advance, jump = advance_of(mark.value, reading.value, most)
        if not advance and not jump:
            return
        if span not in cuts:
            cuts[span] = list(intervals(book, mark.at, reading.at, site.stale.price))
        if jump:
            parked.append(_parked(metric, meter_subject, jump, cuts[span][-1][0]))
            return
        for price, share in cuts[span]:
            line = lines.setdefault((account, subject, price), _Line())
            if metric is Metric.ASIC_HASHES:
                line.hashes += advance * share
            else:
                line.joules += advance * share

    for fleet in site.fleets:
        for rack in fleet.rack_names():
            post(Metric.ASIC_ENERGY, rack, Account.MINING, fleet.name, fleet.rack_nameplate_kw * 1000.0)
            post(Metric.ASIC_HASHES, rack, Account.MINING, fleet.name, fleet.rack_nameplate_hs)
    for pool in site.pools:
        for node in pool.node_names():
            post(Metric.NODE_ENERGY, node, Account.HPC, pool.name, pool.node_nameplate_kw * 1000.0)

    postings = parked
    overhead: dict[CurrentPrice, float] = {}
    for (account, subject, price), line in lines.items():
        energy_kwh = line.joules / JOULES_PER_KWH
        overhead[price] = overhead.get(price, 0.0) + energy_kwh * (pue - 1.0)
        postings.append(
            _posting(
                account,
                subject,
                price,
                energy_kwh=energy_kwh,
                quantity=line.hashes / HASHES_PER_PH_DAY,
                revenue_usd=hash_revenue_usd(line.hashes, hashprice_usd_per_ph_day),
            )
        )
    postings.extend(_posting(Account.OVERHEAD, "site", price, energy_kwh=kwh) for price, kwh in overhead.items())
    return postings, new_marks


def _parked(metric: Metric, meter_subject: str, jump: float, price: CurrentPrice) -> Posting:
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
    account: Account,
    subject: str,
    price: CurrentPrice,
    *,
    energy_kwh: float,
    quantity: float = 0.0,
    revenue_usd: float = 0.0,
) -> Posting:
    return Posting(
        start=price.interval_start,
        account=account,
        subject=subject,
        price_usd_per_mwh=price.usd_per_mwh,
        price_basis=price.basis,
        energy_kwh=energy_kwh,
        cost_usd=market_usd(price.interval_start, energy_kwh, price.usd_per_mwh),
        quantity=quantity,
        revenue_usd=revenue_usd,
    )
