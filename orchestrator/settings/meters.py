"""The meters of the grid connection and of feeders: their sections of the site file, checked and turned into values."""

from collections.abc import Mapping

from orchestrator.domain.metering.points import GRID_METER, MeteringPoint, ModbusPoint, Register, SeriesPoint
from orchestrator.settings.document import Path
from orchestrator.settings.problems import NOTHING, Found, dotted, shown
from orchestrator.settings.sections.meters import MeterSection, RegisterSection


def check_meters(document: Mapping[str, object], found: Found) -> None:
    """Adds to `found` what does not fit together."""
    meters = _meters(document)
    for path, meter in meters.items():
        _one_of(path, meter, ("series", "modbus"), found)
        modbus = meter.get("modbus")
        if isinstance(modbus, dict):
            _one_of((*path, "modbus"), modbus, ("preset", "power"), found)
            if modbus.get("preset") is not None and modbus.get("energy") is not None:
                found.add((*path, "modbus", "energy"), shown(modbus["energy"]), "nothing: the preset knows where it is")
    feeders = document.get("feeders")
    for index, feeder in enumerate(feeders if isinstance(feeders, list) else ()):
        if meters and isinstance(feeder, dict) and feeder.get("name") == GRID_METER:
            allowed = f"another name, since there are meters: {GRID_METER} is the grid connection's"
            found.add(("feeders", index, "name"), shown(GRID_METER), allowed)
    _told_apart(meters, found)


def metering_point(section: MeterSection | None, path: Path, found: Found) -> MeteringPoint | None:
    """The meter of the section at `path`, checked before; None where there is none."""
    if section is None:
        return None
    if section.series is not None:
        return SeriesPoint(section.series.meter)
    modbus, at = section.modbus, (*path, "modbus")
    assert modbus is not None, "one of the two is there: check_meters saw to it"
    return ModbusPoint(
        host=modbus.host,
        port=modbus.port,
        unit=modbus.unit,
        power=_register(modbus.power, (*at, "power"), found),
        energy=_register(modbus.energy, (*at, "energy"), found),
        reversed=modbus.reversed,
        where=found.where(at),
    )


def _register(section: RegisterSection | None, path: Path, found: Found) -> Register | None:
    if section is None:
        return None
    return Register(
        address=section.address,
        type=section.type,
        word_order=section.word_order,
        kind=section.kind,
        scale=section.scale,
        where=found.where(path),
    )


def _meters(document: Mapping[str, object]) -> dict[Path, dict[str, object]]:
    """The meters' sections as they are in the file, by path."""
    feeders = document.get("feeders")
    owners: dict[Path, object] = {("grid",): document.get("grid")}
    owners |= {("feeders", index): feeder for index, feeder in enumerate(feeders if isinstance(feeders, list) else ())}
    return {
        (*path, "meter"): owner["meter"]
        for path, owner in owners.items()
        if isinstance(owner, dict) and isinstance(owner.get("meter"), dict)
    }


def _one_of(path: Path, section: Mapping[str, object], keys: tuple[str, ...], found: Found) -> None:
    given = [key for key in keys if section.get(key) is not None]
    if len(given) != 1:
        found.add(path, " and ".join(given) or NOTHING, f"one of {' and '.join(keys)}")


def _told_apart(meters: Mapping[Path, dict[str, object]], found: Found) -> None:
    """No two meters are read at one place: one of them is a slip, and both would show the same."""
    first: dict[str, Path] = {}
    for path, meter in meters.items():
        here = repr([value for _, value in sorted(meter.items())])
        if first.setdefault(here, path) != path:
            line = found.line(first[here])
            found.add(path, f"the same as {dotted(first[here])} on line {line}", "a place of its own for each meter")
