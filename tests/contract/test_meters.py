"""Meters read by Modbus TCP, against a real server of the protocol in this process: mapped by hand and SunSpec."""

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from orchestrator.adapters.telemetry.joined import with_meters
from orchestrator.adapters.telemetry.modbus import ModbusMeters
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.clock import SiteClock
from orchestrator.domain.metering.points import MeteringPoint, ModbusPoint, Register, SeriesPoint
from orchestrator.domain.observation import Metric, Quality, Telemetry
from tests.modbus_server import Registers, Units, modbus_server

START = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)
MEGAWATTS = 87_654_000.0
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


def words(layout: str, value: float) -> list[int]:
    raw = struct.pack(f">{layout}", value)
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def placed(at: int, values: list[int]) -> Registers:
    return {at + offset: value for offset, value in enumerate(values)}


def register(address: int, **changes: object) -> Register:
    made = Register(address, "float32", "big", "holding", 1.0, f"site.yaml:7: grid.meter.modbus.power@{address}")
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of several types, by name


def point(port: int, **changes: object) -> ModbusPoint:
    made = ModbusPoint("127.0.0.1", port, 1, None, None, False, "site.yaml:6: grid.meter.modbus")
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of several types, by name


def sunspec_map(
    model: int, power: Registers, *, base: int = 40_000, before: tuple[tuple[int, int], ...] = ((1, 66),)
) -> Registers:
    """A map with models `before` that of the meter; `power` holds registers of it by offset."""
    registers = placed(base, [0x5375, 0x6E53])
    at = base + 2
    for number, length in before:
        registers |= placed(at, [number, length, *[0] * length])
        at += 2 + length
    length = 105 if model < 210 else 124
    registers |= placed(at, [model, length, *[0x8000] * length])
    registers |= {at + offset: value for offset, value in power.items()}
    return registers | placed(at + 2 + length, [0xFFFF, 0])


INTEGER = {18: 8765, 22: 4, **placed(46, words("I", 123_456)), **placed(38, words("I", 7)), 54: 3}
"""87.65 MW in steps of 10 kW, 123,456 kWh imported and 7 exported."""
FLOAT = {**placed(28, words("f", MEGAWATTS)), **placed(68, words("f", 5e8)), **placed(60, words("f", 1e6))}


@asynccontextmanager
async def reading(units: Units, *points: Callable[[int], ModbusPoint]) -> AsyncIterator[ModbusMeters]:
    """Meters `m0`, `m1`, ... of one server."""
    async with modbus_server(units) as port:
        clock = SiteClock(time.time(), START, 60.0)
        meters = ModbusMeters({f"m{number}": at(port) for number, at in enumerate(points)}, clock, timeout_s=30.0)
        try:
            yield meters
        finally:
            await meters.close()


async def power_w(meters: ModbusMeters, subject: str = "m0") -> float | None:
    return (await meters.read(START)).get(Metric.METER_POWER, subject).value


@pytest.mark.parametrize(
    ("kind", "layout", "value", "scale", "expected_w"),
    [
        ("int16", "h", 321, 1000.0, 321_000.0),
        ("uint16", "H", 60_000, 1000.0, 60_000_000.0),
        ("int32", "i", 87_654_000, 1.0, MEGAWATTS),
        ("uint32", "I", 3_000_000_000, 0.1, 300_000_000.0),
        ("int64", "q", 87_654_000_000, 0.001, MEGAWATTS),
        ("uint64", "Q", 87_654, 1000.0, MEGAWATTS),
        ("float32", "f", 87_654.0, 1000.0, MEGAWATTS),
        ("float64", "d", 87.654, 1e6, MEGAWATTS),
    ],
)
@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("function", ["holding", "input"])
async def test_a_register_is_read_by_its_type_order_kind_and_scale(
    kind: str, layout: str, value: float, scale: float, expected_w: float, order: str, function: str
) -> None:
    held = words(layout, value)
    at = placed(3059, held if order == "big" else held[::-1])
    units = Units({1: at} if function == "holding" else {1: {}}, {1: at} if function == "input" else None)
    where = register(3059, type=kind, scale=scale, word_order=order, kind=function)
    async with reading(units, lambda port: point(port, power=where)) as meters:
        assert await power_w(meters) == pytest.approx(expected_w)
        assert not meters.problems


async def test_a_reading_has_unit_time_and_energy_in_joules() -> None:
    units = Units({5: placed(10, words("f", 1500.0)) | placed(20, words("I", 2_000))})
    energy = register(20, type="uint32", scale=1000.0)
    async with reading(
        units, lambda port: point(port, unit=5, power=register(10, scale=1000.0), energy=energy)
    ) as meters:
        telemetry = await meters.read(START)
        power, counted = (telemetry.get(metric, "m0") for metric in (Metric.METER_POWER, Metric.METER_ENERGY))
        assert (power.value, power.unit, power.quality) == (1_500_000.0, "W", Quality.FRESH)
        assert (counted.value, counted.unit) == (2e6 * 3600.0, "J")
        assert power.at is not None
        assert START <= power.at <= START + timedelta(hours=1)


@pytest.mark.parametrize("model", [201, 202, 203, 204, 211, 212, 213, 214])
@pytest.mark.parametrize("base", [40_000, 0, 50_000])
async def test_a_sunspec_meter_is_found_in_its_map(model: int, base: int) -> None:
    integer = model < 210
    units = Units({1: sunspec_map(model, INTEGER if integer else FLOAT, base=base, before=((1, 66), (103, 50)))})
    async with reading(units, point) as meters:
        telemetry = await meters.read(START)
        assert not meters.problems
        assert telemetry.get(Metric.METER_POWER, "m0").value == pytest.approx(87_650_000.0 if integer else MEGAWATTS)
        imported_wh = 123_456_000.0 if integer else 5e8
        assert telemetry.get(Metric.METER_ENERGY, "m0").value == pytest.approx(imported_wh * 3600.0)


async def test_a_meter_that_counts_consumption_as_export_is_turned_round() -> None:
    units = Units({1: sunspec_map(203, {**INTEGER, 18: 0x10000 - 8765})})
    async with reading(units, lambda port: point(port, reversed=True)) as meters:
        telemetry = await meters.read(START)
        assert telemetry.get(Metric.METER_POWER, "m0").value == pytest.approx(87_650_000.0)
        assert telemetry.get(Metric.METER_ENERGY, "m0").value == pytest.approx(7_000.0 * 3600.0)
    async with reading(units, point) as meters:
        assert await power_w(meters) is None
        assert "-8.765e+07 W" in meters.problems["m0"]


@pytest.mark.parametrize(
    ("units", "where", "told"),
    [
        (Units({1: {}}), register(3059), ("unit 1", "holding register 3059", "illegal data address")),
        (Units({1: {}}), register(9, kind="input"), ("input register 9", "illegal data address")),
        (Units({1: placed(4, words("f", float("nan")))}), register(4), ("meter_power_watts of m0 is nan W",)),
        (Units({1: {}}), None, ('no "SunS" at register 40000, 0, 50000', "illegal data address")),
        (
            Units({1: sunspec_map(120, {})}),
            None,
            ("no meter's model (201 to 204, 211 to 214) in the SunSpec map at 40000; it has 1, 120",),
        ),
        (
            Units({1: sunspec_map(203, {**INTEGER, 22: 0x8000})}),
            None,
            ("register 40092 holds the scale factor -32768",),
        ),
        (
            Units({1: sunspec_map(213, {**FLOAT, **placed(28, words("f", float("nan")))})}),
            None,
            ("registers 40098 and 40099 hold no number",),
        ),
    ],
    ids=["address", "input", "nan", "no map", "no model", "scale factor", "not implemented"],
)
async def test_what_cannot_be_read_names_line_unit_and_register(
    units: Units, where: Register | None, told: tuple[str, ...]
) -> None:
    async with reading(units, lambda port: point(port, power=where)) as meters:
        assert await power_w(meters) is None
        problem = meters.problems["m0"]
        assert problem.startswith("site.yaml:6: grid.meter.modbus: unit 1 of 127.0.0.1:")
        for part in told:
            assert part in problem


async def test_one_meter_that_fails_leaves_the_others_of_its_gateway() -> None:
    units = Units({1: {}, 2: placed(0, words("f", 5.0)), 3: sunspec_map(203, INTEGER)})
    async with reading(
        units,
        lambda port: point(port, power=register(0)),
        lambda port: point(port, unit=2, power=register(0)),
        lambda port: point(port, unit=3),
    ) as meters:
        telemetry = await meters.read(START)
        assert telemetry.subjects(Metric.METER_POWER) == ("m1", "m2")
        assert set(meters.problems) == {"m0"}


async def test_a_meter_that_hangs_is_not_waited_for_again_and_keeps_its_reading(eventually: Eventually) -> None:
    units = Units({1: placed(0, words("f", 5.0))})
    async with modbus_server(units) as port:
        clock = SiteClock(time.time(), START, 60.0)
        meters = ModbusMeters({"m0": point(port, power=register(0))}, clock, timeout_s=0.2)

        async def reads(value: float) -> bool:
            return await power_w(meters) == value

        try:
            await eventually(lambda: reads(5.0))
            units.answering.clear()
            units.holding[1].update(placed(0, words("f", 7.0)))
            last = (await meters.read(START)).get(Metric.METER_POWER, "m0")
            assert last.value == 5.0
            again = (await meters.read(START)).get(Metric.METER_POWER, "m0")
            assert (again.value, again.at) == (last.value, last.at)

            async def told() -> bool:
                await meters.read(START)
                return "no answer within" in meters.problems.get("m0", "")

            await eventually(told)
            units.answering.set()
            await eventually(lambda: reads(7.0))
            assert not meters.problems
        finally:
            units.answering.set()
            await meters.close()


async def test_a_meter_that_comes_back_at_its_address_is_read_again(eventually: Eventually) -> None:
    units = Units({1: sunspec_map(203, INTEGER)})
    clock = SiteClock(time.time(), START, 60.0)
    async with modbus_server(units) as port:
        meters = ModbusMeters({"m0": point(port)}, clock, timeout_s=30.0)
        assert await power_w(meters) == pytest.approx(87_650_000.0)
    try:
        assert await power_w(meters) == pytest.approx(87_650_000.0)  # the last one, whose age shows
        assert "site.yaml:6" in meters.problems["m0"]
        units.holding[1].clear()
        units.holding[1].update(sunspec_map(213, FLOAT, base=0))  # another meter stands there now
        async with modbus_server(units, port):

            async def back() -> bool:
                return await power_w(meters) == pytest.approx(MEGAWATTS)

            await eventually(back)
            assert not meters.problems
    finally:
        await meters.close()


async def test_meters_are_joined_with_the_devices_whichever_way_they_are_read(
    tmp_path: Path, eventually: Eventually
) -> None:
    page = (
        b'meter_power_watts{meter="ion-7650"} 1000\nmeter_energy_joules_total{meter="ion-7650"} 7\n'
        b'meter_power_watts{meter="neighbour"} 5\nkepler_platform_watts{Hostname="n"} 3\n'
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page))
        await writer.drain()
        writer.close()

    exporter = await asyncio.start_server(answer, "127.0.0.1", 0)
    target = exporter.sockets[0].getsockname()[1]
    (tmp_path / "meters.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{target}"]}]))
    clock = SiteClock(time.time(), START, 60.0)
    async with exporter, modbus_server(Units({1: sunspec_map(203, INTEGER)})) as port, httpx.AsyncClient() as client:
        meters: dict[str, MeteringPoint] = {"grid": SeriesPoint("ion-7650"), "north": point(port)}
        source = with_meters(ScrapedMetrics(tmp_path, client, clock), meters, clock)
        found: list[Telemetry] = []

        async def complete() -> bool:
            found[:] = [await source.read(clock.at(time.time()))]
            return len(found[0].subjects(Metric.METER_POWER)) == 2

        try:
            await eventually(complete)
        finally:
            await source.close()
    (telemetry,) = found
    assert telemetry.subjects(Metric.METER_POWER) == ("grid", "north")
    assert telemetry.get(Metric.METER_POWER, "grid").value == 1000.0
    assert telemetry.get(Metric.METER_ENERGY, "grid").value == 7.0
    assert telemetry.get(Metric.NODE_POWER, "n").value == 3.0
    assert telemetry.get(Metric.METER_POWER, "north").value == pytest.approx(87_650_000.0)
