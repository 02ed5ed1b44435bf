"""A simulated meter as a unit of a Modbus TCP server: a SunSpec map with the common model and model 203.

The layouts are those of the SunSpec Alliance's information models 1 and 203 (github.com/sunspec/models). Of model 203
power and energy are there; all else says that it is not implemented.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from orchestrator.sim.meters.meter_model import Shown

BASE = 40_000
_COMMON, _COMMON_LENGTH = 1, 66
METER = BASE + 2 + 2 + _COMMON_LENGTH
"""Where the meter's model begins: its number, its length, then its points."""
_MODEL, _LENGTH = 203, 105
_W, _W_SF, _WH_EXPORTED, _WH_IMPORTED, _WH_SF = 18, 22, 38, 46, 54
"""Offsets from the model's number on."""
_NOT_IMPLEMENTED = 0x8000
_KWH = 3
"""Scale of energy: 10^3 Wh."""
_MOST = 32_000
"""The most of a power that 16 bits are used for."""

Look = Callable[[], Mapping[str, Shown]]
"""What the meters show now, by name."""


def scale_of(full_w: float) -> int:
    """The finest power of ten of which a register holds `full_w`."""
    scale = 0
    while full_w / 10**scale > _MOST:
        scale += 1
    return scale


def registers(shown: Shown, scale: int) -> list[int]:
    """From BASE on: the whole map of a meter."""
    model = [_MODEL, _LENGTH, *[_NOT_IMPLEMENTED] * _LENGTH]
    model[_W] = min(round(shown.power_w / 10**scale), 0x7FFF) & 0xFFFF
    model[_W_SF] = scale
    model[_WH_EXPORTED] = model[_WH_EXPORTED + 1] = 0
    counted = round(shown.energy_j / 3600.0 / 10**_KWH) & 0xFFFF_FFFF
    model[_WH_IMPORTED], model[_WH_IMPORTED + 1] = counted >> 16, counted & 0xFFFF
    model[_WH_SF] = _KWH
    return [0x5375, 0x6E53, _COMMON, _COMMON_LENGTH, *[0] * _COMMON_LENGTH, *model, 0xFFFF, 0]


def serve_modbus(units: Mapping[int, tuple[str, float]], look: Look, host: str, port: int) -> int:
    """Serve meters in a thread of their own at `port` (0: any free one); returns the port. OSError when it is taken.

    `units` holds the meter's name and the most that it is to show, W, by unit id.
    """
    ready = threading.Event()
    outcome: list[int | BaseException] = []

    async def serve() -> None:
        server = ModbusTcpServer(
            [_device(unit, name, scale_of(full_w), look) for unit, (name, full_w) in units.items()],
            address=(host, port),
        )
        try:
            await server.serve_forever(background=True)
            listening = server.transport
            assert isinstance(listening, asyncio.Server), "a TCP server listens"
            outcome.append(int(listening.sockets[0].getsockname()[1]))
        except BaseException as error:
            outcome.append(error)
            raise
        finally:
            ready.set()
        await server.serving

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    ready.wait()
    (answer,) = outcome
    if isinstance(answer, BaseException):
        raise OSError(f"no Modbus server at {host}:{port}") from answer
    return answer


def _device(unit: int, name: str, scale: int, look: Look) -> SimDevice:
    async def fill(
        code: int, start: int, address: int, count: int, current: list[int], new: Sequence[int] | None
    ) -> ExcCodes | None:
        del start, address, count
        if new is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        del code
        current[:] = registers(look()[name], scale)
        return None

    empty = registers(Shown(0.0, 0.0), scale)
    return SimDevice(unit, SimData(BASE, values=empty, datatype=DataType.REGISTERS), action=fill)
