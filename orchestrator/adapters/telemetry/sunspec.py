"""Meters that say themselves where their figures are: the SunSpec models 201 to 204 and 211 to 214.

A SunSpec map begins with "SunS" at one of three addresses; models follow one another, each headed by its number and its
length in registers. The layouts are those of the SunSpec Alliance's information models (model_201.json to
model_214.json of github.com/sunspec/models): the four with whole numbers share one, the four in floats another.
"""

import math
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

BASES = (40000, 0, 50000)
"""Where a map may begin, in the order in which they are tried."""
_SUNS = [0x5375, 0x6E53]
_END = 0xFFFF
_MOST_MODELS = 100
"""A map with more of them is none."""

INTEGER_MODELS = (201, 202, 203, 204)
FLOAT_MODELS = (211, 212, 213, 214)
"""Single phase, split phase, three phases with and without neutral."""

# Offsets from the model's number on.
_HEAD = 2
_W, _W_SF, _WH_EXPORTED, _WH_IMPORTED, _WH_SF = 18, 22, 38, 46, 54
_FLOAT_W, _FLOAT_WH_EXPORTED, _FLOAT_WH_IMPORTED = 28, 60, 68
BLOCK = 70
"""Registers that are read of a model, its head among them: up to the last of these figures. Both kinds are longer."""

ReadHolding = Callable[[int, int], Awaitable[Sequence[int]]]
"""Holding registers from an address on, so many; raises MeterError."""


class MeterError(Exception):
    """What a meter did not say, or said wrong; the text names the register."""


class Figures(NamedTuple):
    power_w: float
    """Positive is imported."""
    imported_wh: float
    exported_wh: float


async def find_meter(read: ReadHolding) -> int:
    """Address of the first meter's model in the map; MeterError where there is none."""
    base = await _base(read)
    at, found = base + len(_SUNS), list[str]()
    for _ in range(_MOST_MODELS):
        model, length = await read(at, _HEAD)
        if model in INTEGER_MODELS or model in FLOAT_MODELS:
            return at
        if model == _END:
            break
        found.append(str(model))
        at += _HEAD + length
    models = ", ".join(found[:10]) or "none"
    raise MeterError(f"no meter's model (201 to 204, 211 to 214) in the SunSpec map at {base}; it has {models}")


def figures(block: Sequence[int], at: int) -> Figures:
    """From the BLOCK registers at the address `at` of a meter's model; MeterError for what is not implemented."""
    model = block[0]
    if model in INTEGER_MODELS:
        return Figures(
            _signed(block, _W) * _scale(block, _W_SF, at),
            _unsigned(block, _WH_IMPORTED) * _scale(block, _WH_SF, at),
            _unsigned(block, _WH_EXPORTED) * _scale(block, _WH_SF, at),
        )
    if model in FLOAT_MODELS:
        return Figures(
            _float(block, _FLOAT_W, at), _float(block, _FLOAT_WH_IMPORTED, at), _float(block, _FLOAT_WH_EXPORTED, at)
        )
    raise MeterError(f"register {at} holds {model}, where a meter's model was")


async def _base(read: ReadHolding) -> int:
    refused: MeterError | None = None
    for base in BASES:
        try:
            if list(await read(base, len(_SUNS))) == _SUNS:
                return base
        except MeterError as error:  # no such address there: the map may begin at the next
            refused = error
    where = ", ".join(map(str, BASES))
    raise MeterError(f'no "SunS" at register {where}{f"; {refused}" if refused else ""}')


def _signed(block: Sequence[int], offset: int) -> int:
    return block[offset] - 0x10000 if block[offset] & 0x8000 else block[offset]


def _unsigned(block: Sequence[int], offset: int) -> int:
    return (block[offset] << 16) + block[offset + 1]


def _scale(block: Sequence[int], offset: int, at: int) -> float:
    power = _signed(block, offset)
    if not -10 <= power <= 10:
        raise MeterError(f"register {at + offset} holds the scale factor {power}; -10 to 10 are allowed")
    return math.pow(10.0, power)


def _float(block: Sequence[int], offset: int, at: int) -> float:
    (value,) = struct.unpack(">f", struct.pack(">HH", block[offset], block[offset + 1]))
    if not math.isfinite(value):
        raise MeterError(f"registers {at + offset} and {at + offset + 1} hold no number")
    return float(value)
