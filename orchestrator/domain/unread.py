"""What nobody measures of a fleet or pool, and what stands in for it."""

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """What an assumed power goes by."""

    SETPOINT = "setpoint"
    """Silent racks, at the most that they were asked to draw since they were last read."""
    TRUST = "trust"
    """Racks of a source that is down, held on their accepted setpoints."""
    NAMEPLATE = "nameplate"
    """Silent devices of which nobody knows what they follow."""
    JOBS = "jobs"
    """Silent nodes, at what the running jobs may draw and the other nodes do not."""
    WAKING = "waking"
    """Racks that answer and were asked up since: what their setpoint has beyond the reading."""
    PARTS = "parts"
    """Machines of a rack and GPUs of a node that do not answer while others of it do, at nameplate."""
    METER = "meter"
    """Any of these behind a fresh meter: what it leaves for them, which is less."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Devices and the power that is assumed of them, kW of IT."""

    devices: int
    kw: float

    def __add__(self, other: "Unread") -> "Unread":
        return Unread(self.devices + other.devices, self.kw + other.kw)


NOTHING_UNREAD = Unread(0, 0.0)
