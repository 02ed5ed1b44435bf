"""How far a counter has gone on, as far as that can be true."""

from typing import NamedTuple

from orchestrator.domain.observation import POSSIBLE_SHARE


class Advance(NamedTuple):
    """In the counter's unit."""

    booked: float
    parked: float
    """What the counter says and nameplate rules out, to be accounted for by somebody; negative where it fell."""


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
