"""How long a process takes over what it promised to have done in time, on a machine that others may keep busy."""

import time
from pathlib import Path


class Stopwatch:
    """Runs from when it is made, and stands still while the process it watches itself waits for a core.

    What it computes and what it sleeps for count in full on any machine, so a process that takes ten times as long is
    seen. That others wait stops nothing: on a machine with more tests than cores, somebody always does.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._waited_s = 0.0
        self._began = time.monotonic() - self._wait_s()

    @property
    def seconds(self) -> float:
        """Also of a process that has ended, until its parent has waited for it."""
        return time.monotonic() - self._wait_s() - self._began

    def _wait_s(self) -> float:
        """How long its main thread was ready to run and had no core, as last seen; 0 where Linux does not count it."""
        try:
            _, waited_ns, _ = Path(f"/proc/{self._pid}/schedstat").read_text().split()
        except FileNotFoundError:
            return self._waited_s
        self._waited_s = int(waited_ns) / 1e9
        return self._waited_s
