"""What a meter has done since it was settled, as far as that can be true: by its counter, or else from power.

Whatever is posted from power is remembered until the counter has made up for it, so nothing is posted twice; over all
its readings, what is posted of a meter and what is parked come to what its counter rose by.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.accounting.integrals import Integral
from orchestrator.accounting.ledger import MeterMark
from orchestrator.domain.observation import POSSIBLE_SHARE, Metric, Reading

STILL_SHARE = 0.02
"""Of nameplate x time. A counter that has not moved while its device has done more than this by its power stands still:
one that counts whole kWh would have moved."""


class Advance(NamedTuple):
    """In the counter's unit."""

    booked: float
    parked: float
    """What the counter says and nameplate rules out, to be accounted for by somebody; negative where it fell."""


class Part(NamedTuple):
    """Of what a meter has done, by when; in the counter's unit."""

    start: datetime
    end: datetime
    amount: float
    estimated: bool
    """From power, not counted."""


class Done(NamedTuple):
    """What a meter has done since its mark."""

    parts: tuple[Part, ...]
    parked: float
    mark: MeterMark | None
    """The mark after it; None where nothing was ever settled."""
    integral: Integral | None
    """What is left of it to settle."""


def advance_of(before: float, value: float, nameplate: float) -> Advance:
    """Of a counter that read `before` and now `value`, where its device does at most `nameplate` in between.

    A counter that falls to no more than a device can have done since was reset: it counts from zero. Any other fall,
    and a rise beyond what can have been done, is a jump: nothing of it is booked. Where one wrong reading is followed
    by right ones, the two jumps park together what was truly done meanwhile.
    """
    rise, most = value - before, nameplate * POSSIBLE_SHARE
    if 0.0 <= rise <= most:
        return Advance(rise, 0.0)
    if rise < 0.0 and value <= most:
        return Advance(value, 0.0)
    return Advance(0.0, rise)


def settle_meter(
    meter: tuple[Metric, str],
    mark: MeterMark | None,
    reading: Reading,
    integral: Integral | None,
    nameplate_per_s: float,
    max_age: timedelta,
) -> Done:
    """By the counter's `reading` as far as it goes, and from there on from power, where it has said nothing new for
    longer than `max_age`.

    A counter seen for the first time only sets its mark. After a jump what was done meanwhile is taken from power, and
    the rest is parked.
    """
    parts: list[Part] = []
    parked = 0.0
    value = reading.believed
    newer = value is not None and reading.at is not None and (mark is None or not mark.counted or reading.at > mark.at)
    if newer and not _stands_still(mark, reading, integral, nameplate_per_s):
        assert value is not None, "it is newer"
        assert reading.at is not None, "it is newer"
        from_power = integral.before if integral is not None else 0.0
        counted, estimated, parked, ahead = _read(mark, value, reading.at, from_power, nameplate_per_s)
        if mark is not None:
            start = min(max(mark.at, mark.estimated_to or mark.at), reading.at)
            start = start if start < reading.at else mark.at
            parts = [
                Part(start, reading.at, counted, estimated=False),
                Part(start, reading.at, estimated, estimated=True),
            ]
        ahead_to = mark.estimated_to if mark is not None and ahead else None
        ahead_s = mark.estimated_s if mark is not None and ahead else 0.0
        mark = MeterMark(*meter, value, reading.at, ahead, ahead_to, estimated_s=ahead_s)
        integral = integral._replace(before=0.0, before_s=0.0) if integral is not None else None
    if integral is not None:
        silent, amount = _silent(mark, integral), integral.before + integral.after
        until = integral.rate.at
        if amount > 0.0 and silent > max_age:
            assert until is not None, "only what was read is kept"
            seconds = integral.before_s + integral.after_s
            parts.append(Part(_since(mark, integral), until, amount, estimated=True))
            integral = integral._replace(before=0.0, after=0.0, before_s=0.0, after_s=0.0, since=until)
            if mark is None or not mark.counted:
                mark = MeterMark(*meter, 0.0, until, counted=False)
            else:
                estimated, estimated_s = mark.estimated + amount, mark.estimated_s + seconds
                mark = replace(mark, estimated=estimated, estimated_to=until, estimated_s=estimated_s)
    return Done(tuple(part for part in parts if part.amount and part.start < part.end), parked, mark, integral)


def _read(
    mark: MeterMark | None, value: float, at: datetime, from_power: float, nameplate_per_s: float
) -> tuple[float, float, float, float]:
    """Of a counter that says `value` now: to post as counted and as estimated, to park, and what stays posted ahead of
    it. `from_power` is what power says of the time that is not settled."""
    if mark is None:
        return 0.0, 0.0, 0.0, 0.0
    if not mark.counted:
        return 0.0, from_power, 0.0, 0.0
    ahead = mark.estimated
    advance, jump = advance_of(mark.value, value, nameplate_per_s * (at - mark.at).total_seconds())
    if jump:
        return 0.0, from_power, jump - ahead - from_power, 0.0
    counted = max(advance - ahead, 0.0)
    if value < mark.value:  # reset: what was done before it is in no counter
        return counted, max(ahead + from_power - max(advance, ahead), 0.0), 0.0, 0.0
    return counted, 0.0, 0.0, max(ahead - advance, 0.0)


def _stands_still(mark: MeterMark | None, reading: Reading, integral: Integral | None, nameplate_per_s: float) -> bool:
    if mark is None or not mark.counted or integral is None or reading.value != mark.value or reading.at is None:
        return False
    most = nameplate_per_s * (reading.at - mark.at).total_seconds()
    return mark.estimated + integral.before > STILL_SHARE * most


def _silent(mark: MeterMark | None, integral: Integral) -> timedelta:
    """For how long the counter has said nothing new."""
    assert integral.rate.at is not None, "only what was read is kept"
    if mark is None:
        return integral.rate.at - integral.since
    return integral.rate.at - mark.at if mark.counted else timedelta.max


def _since(mark: MeterMark | None, integral: Integral) -> datetime:
    """From when what is integrated counts."""
    if not integral.before or mark is None:
        return integral.since
    return min(max(mark.at, mark.estimated_to or mark.at), integral.since)
