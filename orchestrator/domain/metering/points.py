"""Where the meters of the grid connection and of feeders are read: what the site file says of each."""

from dataclasses import dataclass
from typing import Literal

GRID_METER = "grid"
"""The subject of the readings of the grid connection's meter; that of a feeder's is the feeder's name."""

RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """A meter whose series come with those of the devices, from an exporter."""

    meter: str
    """The value of their label `meter`."""


@dataclass(frozen=True, slots=True)
class Register:
    """Where one figure is in a meter's Modbus map, and what a count of it is."""

    address: int
    """As it is sent, from 0: what a manual numbers 40001 or 30001 is 0."""
    type: RegisterType
    word_order: Literal["big", "little"]
    """Of a figure of several registers: whether the first one is the highest or the lowest."""
    kind: Literal["holding", "input"]
    scale: float
    """What a count is: W for power, Wh for energy."""
    where: str
    """File, line and key, for errors."""


@dataclass(frozen=True, slots=True)
class ModbusPoint:
    """A meter that is asked by Modbus TCP."""

    host: str
    port: int
    unit: int
    power: Register | None
    """None for one that says itself where its figures are: a SunSpec meter."""
    energy: Register | None
    reversed: bool
    """Consumption is negative there, and its energy what the meter takes for exported."""
    where: str
    """File, line and key, for errors."""


MeteringPoint = SeriesPoint | ModbusPoint
