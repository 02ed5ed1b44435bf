"""A decision: what is to change, why, under which limits, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.target import Target


@dataclass(frozen=True, slots=True)
class SetFleet:
    """Put `racks[mode]` racks of a fleet in each mode; the counts add up to the fleet's racks."""

    fleet: str
    racks: RackMix
    sleep_first: tuple[str, ...] = ()
    """Awake racks in the order in which they should go to sleep, as far as that matters."""

    @property
    def target(self) -> Target:
        return Target.fleet(self.fleet)


@dataclass(frozen=True, slots=True)
class RunJob:
    """Start a waiting job or resume a paused one; let an elastic one have another number of GPUs."""

    job: str
    gpus: int | None = None
    """Of an elastic job; None: all it asks for."""

    @property
    def target(self) -> Target:
        return Target.job(self.job)


@dataclass(frozen=True, slots=True)
class PauseJob:
    """Let a running job write its checkpoint and stop."""

    job: str

    @property
    def target(self) -> Target:
        return Target.job(self.job)


@dataclass(frozen=True, slots=True)
class LimitGpus:
    """Set the power limit of every GPU of a pool."""

    pool: str
    gpu_limit_w: float

    @property
    def target(self) -> Target:
        return Target.pool(self.pool)


Move = SetFleet | RunJob | PauseJob | LimitGpus
"""Absolute and idempotent: carrying one out twice changes nothing the second time."""


class Direction(StrEnum):
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Action:
    """One move with its reason and what it should do to the meter."""

    id: str
    """`<decision id>/<number>`."""
    move: Move
    direction: Direction
    reason: str
    change_kw: float
    """Expected change of grid power, negative for a power-down."""


class Trigger(StrEnum):
    START = "start"
    TICK = "tick"
    PRICE = "price"
    CURTAILMENT = "curtailment"
    BREACH = "breach"


@dataclass(frozen=True, slots=True)
class Decision:
    """A set of actions taken at one moment, with all that is needed to ask why later."""

    id: str
    at: datetime
    trigger: Trigger
    trigger_at: datetime
    """When what triggered it came to be known (start of the price interval, acceptance of the order)."""
    summary: str
    price_usd_per_mwh: float
    price_basis: str
    hashprice_usd_per_ph_day: float
    pue: float
    measured_kw: float
    """Grid power as measured (nameplate where a reading was stale)."""
    limit_kw: float
    binding: tuple[str, ...]
    """Names of the caps that kept something from running."""
    margin_usd_per_h: float
    """Expected gain per hour over leaving all as it was."""
    actions: tuple[Action, ...]
    alternatives: tuple[str, ...]
    """What was considered and not done, with the figures that decided against it."""
    inputs: Mapping[str, object]
    """The other figures it was made from, JSON-able."""


class OutcomeState(StrEnum):
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    MEASURED = "measured"
    REFUSED = "refused"
    LATE = "late"
    """Not seen in the meter by its time limit; escalated."""
    SUPERSEDED = "superseded"
    """Replaced by a later action on the same target before it was measured."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action, updated as it goes on. All times are site time."""

    action_id: str
    state: OutcomeState
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    measured_at: datetime | None = None
    detail: str = ""

    @property
    def decision_id(self) -> str:
        """The decision that the action belongs to."""
        return self.action_id.partition("/")[0]

    @property
    def settled(self) -> bool:
        """Nothing more comes of the action."""
        return self.state not in (OutcomeState.SENT, OutcomeState.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Ack:
    """The driver's answer to a move: accepted at `at`, or refused and why."""

    accepted: bool
    at: datetime
    detail: str = ""


class BreachKind(StrEnum):
    CAP = "cap_exceeded"
    SHED = "shed_not_delivered"
    SLA = "guaranteed_job_interrupted"
    METER = "meter_stale"


class BreachState(StrEnum):
    ACTIVE = "active"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that is not kept, from when it was noticed until it is kept again."""

    id: str
    kind: BreachKind
    subject: str
    state: BreachState
    opened_at: datetime
    detail: str
    escalated_at: datetime | None = None
    resolved_at: datetime | None = None
