"""What devices really draw, from their programs to the meters': a small file each, written in place.

A file's 16 bytes are replaced by one write, so a reader finds the old or the new. Whoever hangs leaves its last.
"""

import os
import struct
from pathlib import Path

from orchestrator.sim.meters.meter_model import Drawn

FOLDER = "power"
"""In the run directory."""
_LAYOUT = struct.Struct("<dd")


class PowerFile:
    """The file of one device; made when there is first something to say."""

    def __init__(self, run: Path, device: str) -> None:
        self._path = run / FOLDER / device
        self._file: int | None = None

    def write(self, power_w: float, energy_j: float) -> None:
        if self._file is None:
            self._path.parent.mkdir(exist_ok=True)  # not its parents: a site that is gone stays gone
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(self._file, _LAYOUT.pack(power_w, energy_j), 0)

    def remove(self) -> None:
        """The device draws nothing any more."""
        self._path.unlink(missing_ok=True)


def read_power(run: Path, device: str) -> Drawn | None:
    """None for a device that has not said anything, or has ended."""
    try:
        raw = (run / FOLDER / device).read_bytes()
    except OSError:
        return None
    return Drawn(*_LAYOUT.unpack(raw)) if len(raw) == _LAYOUT.size else None
