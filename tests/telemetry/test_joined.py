"""The devices' readings and the meters' as one source."""

from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.adapters.telemetry.joined import JoinedMetrics
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry

NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)


def watts(value: float) -> Reading:
    return Reading(value, "W", NOW, Quality.FRESH)


class Source:
    def __init__(self, readings: Mapping[Metric, Mapping[str, Reading]], refused: Mapping[str, str]) -> None:
        self.problems = refused
        self._telemetry = Telemetry.of(NOW, readings, refused)

    async def read(self, now: datetime) -> Telemetry:
        return self._telemetry

    async def close(self) -> None:
        pass


async def test_meters_get_their_places_and_what_either_refuses_is_named() -> None:
    devices = Source(
        {Metric.ASIC_POWER: {"s21/rack-0": watts(5.0)}, Metric.METER_POWER: {"main": watts(9.0), "stray": watts(1.0)}},
        {"s21/rack-1": "-4 W"},
    )
    direct = Source({Metric.METER_POWER: {"north": watts(3.0)}}, {"south": "no number"})
    read = await JoinedMetrics(devices, direct, {"main": "grid"}).read(NOW)
    assert read.readings(Metric.ASIC_POWER) == {"s21/rack-0": watts(5.0)}
    assert read.readings(Metric.METER_POWER) == {"grid": watts(9.0), "north": watts(3.0)}
    assert read.refused == {"s21/rack-1": "-4 W", "south": "no number"}
