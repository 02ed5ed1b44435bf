"""A part of the site that nobody sees, held on its accepted setpoints, and what comes after."""

from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.target import Target


@dataclass(frozen=True, slots=True)
class SafePower:
    """What a site is brought to that nobody has seen for longer than its hold."""

    kw: float
    """Grid side; what is guaranteed is within it."""
    reached_at: datetime
    cap_kw: float | None
    """How far it has closed in by now; None while the hold lasts."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Devices whose source is down."""

    of: Target
    """The grid connection where it is most of the site, else a fleet or pool."""
    since: datetime
    until: datetime | None
    """When the hold ends if they are still dark; None while the connection's meter is fresh."""
    safe: SafePower | None = None
    """What the whole site is brought to then; None for a fleet or pool, whose devices count as silent ones then."""
