"""The caps on power now: what sets each, and where it holds; and the curtailments that set some of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.domain.headroom import usable_kw
from orchestrator.domain.site.site import Site
from orchestrator.domain.target import GRID_CONNECTION, Target


class Authority(StrEnum):
    """Who sets a cap. `dispatch.precedence` says what may be stopped for it."""

    SITE = "site"
    """What wires, breakers and the connection can carry."""
    SAFE_POWER = "safe_power"
    """What a site is brought to that nobody has seen for too long (`observe.safe_power`)."""
    ORDER = "order"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on power, and where it holds."""

    limit_kw: float
    at: Target
    """The grid connection or a feeder."""
    by: Authority = Authority.SITE
    id: str = ""
    """Of the order or override that sets it; empty where the site itself does."""

    @property
    def source(self) -> str:
        """As records and people call it: `feeder north`, `grid connection`, `curtailment c-1`."""
        return _SOURCES[self.by].format(at=self.at, id=self.id)


_SOURCES = {
    Authority.SITE: "{at}",
    Authority.SAFE_POWER: "safe power of a site that nobody sees",
    Authority.ORDER: "curtailment {id}",
    Authority.OVERRIDE: "override {id}",
}


@dataclass(frozen=True, slots=True)
class Curtailment:
    """An order to keep grid power `at` a place at or under `limit_kw` until `until`.

    One given as `shed_kw` is resolved when it is accepted: `limit_kw` is then what was measured there less `shed_kw`.
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
    at: Target = GRID_CONNECTION

    @property
    def cap(self) -> Cap:
        return Cap(self.limit_kw, self.at, Authority.ORDER, self.id)

    def in_force(self, now: datetime) -> bool:
        return self.start <= now < self.until and (self.cancelled_at is None or now < self.cancelled_at)

    def due(self, now: datetime) -> bool:
        """In force and past the time allowed to respond."""
        return self.in_force(now) and now >= self.start + self.response


@dataclass(frozen=True, slots=True)
class Limits:
    """All caps that hold, each place's own first. `usable` is a cap less the uncertainty of measurement."""

    caps: tuple[Cap, ...]
    measurement_uncertainty: float
    tightest: Mapping[Target, Cap] = field(init=False, repr=False, compare=False)
    """The lowest cap at each place."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tightest", tightest(self.caps))

    @property
    def grid(self) -> Cap:
        return self.tightest[GRID_CONNECTION]

    def feeder(self, name: str) -> Cap:
        return self.tightest[Target.feeder(name)]

    def usable_kw(self, cap: Cap) -> float:
        return usable_kw(cap.limit_kw, self.measurement_uncertainty)


def tightest(caps: Iterable[Cap]) -> dict[Target, Cap]:
    """The lowest at each place, of equal ones the first."""
    found: dict[Target, Cap] = {}
    for cap in caps:
        if cap.at not in found or cap.limit_kw < found[cap.at].limit_kw:
            found[cap.at] = cap
    return found


def own_caps(site: Site) -> tuple[Cap, ...]:
    """What the grid connection and the feeders, in the order of the site file, can carry."""
    feeders = (Cap(feeder.limit_kw, Target.feeder(feeder.name)) for feeder in site.feeders)
    return (Cap(site.grid.limit_kw, GRID_CONNECTION), *feeders)


def limits_now(site: Site, curtailments: Iterable[Curtailment], now: datetime) -> Limits:
    """The caps that hold at `now`, to be kept by the next action."""
    return _limits(site, (order.cap for order in curtailments if order.in_force(now)))


def limits_due(site: Site, curtailments: Iterable[Curtailment], now: datetime) -> Limits:
    """The caps against which measured power is judged at `now`: orders count once their response time is over."""
    return _limits(site, (order.cap for order in curtailments if order.due(now)))


def _limits(site: Site, ordered: Iterable[Cap]) -> Limits:
    """An order outlives a site file: one for a feeder that is gone holds nowhere."""
    own = own_caps(site)
    places = {cap.at for cap in own}
    return Limits((*own, *(cap for cap in ordered if cap.at in places)), site.grid.measurement_uncertainty)
