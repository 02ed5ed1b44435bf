"""What is parked on `unaccounted`, by meter, and how somebody accounts for it: booked as that meter's, or written off.

Nothing parked is changed. Accounting for it adds lines with the opposite sign on `unaccounted_resolved`, so that both
sides stay on record and come to nothing together, and where it is booked the lines of its energy or hash.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.accounting.economics import hash_revenue_usd
from orchestrator.accounting.ledger import Account, Posting
from orchestrator.accounting.power_cost import market_usd
from orchestrator.domain.observation import POSSIBLE_SHARE, Metric
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_PH, HASHES_PER_PH_DAY, KWH_PER_MWH, SECONDS_PER_DAY, SECONDS_PER_HOUR

HASH_UNIT, ENERGY_UNIT = "PH/s-days", "MWh"
SETTLED_SHARE = 1e-12
"""Of all that was parked on a line: less than this left on it is rounding."""
BEFORE = timedelta(days=1)
"""A meter may have been away for so long before what it said was parked."""


class ResolutionError(ValueError):
    """What is parked can't be accounted for in this way; the text says why, and what can be done."""


class Way(StrEnum):
    BOOK = "book"
    WRITE_OFF = "write_off"


@dataclass(frozen=True, slots=True)
class Resolution:
    """That somebody has accounted for all that was parked of a meter, for the record; never changed."""

    id: str
    """Of whoever asks: the same one again is the same resolution."""
    at: datetime
    meter: str
    way: Way
    asked: float | None
    """The amount to book that was asked for; None for what was parked."""
    parked: float
    """Taken off, in the meter's unit."""
    booked: float
    """In the meter's unit, before cooling; 0 where it is written off."""
    cost_usd: float
    """Of the energy booked, at the market price and with its cooling."""
    revenue_usd: float
    reason: str
    person: str


@dataclass(frozen=True, slots=True)
class Parked:
    """What is parked of one meter."""

    meter: str
    """Metric and device: `asic_energy_joules_total s21/rack-3`."""
    lines: tuple[Posting, ...]
    """In order of time; `quantity` is what is left of each."""

    @property
    def metric(self) -> str:
        return self.meter.partition(" ")[0]

    @property
    def device(self) -> str:
        return self.meter.partition(" ")[2]

    @property
    def amount(self) -> float:
        """In `unit`; negative where its counter fell."""
        return sum(line.quantity for line in self.lines)

    @property
    def unit(self) -> str:
        return HASH_UNIT if self.metric == Metric.ASIC_HASHES else ENERGY_UNIT

    @property
    def since(self) -> datetime:
        """Start of the first interval in which something was parked."""
        return self.lines[0].start

    @property
    def reason(self) -> str:
        """Why, in words."""
        rose = sum(line.quantity for line in self.lines if line.quantity > 0.0)
        fell = sum(line.quantity for line in self.lines if line.quantity < 0.0)
        parts = [f"rose by {rose:.6g} {self.unit}"] if rose else []
        parts += [f"fell by {-fell:.6g} {self.unit} and was not reset"] if fell else []
        return f"its counter {' and '.join(parts)}, beyond what its nameplate allows in the time"


def parked_of(lines: Iterable[Posting]) -> list[Parked]:
    """By meter, what is left of the lines of `unaccounted` and `unaccounted_resolved`; meters of which nothing is are
    left out."""
    gross: dict[tuple[str, datetime, float], float] = {}
    net: dict[tuple[str, datetime, float], Posting] = {}
    for line in lines:
        key = (line.subject, line.start, line.price_usd_per_mwh)
        gross[key] = max(gross.get(key, 0.0), abs(line.quantity))
        before = net.get(key)
        quantity = line.quantity + (before.quantity if before is not None else 0.0)
        net[key] = replace(line, account=Account.UNACCOUNTED, quantity=quantity)
    meters: dict[str, list[Posting]] = {}
    for key, line in net.items():
        if abs(line.quantity) > SETTLED_SHARE * gross[key]:
            meters.setdefault(line.subject, []).append(line)
    return [
        Parked(meter, tuple(sorted(left, key=lambda line: (line.start, line.price_usd_per_mwh))))
        for meter, left in sorted(meters.items())
    ]


@dataclass(frozen=True, slots=True)
class _Meter:
    """Where the energy or hash of a meter is booked, and what its device does at most."""

    account: Account
    subject: str
    most_per_day: float
    """MWh, or PH/s-days."""


def _meters(site: Site) -> Mapping[str, _Meter]:
    day_h = SECONDS_PER_DAY / SECONDS_PER_HOUR
    found: dict[str, _Meter] = {}
    for fleet, rack in site.racks():
        energy = fleet.rack_nameplate_kw * day_h / KWH_PER_MWH * POSSIBLE_SHARE
        found[f"{Metric.ASIC_ENERGY} {rack}"] = _Meter(Account.MINING, fleet.name, energy)
        phs = fleet.rack_nameplate_hs / HASHES_PER_PH * POSSIBLE_SHARE
        found[f"{Metric.ASIC_HASHES} {rack}"] = _Meter(Account.MINING, fleet.name, phs)
    for pool, node in site.nodes():
        energy = pool.node_nameplate_kw * day_h / KWH_PER_MWH * POSSIBLE_SHARE
        found[f"{Metric.NODE_ENERGY} {node}"] = _Meter(Account.HPC, pool.name, energy)
    return found


def take_off(parked: Parked) -> list[Posting]:
    """The lines that bring what is parked to nothing, in the intervals in which it was."""
    return [replace(line, account=Account.RESOLVED, quantity=-line.quantity) for line in parked.lines]


def booked_amount(site: Site, parked: Parked, asked: float | None, now: datetime) -> float:
    """What is to be booked of a meter, in its unit: what is parked, or `asked` instead. ResolutionError if that is no
    energy or hash that its device can have done."""
    meter = _meters(site).get(parked.meter)
    if meter is None:
        raise ResolutionError(
            f"{parked.meter} is no counter of a rack or node of this site: it can only be written off"
        )
    amount = parked.amount if asked is None else asked
    unit = parked.unit
    if amount <= 0.0:
        raise ResolutionError(
            f"{amount:.6g} {unit} of {parked.meter} are nothing to book: give the amount that is, or write it off"
        )
    days = (now - parked.since + BEFORE) / timedelta(days=1)
    most = meter.most_per_day * days
    if amount > most:
        raise ResolutionError(
            f"{amount:.6g} {unit} are more than {parked.device} can have done since {parked.since:%FT%TZ} and the day "
            f"before: {most:.6g} at most; give the amount, or write it off"
        )
    return amount


def book(
    site: Site, parked: Parked, amount: float, *, pue: float, hashprice_usd_per_ph_day: float
) -> Sequence[Posting]:
    """The lines of `amount` of a meter of this site, in equal parts over the intervals in which something was parked,
    each at its price; cooling included. PUE and hashprice are those of now, as for all that is posted late.

    Equal parts, since what was parked in an interval is what is wrong with the counter, and says nothing of what its
    device did there.
    """
    meter, hashes = _meters(site)[parked.meter], parked.unit == HASH_UNIT
    part = amount / len(parked.lines)
    postings: list[Posting] = []
    for line in parked.lines:
        bare = replace(line, account=meter.account, subject=meter.subject, quantity=0.0)
        if hashes:
            usd = hash_revenue_usd(part * HASHES_PER_PH_DAY, hashprice_usd_per_ph_day)
            postings.append(replace(bare, quantity=part, revenue_usd=usd))
            continue
        for account, subject, kwh in (
            (meter.account, meter.subject, part * KWH_PER_MWH),
            (Account.OVERHEAD, "site", part * KWH_PER_MWH * (pue - 1.0)),
        ):
            cost_usd = market_usd(line.start, kwh, line.price_usd_per_mwh)
            postings.append(replace(bare, account=account, subject=subject, energy_kwh=kwh, cost_usd=cost_usd))
    return postings
