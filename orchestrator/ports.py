"""The doors of the controller. Adapters are held to them by the contract tests in `tests/contract`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.charge_lines import Charged
from orchestrator.accounting.ledger import MeterMark, Posting
from orchestrator.accounting.reconciling import Reconciled
from orchestrator.accounting.unaccounted import Resolution
from orchestrator.domain.decision import Ack, Breach, Decision, Move, Outcome
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Price, PriceBook
from orchestrator.domain.observation import Reading, Telemetry
from orchestrator.domain.work import Workloads


class PriceSource(Protocol):
    """Energy prices at the site's settlement point."""

    async def read(self, now: datetime) -> PriceBook:
        """All prices known at `now`: real-time intervals that have begun, day-ahead ones as far as published.

        A source that cannot be reached returns what it last knew (the stale policy sees its age) and raises
        nothing. Prices are USD/MWh; a value that is no number is refused where it comes in and never returned.
        """
        ...


class SeriesSource(Protocol):
    """One slowly changing figure: outdoor temperature (degC) or hashprice (USD per PH/s per day)."""

    async def read(self, now: datetime) -> Reading:
        """The newest value published by `now`; MISSING if there is none.

        `now` may lie in the past: what was measured since is then no matter.
        """
        ...


class MetricSource(Protocol):
    """Measured power, energy, hash and progress of the site's devices and jobs."""

    async def read(self, now: datetime) -> Telemetry:
        """The newest reading of every series seen so far, each with the time it was measured at.

        A device that stops answering keeps its last reading, whose age shows; one never seen has none. Never
        raises for a device or server that fails. Quality is FRESH as returned; the controller grades by age.
        """
        ...


class WorkloadDriver(Protocol):
    """What moves racks and jobs. The driver's objects are the truth about what was asked of them."""

    async def observe(self, now: datetime) -> Workloads:
        """Setpoints and phases as accepted, whoever set them."""
        ...

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        """Carry out one move; returns when it is accepted, not when watts have moved.

        Doing it again changes nothing. A move that cannot be made (no such fleet, counts that do not add up, no
        free GPUs, a job that has ended) is refused with a reason, never raised.
        """
        ...

    async def renew(self, until: datetime, now: datetime) -> None:
        """Extend the lease on all setpoints; agents whose lease ran out fall to sleep by themselves."""
        ...


@dataclass(frozen=True, slots=True)
class ObservationRecord:
    """One observation, compact: grid kW by use and feeder, and what it was judged against."""

    at: datetime
    price_usd_per_mwh: float
    price_basis: str
    grid_kw: float
    mining_kw: float
    hpc_kw: float
    overhead_kw: float
    limit_kw: float
    above_limit_s: float
    """Seconds since the observation before during which measured power was above a cap."""
    feeder_kw: tuple[tuple[str, float], ...]
    stale: tuple[str, ...]
    """Names of inputs that were stale or missing."""


Record = (
    ObservationRecord
    | Decision
    | Outcome
    | Posting
    | MeterMark
    | Reconciled
    | Curtailment
    | Breach
    | JobRecord
    | Price
    | Resolution
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller needs from the store to go on where it was."""

    curtailments: tuple[Curtailment, ...] = ()
    """Those not yet over."""
    breaches: tuple[Breach, ...] = ()
    """Those not resolved."""
    marks: tuple[MeterMark, ...] = ()
    jobs: tuple[JobRecord, ...] = ()
    prices: tuple[Price, ...] = ()
    """As far back as a price book reaches, by market and start."""
    charged: tuple[Charged, ...] = ()
    """Of each charge, what is posted of each price and interval that a late meter may still add to."""
    reconciled: tuple[Reconciled, ...] = ()
    """Of the site's meters against what is booked, as far back as it is still corrected."""
    unsettled: tuple[tuple[Decision, tuple[Outcome, ...]], ...] = field(default=())
    """Decisions with actions that were neither measured, refused, late nor superseded, with the outcomes they have."""
    last_observation: ObservationRecord | None = None


class Store(Protocol):
    """The record of what was seen, decided, done and earned."""

    def record(self, records: Sequence[Record]) -> None:
        """Write all in one transaction, on disk when it returns.

        Postings add to their line; marks, reconciled intervals, outcomes, curtailments, breaches and job records replace
        the one with their key; a price replaces those of its market that it overlaps; decisions and observations are
        written once, and again changes nothing; a resolution is written once, and again is an error.
        """
        ...

    def restore(self, now: datetime) -> Memory:
        """The state at the last transaction."""
        ...

    def decisions(self, limit: int, before: str | None = None) -> Sequence[tuple[Decision, tuple[Outcome, ...]]]:
        """The newest first, older than decision id `before` if given."""
        ...

    def decision(self, decision_id: str) -> tuple[Decision, tuple[Outcome, ...]] | None: ...

    def ledger(self, start: datetime, end: datetime) -> Sequence[Posting]:
        """Ledger lines of intervals with `start <= line.start < end`, summed, by start, account, subject."""
        ...

    def parked(self) -> Sequence[Posting]:
        """Every ledger line of the accounts `unaccounted` and `unaccounted_resolved`, by start, account, subject."""
        ...

    def resolution(self, resolution_id: str) -> Resolution | None: ...

    def resolutions(self, limit: int) -> Sequence[Resolution]:
        """What was accounted for by somebody, the newest first."""
        ...

    def observations(self, start: datetime, end: datetime) -> Sequence[ObservationRecord]:
        """In order of time, `start <= at < end`."""
        ...

    def breaches(self, start: datetime, end: datetime) -> Sequence[Breach]:
        """Breaches opened in `[start, end)` or still open, in order of opening."""
        ...
