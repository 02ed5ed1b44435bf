"""What the API needs of the running controller. `runtime/live_site.py` implements it; tests hand in a fake."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.settlement import Asked
from orchestrator.accounting.unaccounted import Resolution
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import Price
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobView
from orchestrator.explain.plan_view import PlanState
from orchestrator.ports import Store


class DeskRefusalError(Exception):
    """The site cannot do what was asked as it stands now; its text says why. Answered as 409."""


@dataclass(frozen=True, slots=True)
class ClockInfo:
    """Site time, and whether it is real."""

    now: datetime
    speed: float
    """Seconds of site time a wall second."""
    simulated: bool
    day_start: datetime | None = None
    """First instant of the replayed day; None on a live site."""
    day_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskedOrder:
    """A curtailment as it is asked for; exactly one of `limit_kw` and `shed_kw` is given."""

    at: Target
    """The grid connection or a feeder of the site."""
    limit_kw: float | None
    shed_kw: float | None
    until: datetime
    """Site time."""
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """One thing the controller needs, and whether it has it."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed.

    `decision` (a decision was stored, or what came of its actions changed) has data `{"id": <decision id>}` and is
    sent on as that decision's document. Every other name (`observation`, `price`, `curtailment`, `breach`, and
    `plan`: a new one, or one that failed) is sent on as the site's whole state, so its data is not needed.
    """

    name: str
    data: Mapping[str, object]
    id: str


class Desk(Protocol):
    """The running controller as the API sees it. Methods are called on the event loop but for `store`'s, which are
    called on worker threads."""

    @property
    def site(self) -> Site: ...

    @property
    def store(self) -> Store:
        """Only its reading methods are used."""
        ...

    @property
    def metrics_registry(self) -> CollectorRegistry: ...

    def clock_info(self) -> ClockInfo: ...

    def snapshot(self) -> Snapshot | None:
        """The latest; None before the first observation."""
        ...

    def reasons(self) -> Mapping[Target, str]:
        """The latest reason of each fleet, job and pool."""
        ...

    def plan(self) -> PlanState:
        """The plan in force, and how planning goes."""
        ...

    def ended_jobs(self) -> Sequence[tuple[JobView, JobRecord | None]]:
        """Jobs that have ended, with what was billed where it is known."""
        ...

    def curtailments(self) -> Sequence[Curtailment]:
        """Those not yet over, one accepted a moment ago included; cancelled ones may be among them."""
        ...

    async def curtail(self, asked: AskedOrder) -> Curtailment:
        """Accept an order from now on.

        Returns when it is on record. Raises DeskRefusalError, for example for a shed without a measured power.
        """
        ...

    async def cancel(self, curtailment_id: str) -> bool:
        """End an order now; False if there is none by that id that is still running."""
        ...

    async def account_for(self, asked: Asked, seen: float | None) -> Resolution:
        """Book or write off all that is parked of a meter; `seen` is what was seen of it, None for whatever it is.

        The same request again gives the same resolution. Returns when it is on record. Raises DeskRefusalError.
        """
        ...

    async def push_prices(self, prices: Sequence[Price]) -> int:
        """Take over pushed prices; returns how many. Raises DeskRefusalError where the site's prices are not pushed."""
        ...

    def loop(self) -> Readiness:
        """Whether the control loop goes round at all, whatever its rounds come to. A restart is the cure where not."""
        ...

    def readiness(self) -> Sequence[Readiness]:
        """Whether the controller has all it needs to decide well. A restart changes nothing."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Everything that happens from the call on; ends when the site shuts down."""
        ...
