"""What decides in a backtest, by name: `always-on`, `threshold=80`, `greedy`, `plan`, `perfect-prices`.

All of them choose through the controller's own dispatch, so that caps, promises, minimum times and budgets are kept by
all alike. They differ in the prices at which things are switched.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite

from orchestrator.backtest.engine import Instant
from orchestrator.dispatch.allocate import NO_BLOCK
from orchestrator.dispatch.baseline import default_modes, threshold
from orchestrator.dispatch.decide import SiteColumns, decide
from orchestrator.dispatch.inputs import pool_columns
from orchestrator.dispatch.kernels.choice import BlockLeft
from orchestrator.dispatch.kernels.rows import PoolColumns, Switches
from orchestrator.domain.site.site import Site
from orchestrator.observe.columns import Ints


class Rule(StrEnum):
    """What a strategy goes by."""

    ALWAYS_ON = "always-on"
    THRESHOLD = "threshold"
    GREEDY = "greedy"
    PLAN = "plan"
    PERFECT_PRICES = "perfect-prices"


@dataclass(frozen=True, slots=True)
class Named:
    """A strategy as it was asked for."""

    rule: Rule
    threshold_usd_per_mwh: float = inf

    @property
    def name(self) -> str:
        return f"{self.rule}={self.threshold_usd_per_mwh:g}" if self.rule is Rule.THRESHOLD else str(self.rule)

    @property
    def plans(self) -> bool:
        return self.rule in (Rule.PLAN, Rule.PERFECT_PRICES)


def named(text: str) -> tuple[Named, ...]:
    """The strategies of a list such as `always-on,threshold=80,plan`; ValueError says which is none and what is."""
    found: list[Named] = []
    for word in text.split(","):
        name, _, figure = word.strip().partition("=")
        if name not in set(Rule) or (name == Rule.THRESHOLD) != bool(figure):
            allowed = ", ".join("threshold=USD_PER_MWH" if rule is Rule.THRESHOLD else rule for rule in Rule)
            raise ValueError(f"{word.strip()!r} is no strategy; allowed are {allowed}")
        try:
            threshold = float(figure) if figure else inf
        except ValueError:
            threshold = -inf
        if figure and not isfinite(threshold):
            raise ValueError(f"{word.strip()!r}: {figure!r} is no price; write for example threshold=80, in USD/MWh")
        found.append(Named(Rule(name), threshold))
    if len(set(found)) < len(found):
        raise ValueError(f"{text!r} names a strategy twice")
    return tuple(found)


def site_of(strategy: Named, site: Site) -> Site:
    """The site that a strategy sees: those without dispatch know each fleet's default mode only."""
    return default_modes(site) if strategy.rule in (Rule.ALWAYS_ON, Rule.THRESHOLD) else site


class Greedy:
    """The price now, taken to last as long as the site file says, as the controller does where it has no plan."""

    def __init__(self, site: Site) -> None:
        self._pools = pool_columns(site)

    def __call__(self, instant: Instant) -> tuple[Ints, Ints]:
        return chosen(instant, self._pools, instant.beyond_usd_per_mwh, None, instant.bought)


class Threshold:
    """Fleets sleep above one market price; jobs always run. With a price of +inf nothing is ever switched off."""

    def __init__(self, site: Site, usd_per_mwh: float) -> None:
        self._pools = pool_columns(site)
        self._usd_per_mwh = usd_per_mwh

    def __call__(self, instant: Instant) -> tuple[Ints, Ints]:
        switches = threshold(self._usd_per_mwh, len(instant.fleets), len(instant.jobs))
        return chosen(instant, self._pools, instant.price_usd_per_mwh, switches)


def chosen(
    instant: Instant,
    pools: PoolColumns,
    price_usd_per_mwh: float,
    switches: Switches | None,
    bought: BlockLeft = NO_BLOCK,
) -> tuple[Ints, Ints]:
    """What the controller's dispatch chooses at the instant; without `bought` it goes by the market price alone."""
    decided = decide(
        SiteColumns(instant.fleets, instant.jobs, pools),
        instant.moment,
        instant.room,
        price_usd_per_mwh,
        switches=switches,
        places=instant.places,
        bought=bought,
    )
    return decided.chosen.at_step, decided.chosen.gpus
