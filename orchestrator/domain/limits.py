"""The caps on power now: the connection, the feeders, and the curtailments in force."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.headroom import usable_kw
from orchestrator.domain.site import Site
from orchestrator.domain.target import GRID_CONNECTION, Target


@dataclass(frozen=True, slots=True)
class Curtailment:
    """An order to keep the site's grid power at or under `limit_kw` until `until`.

    One given as `shed_kw` is resolved when it is accepted: `limit_kw` is then what was measured less `shed_kw`.
    """

    id: str
    limit_kw: float
    shed_kw: float | None
    start: datetime
    until: datetime
    response: timedelta
    """Time allowed from `start` to reach the limit."""
    reason: str
    source: str
    cancelled_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        return self.start <= now < self.until and (self.cancelled_at is None or now < self.cancelled_at)

    def due(self, now: datetime) -> bool:
        """In force and past the time allowed to respond."""
        return self.in_force(now) and now >= self.start + self.response


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on power, and where it holds."""

    limit_kw: float
    at: Target
    """The grid connection or a feeder."""
    order: str = ""
    """Id of the curtailment that it is from; empty where it is the site's own, a safety limit."""

    @property
    def source(self) -> str:
        """As records and people call it: `feeder north`, `grid connection`, `curtailment c-1`."""
        return f"curtailment {self.order}" if self.order else str(self.at)


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps at the grid side. `usable` is a cap less the uncertainty of measurement."""

    grid: Cap
    feeders: Mapping[str, Cap]
    measurement_uncertainty: float

    def usable_kw(self, cap: Cap) -> float:
        return usable_kw(cap.limit_kw, self.measurement_uncertainty)


def limits_now(site: Site, curtailments: Iterable[Curtailment], now: datetime) -> Limits:
    """The lowest cap that holds at `now`, to be kept by the next action."""
    return _limits(site, (order for order in curtailments if order.in_force(now)))


def limits_due(site: Site, curtailments: Iterable[Curtailment], now: datetime) -> Limits:
    """The caps against which measured power is judged at `now`: orders count once their response time is over."""
    return _limits(site, (order for order in curtailments if order.due(now)))


def _limits(site: Site, orders: Iterable[Curtailment]) -> Limits:
    grid = Cap(site.grid.limit_kw, GRID_CONNECTION)
    for order in orders:
        if order.limit_kw < grid.limit_kw:
            grid = Cap(order.limit_kw, GRID_CONNECTION, order.id)
    return Limits(
        grid=grid,
        feeders={feeder.name: Cap(feeder.limit_kw, Target.feeder(feeder.name)) for feeder in site.feeders},
        measurement_uncertainty=site.grid.measurement_uncertainty,
    )
