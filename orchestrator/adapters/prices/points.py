"""Which settlement point of a file is meant."""

from collections.abc import Collection

from orchestrator.adapters.prices.faults import Faults

_SHOWN = 40


def chosen_point(points: Collection[str], point: str | None, column: str, faults: Faults) -> str | None:
    """`point` if the file has it, or its only one if none was asked for; else None with the fault added."""
    names = sorted(points)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    if point is None and len(names) == 1:
        return names[0]
    if point is None:
        faults.add("has several points and none was chosen", f"point = one of {shown}", column=column)
    elif point in points:
        return point
    else:
        faults.add("is not a point of this file", f"point = one of {shown}", column=column, value=point)
    return None
