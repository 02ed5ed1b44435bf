"""Settling: what was metered, worked and broken since last time, posted at its price.

The books are a value. Settling returns new ones beside the records to store, so that whoever stores them takes the
new books over only once they are on disk: nothing is posted twice, and nothing is lost with a failed write.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.accounting.billing import JobRecord, due_of, interruption_credit, new_record, record_for, settle_job
from orchestrator.accounting.charge_lines import CORRECTED, SITE, Posted, block_mark, post_charges
from orchestrator.accounting.integrals import Integrals, carried_on
from orchestrator.accounting.job_work import JobWork, Works, follow_jobs
from orchestrator.accounting.ledger import MeterMark, Posting
from orchestrator.accounting.metering import intervals, meter, parked_posting
from orchestrator.accounting.power_cost import block_kw
from orchestrator.accounting.reconciling import (
    KEPT,
    Advance,
    Booked,
    Reconciled,
    Reconciliation,
    advanced,
    balances,
    reconciled,
    residual_postings,
)
from orchestrator.accounting.unaccounted import Parked, Resolution, Way, book, booked_amount, take_off
from orchestrator.domain.market import CurrentPrice, current_price
from orchestrator.domain.metering.metered import Balance
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.units import INSTANT
from orchestrator.domain.work import JobView, Workloads

SETTLE_EVERY = timedelta(minutes=5)
"""Counters lose nothing between two postings; ERCOT's dispatch runs at this pace too."""

Settled = Posting | MeterMark | JobRecord | Reconciled


@dataclass(frozen=True, slots=True)
class Books:
    """How far meters and jobs are settled."""

    marks: Mapping[tuple[Metric, str], MeterMark] = field(default_factory=dict)
    jobs: Mapping[str, JobRecord] = field(default_factory=dict)
    settled_at: datetime | None = None
    charged: Posted = field(default_factory=dict)
    """What is posted of the charges; empty where there are none."""
    price: tuple[datetime, float] | None = None
    """Interval start and USD/MWh at the last settlement."""
    integrals: Integrals = field(default_factory=dict)
    """Of power and hashrate since then; a restart begins with none."""
    reconciled: Reconciliation = field(default_factory=dict)
    """Of the site's meters against what is booked, as far back as it is still corrected."""
    estimated: frozenset[str] = frozenset()
    """Racks and nodes of which something was posted then for want of a counter."""
    balances: Mapping[str, Balance] = field(default_factory=dict)
    """Of each of the site's meters over the day before that."""
    works: Works = field(default_factory=dict)
    """How far jobs are; a restart goes on from what is on record."""

    def job(self, view: JobView, now: datetime) -> JobRecord:
        return record_for(self.jobs, view) or new_record(view, now)


def followed(site: Site, books: Books, telemetry: Telemetry) -> Books:
    """The books with what was read; each round, so that what has no counter can be settled by its power."""
    return replace(books, integrals=carried_on(site, books.integrals, telemetry))


def jobs_followed(site: Site, books: Books, workloads: Workloads, telemetry: Telemetry) -> Books:
    """The books with how far jobs are; each round, so that what tells no progress is settled by its GPUs and time."""
    jobs: dict[str, JobView] = {}
    on_record: dict[str, JobWork] = {}
    for name, view in workloads.jobs.items():
        record = books.jobs.get(name)
        if record is not None and record.outcome != "open" and view.phase.ended:
            continue
        jobs[name] = view
        if name not in books.works and (work := _on_record(record_for(books.jobs, view), view)) is not None:
            on_record[name] = work
    works = follow_jobs(site, books.works, on_record, replace(workloads, jobs=jobs), telemetry)
    return replace(books, works=works)


def _on_record(record: JobRecord | None, view: JobView) -> JobWork | None:
    """Where the job goes on from. Versions before have billed nothing but what was measured, and kept no more of it:
    an elastic job has held its GPUs for what was billed, or as few as it runs on all the time."""
    if record is None or record.work is not None or not record.billed_gpu_seconds:
        return record.work if record is not None else None
    ran_s = view.elapsed.total_seconds()
    held = min(max(record.billed_gpu_seconds, ran_s * view.job.fewest_gpus), ran_s * view.job.gpus)
    return JobWork(view.elapsed, view.starts, 0.0, view.gpus, held, 0.0, record.billed_gpu_seconds)


def settlement_due(books: Books, snapshot: Snapshot, workloads: Workloads) -> bool:
    """Every few minutes, at each change of price, and when a job's deadline passes."""
    at = books.settled_at
    if at is None or snapshot.at - at >= SETTLE_EVERY:
        return True
    if books.price != (snapshot.price.interval_start, snapshot.price.usd_per_mwh):
        return True
    return any(
        view.job.deadline is not None and at < view.job.deadline <= snapshot.at for view in workloads.jobs.values()
    )


def settle(
    site: Site, books: Books, snapshot: Snapshot, workloads: Workloads, telemetry: Telemetry
) -> tuple[list[Settled], Books]:
    """Post what the counters advanced and the jobs did since `books`: energy, hash, GPU-hours, credits,
    charges."""
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    postings, marks, integrals, estimated, since = meter(
        site,
        telemetry,
        books.marks,
        snapshot.book,
        pue=snapshot.pue,
        hashprice_usd_per_ph_day=hashprice,
        integrals=books.integrals,
    )
    ours = _settle_meters(site, books, snapshot, telemetry, Booked(postings, since))
    charge_postings, charged, block_marks = _settle_charges(site, books, snapshot, [*postings, *ours.postings])
    marks.extend((*ours.marks, *block_marks))
    records: list[Settled] = [*postings, *ours.postings, *ours.changed, *charge_postings, *marks]
    # Work done up to now belongs to the interval that ends now, where one does.
    price = current_price(snapshot.book, snapshot.at - INSTANT, site.stale.price)
    jobs = dict(books.jobs)
    for name, view in workloads.jobs.items():
        before = jobs.get(name)
        if before is not None and before.outcome != "open" and view.phase.ended:
            continue
        work, record = books.works.get(name), books.job(view, snapshot.at)
        due = due_of(view, work, site.stale.telemetry_max_age)
        record, job_postings = settle_job(view, site.tenant(view.job.tenant), record, due, price, snapshot.at)
        record = replace(record, work=work)
        records.extend(job_postings)
        if record != before:
            jobs[name] = record
            records.append(record)
    return records, Books(
        marks={**books.marks, **{(mark.metric, mark.subject): mark for mark in marks}},
        jobs=jobs,
        settled_at=snapshot.at,
        charged=charged,
        price=(snapshot.price.interval_start, snapshot.price.usd_per_mwh),
        integrals={**integrals, **ours.integrals},
        estimated=estimated,
        reconciled=ours.reconciled,
        balances=balances(ours.reconciled, snapshot.at),
        works=books.works,
    )


class _Metered(NamedTuple):
    """What the site's own meters come to."""

    postings: list[Posting]
    changed: list[Reconciled]
    marks: list[MeterMark]
    integrals: Integrals
    reconciled: Reconciliation


def _settle_meters(site: Site, books: Books, snapshot: Snapshot, telemetry: Telemetry, booked: Booked) -> _Metered:
    """Of the meters of the grid connection and of feeders, up to now; `booked` is what the devices came to."""
    prices, advances, parked = _Prices(site, snapshot), list[Advance](), list[Posting]()
    for name in site.meters():
        key = (Metric.METER_ENERGY, name)
        mark, reading = books.marks.get(key), telemetry.get(*key)
        advance = advanced(site, name, mark, reading, books.integrals.get(key))
        advances.append(advance)
        if advance.parked:
            assert mark is not None, "a first reading only sets its mark"
            assert reading.at is not None, "what is parked was read"
            *_, (price, _) = prices.between(mark.at, reading.at)
            parked.append(parked_posting(*key, advance.parked, price))
    changed, known = reconciled(site, books.reconciled, advances, booked, snapshot.pue, prices, snapshot.at)
    return _Metered(
        [*parked, *residual_postings(site, books.reconciled, changed)],
        changed,
        [of.mark for of in advances if of.mark not in (None, books.marks.get((Metric.METER_ENERGY, of.meter)))],
        {(Metric.METER_ENERGY, of.meter): of.integral for of in advances if of.integral is not None},
        known,
    )


class _Prices(NamedTuple):
    """See `reconciling.Prices`."""

    site: Site
    snapshot: Snapshot

    def between(self, start: datetime, end: datetime) -> Iterable[tuple[CurrentPrice, float]]:
        return intervals(self.snapshot.book, start, end, self.site.stale.price)

    def end_of(self, start: datetime) -> datetime:
        return current_price(self.snapshot.book, start, self.site.stale.price).interval_end


def _settle_charges(
    site: Site, books: Books, snapshot: Snapshot, metered: list[Posting]
) -> tuple[list[Posting], Posted, list[MeterMark]]:
    """Of the charges, up to now. The mark of a block bought ahead follows where the site file has none any more: no
    block comes in then."""
    charges, mark = site.grid.charges, books.marks.get((Metric.BLOCK_BOUGHT, SITE))
    ahead = block_kw(charges) > 0.0
    since = mark.at if mark is not None and ahead else snapshot.at
    prices = intervals(snapshot.book, since, snapshot.at, site.stale.price)
    postings, charged = post_charges(charges, books.charged, mark if ahead else None, snapshot.at, prices, metered)
    if ahead:
        return postings, charged, [block_mark(mark, charges, snapshot.at)]
    return postings, charged, [replace(mark, at=snapshot.at)] if mark is not None else []


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks to be done with all that is parked of a meter."""

    id: str
    meter: str
    way: Way
    amount: float | None
    """To book, in the meter's unit; None: what is parked."""
    reason: str
    person: str

    def is_what(self, done: Resolution) -> bool:
        """Whether `done` is the answer to this very request."""
        mine = (self.id, self.meter, self.way, self.amount, self.reason, self.person)
        return mine == (done.id, done.meter, done.way, done.asked, done.reason, done.person)


def account_for(
    site: Site, books: Books, asked: Asked, parked: Parked, snapshot: Snapshot
) -> tuple[Resolution, list[Posting | Reconciled], Books]:
    """Book or write off what is parked of a meter: the resolution, its lines and the books after it.

    ResolutionError where it can't be booked. A charge's line is corrected for as long as a late reading corrects it.
    """
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    amount, booked = 0.0, list[Posting]()
    if asked.way is Way.BOOK:
        amount = booked_amount(site, parked, asked.amount, snapshot.at)
        booked.extend(book(site, parked, amount, pue=snapshot.pue, hashprice_usd_per_ph_day=hashprice))
    recent = [line for line in booked if line.start >= snapshot.at - KEPT]
    prices = _Prices(site, snapshot)
    changed, known = reconciled(site, books.reconciled, (), Booked(recent, {}), snapshot.pue, prices, snapshot.at)
    ours = residual_postings(site, books.reconciled, changed)
    corrected = [line for line in (*booked, *ours) if line.start >= snapshot.at - CORRECTED]
    charges, charged = post_charges(site.grid.charges, books.charged, None, snapshot.at, (), corrected)
    resolution = Resolution(
        id=asked.id,
        at=snapshot.at,
        meter=asked.meter,
        way=asked.way,
        asked=asked.amount,
        parked=parked.amount,
        booked=amount,
        cost_usd=sum(line.cost_usd for line in booked),
        revenue_usd=sum(line.revenue_usd for line in booked),
        reason=asked.reason,
        person=asked.person,
    )
    lines: list[Posting | Reconciled] = [*take_off(parked), *booked, *ours, *changed, *charges]
    return resolution, lines, replace(books, charged=charged, reconciled=known)


def interrupt(site: Site, books: Books, view: JobView, snapshot: Snapshot) -> tuple[list[Settled], Books]:
    """Count an interruption of a job, whoever caused it, and credit it if the job is guaranteed."""
    record, postings = interruption_credit(
        view, site.tenant(view.job.tenant), books.job(view, snapshot.at), snapshot.price
    )
    record = replace(record, interruptions=record.interruptions + 1, last_interrupted_at=snapshot.at)
    return [record, *postings], replace(books, jobs={**books.jobs, view.job.name: record})
