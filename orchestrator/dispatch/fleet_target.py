"""From the steps that a fleet's racks should take to how many racks should be in which mode."""

from collections.abc import Mapping, Sequence

from orchestrator.domain.economics import Step
from orchestrator.domain.site import SLEEP
from orchestrator.domain.snapshot import FleetStatus


def fleet_target(
    status: FleetStatus, steps: Sequence[Step], at_step: Sequence[int], *, short: bool, pays: bool
) -> Mapping[str, int]:
    """Racks by mode, none at zero, of a fleet that may be moved.

    `at_step` holds for each of `steps` the racks that should have taken it. Racks that do not follow go down with the
    rest of the fleet and never up: which rack is woken is not ours to say, and another one woken in the place of a
    silent one would draw power that nothing was kept free for. Where the whole fleet is such, it stays as it is while
    being awake `pays` and no cap is `short`: a meter that fails is no reason to stop earning.
    """
    fleet = status.fleet
    unmoved = status.silent | status.stuck
    if len(unmoved) == fleet.racks and not short and pays:
        return {mode: count for mode, count in status.view.racks.items() if count}
    counts = {SLEEP: fleet.racks - len(unmoved)}
    for step, units in zip(steps, at_step, strict=False):  # rows of steps are padded
        moved = min(units, counts[step.from_mode])
        counts[step.from_mode] -= moved
        counts[step.to_mode] = moved
    awake = [mode for mode, count in counts.items() if mode != SLEEP and count]
    with_rest = min(awake, key=fleet.rack_kw) if awake else SLEEP
    for rack in unmoved:
        mode = min(status.view.rack_modes[rack], with_rest, key=fleet.rack_kw)
        counts[mode] = counts.get(mode, 0) + 1
    return {mode: count for mode, count in counts.items() if count}
