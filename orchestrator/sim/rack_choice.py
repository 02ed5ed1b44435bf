"""Which racks of a fleet take a new setpoint."""

from collections.abc import Mapping

from orchestrator.domain.site import SLEEP, Fleet


def refusal(fleet: Fleet, racks: Mapping[str, int]) -> str:
    """Why the counts by mode can't be set; empty if they can."""
    known = [SLEEP, *(mode.name for mode in fleet.modes)]
    unknown = [mode for mode in racks if mode not in known]
    if unknown:
        return f"fleet {fleet.name} has no mode {', '.join(unknown)}; it has {', '.join(known)}"
    if any(count < 0 for count in racks.values()) or sum(racks.values()) != fleet.racks:
        return f"fleet {fleet.name} has {fleet.racks} racks; {dict(racks)} does not add up to them"
    return ""


def choose_racks(fleet: Fleet, setpoints: Mapping[str, str], racks: Mapping[str, int]) -> dict[str, str]:
    """Setpoint by rack with `racks[mode]` racks in each mode, the lowest-numbered strongest.

    Racks already in a mode that is asked for stay in it; where a mode shrinks, its highest-numbered racks leave.
    Racks that are awake change mode before others are woken, since they need no warm-up.
    """
    open_slots = dict(racks)
    chosen: dict[str, str] = {}
    leaving: list[str] = []
    for rack in fleet.rack_names():
        mode = setpoints[rack]
        if open_slots.get(mode, 0) > 0:
            open_slots[mode] -= 1
            chosen[rack] = mode
        else:
            leaving.append(rack)
    slots = [mode.name for mode in reversed(fleet.modes) for _ in range(open_slots.get(mode.name, 0))]
    slots += [SLEEP] * open_slots.get(SLEEP, 0)
    leaving.sort(key=lambda rack: setpoints[rack] == SLEEP)  # stable: by number within
    chosen.update(zip(leaving, slots, strict=True))
    return {rack: chosen[rack] for rack in fleet.rack_names()}
