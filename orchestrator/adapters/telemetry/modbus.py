"""Meters that are asked by Modbus TCP, straight from the meter or its gateway: a `MetricSource` of their readings."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse

from orchestrator.adapters.telemetry import sunspec
from orchestrator.adapters.telemetry.series import LastReadings
from orchestrator.adapters.telemetry.sunspec import MeterError
from orchestrator.clock import SiteClock
from orchestrator.domain.metering.points import ModbusPoint, Register
from orchestrator.domain.observation import Metric, Telemetry

log = logging.getLogger(__name__)

_GIVE_UP_S = 3.0
"""On the wall, for a connection and for an answer."""
_JOULES_PER_WH = 3600.0
_REFUSALS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    6: "device busy",
    10: "no path to that unit",
    11: "that unit does not answer its gateway",
}
"""By exception code: Modbus application protocol specification V1.1b3, section 7."""


class ModbusMeters:
    """Asks every meter, all gateways at once and the meters behind one in turn.

    A gateway that has not answered within `timeout_s` (wall) leaves the last readings of its meters and is not waited
    for again until it answers.
    """

    def __init__(self, meters: Mapping[str, ModbusPoint], clock: SiteClock, timeout_s: float = 1.0) -> None:
        """`meters` are by the subject of their readings."""
        by_address: dict[tuple[str, int], dict[str, ModbusPoint]] = {}
        for subject, point in meters.items():
            by_address.setdefault((point.host, point.port), {})[subject] = point
        self._last = LastReadings(clock)
        self._gateways = [
            _Gateway(host, port, points, self._last, clock) for (host, port), points in by_address.items()
        ]
        self._timeout_s = timeout_s

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, by meter: file, line and key, and the register."""
        return {subject: problem for gateway in self._gateways for subject, problem in gateway.problems.items()}

    async def read(self, now: datetime) -> Telemetry:
        under_way = [(gateway, gateway.ask()) for gateway in self._gateways]
        prompt = [task for gateway, task in under_way if not gateway.slow]
        if prompt:
            await asyncio.wait(prompt, timeout=self._timeout_s)
        for gateway, task in under_way:
            gateway.slow = not task.done()
        problems = {f"meter {subject}": problem for subject, problem in self.problems.items()}
        return self._last.telemetry(now).saying(partial={}, problems=problems)

    async def close(self) -> None:
        """End what is under way, and the connections."""
        await asyncio.gather(*(gateway.close() for gateway in self._gateways))


class _Gateway:
    """The meters at one address, over one connection: many take no second one."""

    def __init__(
        self, host: str, port: int, points: Mapping[str, ModbusPoint], last: LastReadings, clock: SiteClock
    ) -> None:
        self.slow = False
        self.problems: dict[str, str] = {}
        self._address = f"{host}:{port}"
        self._points = points
        self._last = last
        self._clock = clock
        self._client = AsyncModbusTcpClient(host, port=port, timeout=_GIVE_UP_S, retries=0, reconnect_delay=0.0)
        self._models: dict[str, int] = {}
        """Address of a SunSpec meter's model, once found."""
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> asyncio.Task[None]:
        """The round that is under way, or a new one."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._round())
        return self._task

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._client.close()

    async def _round(self) -> None:
        for subject, point in self._points.items():
            try:
                await self._take(subject, point)
            except (MeterError, ValueError) as error:
                self._models.pop(subject, None)
                problem = f"{point.where}: unit {point.unit} of {self._address}: {error}"
                if subject not in self.problems:
                    log.warning("meter %s: %s", subject, problem)
                self.problems[subject] = problem
            else:
                if self.problems.pop(subject, None) is not None:
                    log.info("meter %s answers again", subject)

    async def _take(self, subject: str, point: ModbusPoint) -> None:
        """Put a meter's figures on record; MeterError or ValueError for one that can't be had or be true."""
        power_w, energy_wh = await (self._sunspec(subject, point) if point.power is None else self._mapped(point))
        wall = time.time()
        at, latest = self._clock.at(wall), self._last.latest(wall)
        self._last.put(Metric.METER_POWER, subject, -power_w if point.reversed else power_w, at, latest)
        if energy_wh is not None:
            self._last.put(Metric.METER_ENERGY, subject, energy_wh * _JOULES_PER_WH, at, latest)

    async def _mapped(self, point: ModbusPoint) -> tuple[float, float | None]:
        """Power in W, and energy in Wh if it is there, as the site file says where they are."""
        assert point.power is not None, "a meter without a preset has a register of its power"
        power_w = await self._figure(point.power, point.unit)
        return power_w, await self._figure(point.energy, point.unit) if point.energy is not None else None

    async def _figure(self, register: Register, unit: int) -> float:
        kind = self._client.DATATYPE[register.type.upper()]
        words = await self._words(register.address, kind.value[1], unit, register.kind)
        value = self._client.convert_from_registers(words, kind, word_order=register.word_order)
        return float(cast(float, value)) * register.scale

    async def _sunspec(self, subject: str, point: ModbusPoint) -> tuple[float, float | None]:
        async def read(address: int, count: int) -> Sequence[int]:
            return await self._words(address, count, point.unit)

        if subject not in self._models:
            self._models[subject] = await sunspec.find_meter(read)
        at = self._models[subject]
        figures = sunspec.figures(await read(at, sunspec.BLOCK), at)
        return figures.power_w, figures.exported_wh if point.reversed else figures.imported_wh

    async def _words(self, address: int, count: int, unit: int, kind: str = "holding") -> list[int]:
        """Registers as they come; MeterError names them."""
        client, what = self._client, f"{kind} register {address}"
        if not client.connected and not await client.connect():
            raise MeterError(f"{what}: no connection")
        read = client.read_holding_registers if kind == "holding" else client.read_input_registers
        try:
            response = await read(address, count=count, device_id=unit)
        except ModbusException as error:
            client.close()  # an answer that comes late is not to be taken for that of the next request
            raise MeterError(f"{what}: no answer within {_GIVE_UP_S:g} s") from error
        if isinstance(response, ExceptionResponse):
            code = response.exception_code
            raise MeterError(f"{what}: refused, {_REFUSALS.get(code, f'exception code {code}')}")
        words = list(response.registers)
        if len(words) != count:
            raise MeterError(f"{what}: {len(words)} registers came; {count} were asked for")
        return words
