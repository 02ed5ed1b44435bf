"""`grid.meter` and `feeders[].meter`: what is taken from them, and what is said of each slip."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.metering.points import ModbusPoint, Register, SeriesPoint
from orchestrator.settings import SettingsError, load_settings

Edit = Callable[..., Path]
GRID = "grid:\n  limit_kw: 100000\n"
NORTH = "  - name: north\n    limit_kw: 27000\n"


def with_meters(edited: Edit, grid: str = "null", north: str = "null") -> Path:
    path = edited((GRID, GRID), (NORTH, NORTH))
    text = path.read_text(encoding="utf-8")
    text = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("meter: {series"))
    text = text.replace(GRID, f"{GRID}  meter: {grid}\n", 1).replace(NORTH, f"{NORTH}    meter: {north}\n", 1)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_site_without_them_has_none(edited: Edit) -> None:
    assert load_settings(with_meters(edited), {}).site.meters() == {}


def test_meters_are_taken_as_they_are_written_and_know_their_lines(edited: Edit) -> None:
    power = "{register: 3059, type: float32, scale: 1000, word_order: little, kind: input}"
    energy = "{register: 3203, type: int64, scale: 1}"
    path = with_meters(
        edited,
        "{modbus: {host: 10.0.0.5, port: 1502, unit: 7, power: " + power + ", energy: " + energy + "}}",
        "{modbus: {host: meter-n.example, preset: sunspec, reversed: true}}",
    )
    meters = load_settings(path, {}).site.meters()
    lines = path.read_text(encoding="utf-8").splitlines()
    at = f"{path}:{next(number for number, line in enumerate(lines, 1) if 'host: 10.0.0.5' in line)}: grid.meter.modbus"
    assert meters["grid"] == ModbusPoint(
        host="10.0.0.5",
        port=1502,
        unit=7,
        power=Register(3059, "float32", "little", "input", 1000.0, f"{at}.power"),
        energy=Register(3203, "int64", "big", "holding", 1.0, f"{at}.energy"),
        reversed=False,
        where=at,
    )
    north = meters["north"]
    assert isinstance(north, ModbusPoint)
    assert (north.host, north.port, north.unit) == ("meter-n.example", 502, 1)
    assert (north.power, north.energy, north.reversed) == (None, None, True)
    assert north.where.endswith(": feeders[0].meter.modbus")
    assert load_settings(with_meters(edited, "{series: {meter: ION}}"), {}).site.meters() == {
        "grid": SeriesPoint("ION")
    }


SUNSPEC = "{modbus: {host: h, preset: sunspec}}"


@pytest.mark.parametrize(
    ("meter", "key", "allowed"),
    [
        ("{}", "grid.meter", "one of series and modbus"),
        ("{series: {meter: a}, modbus: {host: h, preset: sunspec}}", "grid.meter", "one of series and modbus"),
        ("{series: {}}", "grid.meter.series.meter", "label `meter`"),
        ("{modbus: {host: h}}", "grid.meter.modbus", "one of preset and power"),
        ("{modbus: {preset: sunspec}}", "grid.meter.modbus.host", "gateway"),
        ("{modbus: {host: h, preset: sun}}", "grid.meter.modbus.preset", "sunspec"),
        ("{modbus: {host: h, preset: sunspec, unit: 256}}", "grid.meter.modbus.unit", "from 0 to 255"),
        ("{modbus: {host: h, port: 0, preset: sunspec}}", "grid.meter.modbus.port", "from 1 to 65,535"),
        ("{modbus: {host: h, power: {type: int16, scale: 1}}}", "grid.meter.modbus.power.register", "as it is sent"),
        (
            "{modbus: {host: h, power: {register: 70000, type: int16, scale: 1}}}",
            "grid.meter.modbus.power.register",
            "from 0 to 65,535",
        ),
        ("{modbus: {host: h, power: {register: 0, type: int16}}}", "grid.meter.modbus.power.scale", "W for power"),
        (
            "{modbus: {host: h, power: {register: 0, type: int16, scale: 0}}}",
            "grid.meter.modbus.power.scale",
            "above 0",
        ),
        (
            "{modbus: {host: h, power: {register: 0, type: word, scale: 1}}}",
            "grid.meter.modbus.power.type",
            "int16, uint16, int32",
        ),
        (
            "{modbus: {host: h, preset: sunspec, energy: {register: 0, type: int16, scale: 1}}}",
            "grid.meter.modbus.energy",
            "the preset knows where it is",
        ),
        ("{modbus: {host: h, preset: sunspec, units: 1}}", "grid.meter.modbus.units", "did you mean unit?"),
    ],
)
def test_nonsense_is_refused_with_line_key_and_what_is_allowed(
    edited: Edit, meter: str, key: str, allowed: str
) -> None:
    path = with_meters(edited, meter)
    line = path.read_text(encoding="utf-8").splitlines().index(f"  meter: {meter}") + 1
    with pytest.raises(SettingsError) as refused:
        load_settings(path, {})
    found = {(problem.key, problem.line): problem.allowed for problem in refused.value.problems}
    assert allowed in found[key, line]


def test_two_meters_at_one_place_are_refused(edited: Edit) -> None:
    with pytest.raises(SettingsError, match=r"feeders\[0\].meter: found the same as grid.meter"):
        load_settings(with_meters(edited, SUNSPEC, SUNSPEC), {})


def test_a_feeder_may_be_called_grid_only_where_there_are_no_meters(edited: Edit) -> None:
    plain = with_meters(edited)
    text = (
        plain.read_text(encoding="utf-8").replace("name: north", "name: grid").replace("feeder: north", "feeder: grid")
    )
    plain.write_text(text, encoding="utf-8")
    assert load_settings(plain, {}).site.feeders[0].name == "grid"
    plain.write_text(text.replace("  meter: null", f"  meter: {SUNSPEC}", 1), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"feeders\[0\].name: found \"grid\"; allowed: another name"):
        load_settings(plain, {})
