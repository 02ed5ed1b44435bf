"""The devices' readings and those of the site's meters, as one source."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from orchestrator.adapters.telemetry.modbus import ModbusMeters
from orchestrator.clock import SiteClock
from orchestrator.domain.metering.points import MeteringPoint, ModbusPoint, SeriesPoint
from orchestrator.domain.observation import Metric, Reading, Telemetry

_METERED = (Metric.METER_POWER, Metric.METER_ENERGY)


class OpenSource(Protocol):
    """A MetricSource that is closed when it is done with, and says what is wrong with it."""

    @property
    def problems(self) -> Mapping[str, str]: ...

    async def read(self, now: datetime) -> Telemetry: ...

    async def close(self) -> None: ...


def with_meters(devices: OpenSource, meters: Mapping[str, MeteringPoint], clock: SiteClock) -> OpenSource:
    """The devices' source with the meters joined to it; `meters` are by the subject of their readings."""
    if not meters:
        return devices
    series = {point.meter: subject for subject, point in meters.items() if isinstance(point, SeriesPoint)}
    modbus = {subject: point for subject, point in meters.items() if isinstance(point, ModbusPoint)}
    return JoinedMetrics(devices, ModbusMeters(modbus, clock), series)


class JoinedMetrics:
    """A MetricSource: the meters' series get the subjects that the site file gives them, and others are left out."""

    def __init__(self, devices: OpenSource, direct: OpenSource, series: Mapping[str, str]) -> None:
        """`direct` reads meters itself; `series` holds the subjects of those that come with the devices, by label."""
        self._devices = devices
        self._direct = direct
        self._series = series

    @property
    def problems(self) -> Mapping[str, str]:
        return {**self._devices.problems, **self._direct.problems}

    async def read(self, now: datetime) -> Telemetry:
        devices, direct = await asyncio.gather(self._devices.read(now), self._direct.read(now))
        readings: dict[Metric, Mapping[str, Reading]] = {metric: devices.readings(metric) for metric in Metric}
        for metric in _METERED:
            named = {self._series[label]: of for label, of in readings[metric].items() if label in self._series}
            readings[metric] = {**named, **direct.readings(metric)}
        joined = Telemetry.of(devices.at, readings, {**devices.refused, **direct.refused})
        return joined.saying(partial=devices.partial, problems={**devices.problems, **direct.problems})

    async def close(self) -> None:
        await asyncio.gather(self._devices.close(), self._direct.close())
