"""Which racks of a fleet take a new setpoint, so that as few as possible change."""

from collections import Counter
from collections.abc import Mapping, Sequence

from orchestrator.domain.site import SLEEP, Fleet


def choose_racks(
    fleet: Fleet, current: Mapping[str, str], wanted: Mapping[str, int], sleep_first: Sequence[str] = ()
) -> dict[str, str]:
    """A mode for every rack, `wanted[mode]` racks in each; the counts add up to the number of racks.

    If fewer are to be awake, those in `sleep_first` go to sleep in that order, as far as racks are to leave their mode.
    Racks stay in their mode as far as it is wanted: awake the lowest numbered, asleep the highest. Of those that must
    change, awake ones take the open awake places before any sleeping rack is woken, lowest number first.
    """
    racks = fleet.rack_names()
    chosen: dict[str, str] = {}
    left = dict(wanted)
    awake = [rack for rack in racks if current[rack] != SLEEP]
    asleep = [rack for rack in racks if current[rack] == SLEEP]
    fewer = len(awake) - sum(count for mode, count in wanted.items() if mode != SLEEP)
    surplus = Counter(current[rack] for rack in awake)
    surplus.subtract({mode: count for mode, count in wanted.items() if mode != SLEEP})
    for rack in sleep_first:
        if fewer > 0 and rack in awake and surplus[current[rack]] > 0:
            surplus[current[rack]] -= 1
            fewer -= 1
            chosen[rack] = SLEEP
            left[SLEEP] -= 1
            awake.remove(rack)
    for rack in (*awake, *reversed(asleep)):
        if left.get(current[rack], 0) > 0:
            chosen[rack] = current[rack]
            left[current[rack]] -= 1
    movable = [rack for rack in (*awake, *asleep) if rack not in chosen]
    places = [mode.name for mode in reversed(fleet.modes) for _ in range(left.get(mode.name, 0))]
    for rack, mode in zip(movable, places, strict=False):
        chosen[rack] = mode
    return {rack: chosen.get(rack, SLEEP) for rack in racks}
