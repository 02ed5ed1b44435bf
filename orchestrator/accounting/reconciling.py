"""Energy by the site's meters against what is booked of the devices behind them, by meter and price interval.

    residual = metered - devices x covered

`metered` is by the meter's counter, judged as a device's is, else integrated from its power; `devices` is all that is
booked, overhead included; `covered` the share of the interval's time so far that the meter was counting, so that an
hour in which it said nothing leaves no residual. An interval is taken as a whole each time something of it changes, so
a device or a meter that comes late corrects it, and it comes to the same however often one settles.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from orchestrator.accounting.counters import Part, settle_meter
from orchestrator.accounting.integrals import Integral
from orchestrator.accounting.ledger import Account, MeterMark, Posting
from orchestrator.accounting.power_cost import market_usd
from orchestrator.domain.market import CurrentPrice
from orchestrator.domain.metering.metered import Balance
from orchestrator.domain.metering.points import GRID_METER
from orchestrator.domain.observation import Metric, Reading
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import JOULES_PER_KWH

KEPT = timedelta(days=31)
"""What is booked so late of a device still corrects the residual of its interval."""
DAY = timedelta(days=1)
WHOLE_S = 1e-3
"""An interval that is covered but for less than this is covered: times are in microseconds."""

Key = tuple[str, datetime, float]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Of one meter, one price interval and one price in it, all that is booked so far."""

    meter: str
    """`grid` or a feeder."""
    start: datetime
    price_usd_per_mwh: float
    price_basis: str
    metered_kwh: float = 0.0
    estimated_kwh: float = 0.0
    """Of it, integrated from the meter's power for want of a counter."""
    devices_kwh: float = 0.0
    """Of the devices behind it, with their overhead."""
    booked_from: datetime | None = None
    """From when on something is booked of devices in the interval: later than its start where a site begins."""
    covered_s: float = 0.0
    """Of the interval, that the meter's energy is of."""
    residual_kwh: float = 0.0
    """What the meter counted and no device explains; negative where they say more."""

    @property
    def key(self) -> Key:
        return self.meter, self.start, self.price_usd_per_mwh


Reconciliation = Mapping[Key, Reconciled]


class Prices(Protocol):
    """What is known of them at the settlement."""

    def between(self, start: datetime, end: datetime) -> Iterable[tuple[CurrentPrice, float]]:
        """A stretch of time by price, each with its share of it."""
        ...

    def end_of(self, start: datetime) -> datetime:
        """Of the interval that begins at `start`."""
        ...


class Booked(NamedTuple):
    """What was posted; of it the energy of devices and their overhead counts."""

    postings: Iterable[Posting]
    since: Mapping[datetime, datetime]
    """By start of the interval, the earliest time that something of it was done; its start where it is not there."""


class Covered(NamedTuple):
    """A stretch of time of which a meter has counted so many seconds: fewer where it said nothing for a while."""

    start: datetime
    end: datetime
    seconds: float
    lacked: bool = False
    """They were not counted before: they are of the intervals that lack them."""


class Advance(NamedTuple):
    """Of one meter, since it was settled."""

    meter: str
    parts: tuple[Part, ...]
    """In J."""
    covered: tuple[Covered, ...]
    parked: float
    """In J."""
    mark: MeterMark | None
    integral: Integral | None


def advanced(site: Site, meter: str, mark: MeterMark | None, reading: Reading, integral: Integral | None) -> Advance:
    """What a meter has counted since its mark. `reading` is its counter's, suspect where the meter is.

    Where the time is not covered, by its counter or by its power, nothing is taken: of a counter that was reset while
    nobody looked, nobody knows since when it counts.
    """
    nameplate_w, max_age = site.metered_nameplate_kw(meter) * 1000.0, site.stale.telemetry_max_age
    done = settle_meter((Metric.METER_ENERGY, meter), mark, reading, integral, nameplate_w, max_age)
    before_s, after_s = (integral.before_s, integral.after_s) if integral is not None else (0.0, 0.0)
    new, parts, covered = done.mark, done.parts, list[Covered]()
    if mark is not None and mark.counted and new is not None and new.at > mark.at:
        start = max(mark.at, mark.estimated_to or mark.at)
        if not done.parked and new.value >= mark.value:
            if start > mark.at:  # while it said nothing power was taken, and is now made up for where that was not read
                lacked_s = (start - mark.at).total_seconds() - mark.estimated_s
                covered.append(Covered(mark.at, start, lacked_s, lacked=True))
            covered.append(Covered(start, new.at, (new.at - start).total_seconds()))
        else:  # by its power alone: a counter that was reset may count what power was posted for, or was not read for
            if before_s < (new.at - start - max_age).total_seconds():
                start = new.at - timedelta(seconds=before_s)  # it has been watched again since then
            amount = integral.before if integral is not None else 0.0
            watched = (Part(start, new.at, amount, estimated=True),) if before_s else ()
            parts = (*watched, *(part for part in parts if part.start >= new.at))
            covered.append(Covered(start, new.at, before_s))
        if parts and parts[-1].end > new.at:
            covered.append(Covered(new.at, parts[-1].end, after_s))
    elif parts:
        covered.append(Covered(parts[0].start, parts[-1].end, before_s + after_s))
    counted = (of._replace(seconds=min(of.seconds, (of.end - of.start).total_seconds())) for of in covered)
    return Advance(meter, parts, tuple(of for of in counted if of.seconds > 0.0), done.parked, new, done.integral)


def reconciled(
    site: Site,
    before: Reconciliation,
    advances: Iterable[Advance],
    booked: Booked,
    pue: float,
    prices: Prices,
    at: datetime,
) -> tuple[list[Reconciled], Reconciliation]:
    """What has changed up to `at`, and all that is known by then.

    `booked` is what was posted since, at `pue`. Lines of intervals that no meter covers are kept too, since its reading
    may come later.
    """
    changed: dict[Key, Reconciled] = {}

    def line(meter: str, start: datetime, price_usd_per_mwh: float, basis: str) -> Reconciled:
        key = (meter, start, price_usd_per_mwh)
        return changed.get(key) or before.get(key) or Reconciled(meter, start, price_usd_per_mwh, basis)

    for advance in advances:
        for part in advance.parts:
            for price, share in prices.between(part.start, part.end):
                of = line(advance.meter, price.interval_start, price.usd_per_mwh, price.basis)
                kwh = part.amount * share / JOULES_PER_KWH
                estimated_kwh = of.estimated_kwh + (kwh if part.estimated else 0.0)
                changed[of.key] = replace(of, metered_kwh=of.metered_kwh + kwh, estimated_kwh=estimated_kwh)
        for covered in advance.covered:
            for price, share in _shared(advance.meter, covered, {**before, **changed}, prices):
                of = line(advance.meter, price.interval_start, price.usd_per_mwh, price.basis)
                changed[of.key] = replace(of, covered_s=of.covered_s + covered.seconds * share)
    feeders = {of.name: of.feeder for of in site.behind(GRID_METER)}
    for posting in booked.postings:
        since = booked.since.get(posting.start, posting.start)
        for meter in site.meters():
            kwh = _behind_kwh(posting, meter, feeders, pue)
            if kwh:
                of = line(meter, posting.start, posting.price_usd_per_mwh, posting.price_basis)
                since = min(since, of.booked_from or since)
                changed[of.key] = replace(of, devices_kwh=of.devices_kwh + kwh, booked_from=since)
    known = {**before, **changed}
    shares = _covered(known, {(meter, start) for meter, start, _ in changed}, prices, at)
    for key, of in list(known.items()):  # of an interval with several prices all lines change with what is covered
        passed = shares.get((of.meter, of.start))
        if passed is not None:
            residual_kwh = of.metered_kwh - of.devices_kwh * passed
            if key in changed or residual_kwh != of.residual_kwh:
                changed[key] = known[key] = replace(of, residual_kwh=residual_kwh)
    return list(changed.values()), {key: of for key, of in known.items() if of.start >= at - KEPT}


def _shared(meter: str, covered: Covered, known: Reconciliation, prices: Prices) -> list[tuple[CurrentPrice, float]]:
    """The time covered by price, each with its share of the seconds."""
    pieces = list(prices.between(covered.start, covered.end))
    if not covered.lacked:
        return pieces
    lacks_s = []
    for price, share in pieces:
        start = price.interval_start
        counted_s = sum(of.covered_s for of in known.values() if (of.meter, of.start) == (meter, start))
        passed = min(price.interval_end, covered.end) - start
        of_piece_s = share * (covered.end - covered.start).total_seconds()
        lacks_s.append(max(min(of_piece_s, passed.total_seconds() - counted_s), 0.0))
    total_s = sum(lacks_s)
    return [(price, lack_s / total_s) for (price, _), lack_s in zip(pieces, lacks_s, strict=True)] if total_s else []


def _behind_kwh(posting: Posting, meter: str, feeders: Mapping[str, str], pue: float) -> float:
    """Of what was posted, what came by a meter. Overhead is the site's; each feeder's part goes with its devices."""
    if posting.account not in (Account.MINING, Account.HPC, Account.OVERHEAD):
        return 0.0
    if meter == GRID_METER:
        return posting.energy_kwh
    return posting.energy_kwh * pue if feeders.get(posting.subject) == meter else 0.0


def _covered(
    known: Reconciliation, of: Container[tuple[str, datetime]], prices: Prices, at: datetime
) -> dict[tuple[str, datetime], float]:
    """The shares of the intervals `of` these meters and starts, as far as they have passed, that are covered."""
    covered_s: dict[tuple[str, datetime], float] = {}
    since: dict[tuple[str, datetime], datetime] = {}
    for line in known.values():
        if (key := (line.meter, line.start)) in of:
            covered_s[key] = covered_s.get(key, 0.0) + line.covered_s
            if line.booked_from is not None:
                since[key] = min(since.get(key, line.booked_from), line.booked_from)
    shares = {}
    for (meter, start), seconds in covered_s.items():
        passed_s = (min(prices.end_of(start), at) - since.get((meter, start), start)).total_seconds()
        shares[meter, start] = 1.0 if seconds >= passed_s - WHOLE_S else seconds / passed_s
    return shares


def billed_meters(site: Site) -> tuple[str, ...]:
    """The meters whose residual is paid for: that of the grid connection, else those of feeders."""
    meters = site.meters()
    return (GRID_METER,) if GRID_METER in meters else tuple(meters)


def residual_postings(site: Site, before: Reconciliation, changed: Iterable[Reconciled]) -> list[Posting]:
    """What has changed of the residual that is paid for, at the market price of its interval."""
    billed = billed_meters(site)
    postings = []
    for line in changed:
        was = before.get(line.key)
        kwh = line.residual_kwh - (was.residual_kwh if was is not None else 0.0)
        if kwh and line.meter in billed:
            postings.append(
                Posting(
                    start=line.start,
                    account=Account.RESIDUAL,
                    subject=f"meter {line.meter}",
                    price_usd_per_mwh=line.price_usd_per_mwh,
                    price_basis=line.price_basis,
                    energy_kwh=kwh,
                    cost_usd=market_usd(line.start, kwh, line.price_usd_per_mwh),
                )
            )
    return postings


def balances(known: Reconciliation, at: datetime) -> Mapping[str, Balance]:
    """Of each meter over the intervals of the day before `at`."""
    found: dict[str, Balance] = {}
    for line in known.values():
        if line.start >= at - DAY and line.covered_s:
            was = found.get(line.meter, Balance(0.0, 0.0))
            found[line.meter] = Balance(was.metered_kwh + line.metered_kwh, was.residual_kwh + line.residual_kwh)
    return found
