"""What the meter of a place leaves for one move: its change since nothing was under way, less what all else did.

    left = (meter now / PUE now - meter then / PUE then) - sum of (1 + bias) x change of the others        IT power

A device that nobody moved has changed by its readings, not at all where it is silent. One that was moved beside the
move in question may have done it or not yet: its change lies between nothing, what it says, and what it was asked. So
what is left is a span, and the meter proves a move only where the whole span does, and contradicts its devices only
where none of it agrees: moves of both directions behind one meter, none of them seen, prove nothing.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.domain.metering.metered import Bias, MeterStatus
from orchestrator.domain.observation import Reading
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.observe.metering.bias import FIRST_SPREAD, METER_SHARE
from orchestrator.observe.metering.meter_against_devices import MOST_BIAS

SPREADS = 2.0
"""Standard deviations that a meter is given."""
FALL_SHARE = 0.98
RISE_SHARE = 0.7
"""Shares of an expected fall and rise that must be measured."""


class Left(NamedTuple):
    """What a meter leaves for one move. IT power, kW, as changes since before it; negative: less is drawn."""

    at: Target
    """Where the meter is."""
    read_at: datetime
    least_kw: float
    most_kw: float
    expected_kw: float
    """What all racks or jobs of the fleet or pool that have been moved since should come to."""
    said_kw: float | None
    """What they say that they came to; None where one of them is silent."""
    uncertain_kw: float
    """The meter's error and what is not known of the biases."""
    lag_kw: float
    """Cooling that may follow later."""
    silent_beside: bool
    """Devices behind it that nobody moved say nothing: they may have changed too."""

    @property
    def down(self) -> bool:
        return self.expected_kw < 0.0

    @property
    def can_tell(self) -> bool:
        """The move is large enough to be told from the meter's error."""
        size_kw = abs(self.expected_kw)
        return self.uncertain_kw + (1.0 - FALL_SHARE) * size_kw <= (1.0 - RISE_SHARE) * size_kw

    @property
    def shows(self) -> bool:
        """Whatever the others did, the move took effect."""
        if self.down:
            return self.most_kw <= FALL_SHARE * self.expected_kw + self.uncertain_kw
        return self.least_kw >= RISE_SHARE * self.expected_kw

    @property
    def contradicts(self) -> bool:
        """Whatever the others did, it is not what the devices say."""
        slack_kw = self.uncertain_kw + self.lag_kw
        said_kw = self.expected_kw if self.said_kw is None else self.said_kw
        if self.down:
            return self.least_kw > FALL_SHARE * max(said_kw, self.expected_kw) + slack_kw
        return self.most_kw < RISE_SHARE * min(said_kw, self.expected_kw) - slack_kw

    def __str__(self) -> str:
        near_kw = self.most_kw if self.down else self.least_kw
        shown = f"the meter of {self.at} leaves {_change(near_kw)} for it, {self.uncertain_kw:.0f} kW uncertain"
        said = "" if self.said_kw is None else f"its devices say {_change(self.said_kw)}; "
        return f"{said}{shown}; {_change(self.expected_kw)} expected"


def left_by_meter(then: Snapshot, now: Snapshot, of: FleetStatus | PoolStatus, tick: timedelta) -> Left | None:
    """What the meter of its feeder, else that of the grid connection, leaves for a fleet or pool `of` the snapshot
    `now`; None where none can tell.

    `then` is of before all that is under way. A meter that was read before the last move of that time had taken effect
    says nothing of it.
    """
    feeder = _feeder(of)
    for place in (Target.feeder(feeder), GRID_CONNECTION):
        behind = _Behind(then, now, None if place == GRID_CONNECTION else feeder)
        was, meter = then.meters.at(place), now.meters.at(place)
        if was is None or meter is None or was.kw is None or meter.kw is None:
            continue
        assert was.reading.at is not None, "it has a value"
        if was.reading.at < behind.last_moved(tick):
            continue
        return _left(behind, of, was, meter)
    return None


def _left(behind: "_Behind", of: FleetStatus | PoolStatus, was: MeterStatus, meter: MeterStatus) -> Left:
    then, now = behind.then, behind.now
    assert was.kw is not None, "it is fresh"
    assert meter.kw is not None, "it is fresh"
    assert meter.reading.at is not None, "it has a value"
    least_kw = most_kw = meter.kw / now.pue - was.kw / then.pue
    uncertain_kw = SPREADS * METER_SHARE * max(meter.kw, was.kw) / now.pue
    # As they were: devices that lie of the move in question would pass for a bias.
    biases = {bias.of: bias for bias in then.meters.biases}
    expected_kw, said_kw, silent_beside = 0.0, 0.0, False
    all_say = True
    for status in behind.statuses():
        share, spread = _bias(biases.get(_target(status)))
        for change in _changes(then, status):
            mine = change.moved and status is of
            if mine:
                expected_kw += change.asked_kw
                all_say = all_say and change.said_kw is not None
                said_kw += change.said_kw or 0.0
                uncertain_kw += spread * abs(change.asked_kw)
                continue
            low_kw, high_kw = change.span
            least_kw -= high_kw * (1.0 + share)
            most_kw -= low_kw * (1.0 + share)
            uncertain_kw += spread * max(abs(low_kw), abs(high_kw))
            silent_beside = silent_beside or change.silent
        if status is of:
            expected_kw, said_kw = expected_kw * (1.0 + share), said_kw * (1.0 + share)
    return Left(
        at=meter.at,
        read_at=meter.reading.at,
        least_kw=least_kw,
        most_kw=most_kw,
        expected_kw=expected_kw,
        said_kw=said_kw if all_say else None,
        uncertain_kw=uncertain_kw,
        lag_kw=abs(expected_kw) * (1.0 - 1.0 / now.pue),
        silent_beside=silent_beside,
    )


def _bias(bias: Bias | None) -> tuple[float, float]:
    """Share and spread. One beyond what exporters are off by is of a fault, and only tells that little is known."""
    if bias is None:
        return 0.0, FIRST_SPREAD
    if abs(bias.share) > MOST_BIAS:
        return 0.0, abs(bias.share)
    return bias.share, bias.spread


class _Change(NamedTuple):
    """Of a rack or of a pool, IT power, kW."""

    moved: bool
    asked_kw: float
    """By its setpoint, or its jobs; of what was under way already before."""
    said_kw: float | None
    """By its readings; None without them."""

    @property
    def span(self) -> tuple[float, float]:
        said_kw = 0.0 if self.said_kw is None else self.said_kw
        if not self.asked_kw and self.said_kw is not None:
            return said_kw, said_kw
        return min(said_kw, self.asked_kw, *self._not_yet), max(said_kw, self.asked_kw, *self._not_yet)

    @property
    def _not_yet(self) -> tuple[float, ...]:
        return (0.0,) if self.said_kw is None else ()

    @property
    def silent(self) -> bool:
        return not self.moved and self.said_kw is None


class _Behind(NamedTuple):
    """What is behind a meter, then and now; `feeder` None: the whole site."""

    then: Snapshot
    now: Snapshot
    feeder: str | None

    def statuses(self) -> Iterator[FleetStatus | PoolStatus]:
        every: Iterable[FleetStatus | PoolStatus] = (*self.now.fleets.values(), *self.now.pools.values())
        return (status for status in every if self.feeder in (None, _feeder(status)))

    def last_moved(self, tick: timedelta) -> datetime:
        """Until when what was asked before `then` may not have shown in a meter."""
        behind = {_target(status).name for status in self.statuses()}
        fleets = (status.view for name, status in self.then.fleets.items() if name in behind)
        jobs = (job.view.changed_at for job in self.then.jobs.values() if job.job.pool in behind)
        moved = [at for view in fleets for at in (view.last_up_at, view.last_down_at)]
        return max((at + tick for at in (*moved, *jobs)), default=self.then.at - tick)


def _changes(then: Snapshot, status: FleetStatus | PoolStatus) -> Iterator[_Change]:
    if isinstance(status, PoolStatus):
        was = then.pools.get(status.pool.name)
        if was is not None:
            yield _pool_change(was, status)
        return
    fleet_was = then.fleets.get(status.fleet.name)
    if fleet_was is not None:
        for rack in status.view.rack_modes:
            yield _rack_change(rack, fleet_was, status)


def _pool_change(was: PoolStatus, now: PoolStatus) -> _Change:
    """Which node a job runs on is not known, so of a pool with a silent node nothing is."""
    asked_kw = now.expected_kw - was.expected_kw
    answer = not was.silent and not now.silent
    return _Change(asked_kw != 0.0, asked_kw, now.counted_kw - was.counted_kw if answer else None)


def _rack_change(rack: str, was: FleetStatus, now: FleetStatus) -> _Change:
    before, after = was.view.rack_modes.get(rack), now.view.rack_modes[rack]
    read_before, read_after = _kw(was.readings.get(rack)), _kw(now.readings.get(rack))
    said_kw = None if read_before is None or read_after is None else read_after - read_before
    if before != after:
        before_kw = read_before if read_before is not None else _setpoint_kw(was, before or SLEEP)
        return _Change(True, _setpoint_kw(now, after) - before_kw, said_kw)
    if said_kw is not None:
        return _Change(False, 0.0, said_kw)
    asked_kw = 0.0
    if (lowered := was.lowered.get(rack)) is not None:
        asked_kw = min(_setpoint_kw(now, after) - lowered.from_kw, 0.0)
    elif rack in was.raised:
        asked_kw = _setpoint_kw(now, after)
    elif read_after is not None:
        asked_kw = read_after - _setpoint_kw(was, after)
    return _Change(False, asked_kw, None)


def _setpoint_kw(status: FleetStatus, mode: str) -> float:
    nameplate_kw = status.fleet.rack_kw(mode)
    return nameplate_kw if mode == SLEEP else nameplate_kw * status.draw_share


def _kw(reading: Reading | None) -> float | None:
    return None if reading is None or reading.value is None else reading.value / 1000.0


def _feeder(status: FleetStatus | PoolStatus) -> str:
    return status.fleet.feeder if isinstance(status, FleetStatus) else status.pool.feeder


def _target(status: FleetStatus | PoolStatus) -> Target:
    return Target.fleet(status.fleet.name) if isinstance(status, FleetStatus) else Target.pool(status.pool.name)


def _change(kw: float) -> str:
    return f"{abs(kw):.0f} kW {'less' if kw < 0.0 else 'more'}"
