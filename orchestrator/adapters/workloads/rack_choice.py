"""Which racks of a fleet take which mode, so that as few as possible change."""

from collections.abc import Mapping, Sequence

from orchestrator.domain.site import SLEEP


def choose_racks(racks: Sequence[str], current: Mapping[str, str], wanted: Mapping[str, int]) -> dict[str, str]:
    """A mode for every rack, `wanted[mode]` racks in each; the counts add up to the number of racks.

    Racks stay in their mode as far as it is wanted: awake the lowest numbered, asleep the highest. Of those that must
    change, awake ones take the open awake places before any sleeping rack is woken, lowest number first.
    """
    chosen: dict[str, str] = {}
    left = dict(wanted)
    awake = [rack for rack in racks if current[rack] != SLEEP]
    asleep = [rack for rack in racks if current[rack] == SLEEP]
    for rack in (*awake, *reversed(asleep)):
        if left.get(current[rack], 0) > 0:
            chosen[rack] = current[rack]
            left[current[rack]] -= 1
    movable = [rack for rack in (*awake, *asleep) if rack not in chosen]
    places = [mode for mode, count in left.items() if mode != SLEEP for _ in range(count)]
    for rack, mode in zip(movable, places, strict=False):
        chosen[rack] = mode
    return {rack: chosen.get(rack, SLEEP) for rack in racks}
