"""How the site is controlled, and what is assumed where an input is too old."""

from dataclasses import dataclass
from datetime import timedelta

from orchestrator.domain.market import PricePolicy


@dataclass(frozen=True, slots=True)
class StalePolicies:
    """How old is too old for each input, and what is assumed then."""

    price: PricePolicy
    telemetry_max_age: timedelta
    """A device with an older power reading is silent: it counts at the most that it may draw."""
    temperature_max_age: timedelta
    temperature_assume_c: float
    hashprice_max_age: timedelta
    hashprice_assume_usd_per_ph_day: float
    plan_max_assumed_share: float = 0.1
    """No plan is made while devices with more of all nameplate power than this have no fresh reading; 1: always."""
    telemetry_hold: timedelta = timedelta(minutes=15)
    """How long the site is held on its accepted setpoints while the source of its readings is down."""
    telemetry_safe_kw: float | None = None
    """What it is then brought down to, at the grid; None: what is guaranteed, and all else asleep or paused."""


@dataclass(frozen=True, slots=True)
class Controls:
    """How the controller paces itself, in site time."""

    tick: timedelta
    verify_within: timedelta
    """By then a move must show in the meter; a power-down that does not is escalated."""
    lease: timedelta
    """Agents without a renewed setpoint fall to sleep after this."""
    price_persistence: timedelta
    """How long the price now is taken to last when the cost of a restart is weighed, as by a persistence forecast."""
    lapse_over: timedelta = timedelta(0)
    """Over which they fall asleep then, one after the other."""
    verify_up: timedelta | None = None
    """For power-ups; None: as all moves."""
    verify_down: timedelta | None = None
    """For power-downs; None: as all moves."""

    @property
    def up_within(self) -> timedelta:
        """By then a power-up must show in the meter."""
        return self.verify_within if self.verify_up is None else self.verify_up

    @property
    def down_within(self) -> timedelta:
        """By then a power-down must show in the meter, or it is escalated."""
        return self.verify_within if self.verify_down is None else self.verify_down
