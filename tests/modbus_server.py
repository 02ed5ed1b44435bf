"""A Modbus TCP server in this process, on loopback: pymodbus's own, so that the protocol is the real one."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

Registers = dict[int, int]
"""By address; what is not in it is refused."""


class Units:
    """What each unit's holding and input registers hold; a test may change them while the server runs."""

    def __init__(self, holding: Mapping[int, Registers], inputs: Mapping[int, Registers] | None = None) -> None:
        self.holding = holding
        self.inputs = inputs or {}
        self.answering = asyncio.Event()
        self.answering.set()

    def device(self, unit: int) -> SimDevice:
        async def fill(
            code: int, start: int, address: int, count: int, current: list[int], new: Sequence[int] | None
        ) -> ExcCodes | None:
            del new
            await self.answering.wait()
            source = (self.holding if code == 3 else self.inputs).get(unit, {})
            for register in range(address, address + count):
                if register not in source:
                    return ExcCodes.ILLEGAL_ADDRESS
                current[register - start] = source[register]
            return None

        return SimDevice(unit, SimData(0, count=65_535, values=0, datatype=DataType.REGISTERS), action=fill)


@asynccontextmanager
async def modbus_server(units: Units, port: int = 0) -> AsyncIterator[int]:
    """Yields the port."""
    devices = [units.device(unit) for unit in sorted({*units.holding, *units.inputs})]
    server = ModbusTcpServer(devices, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    listening = server.transport
    assert isinstance(listening, asyncio.Server)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
