"""Where a round's wall time goes, part by part, for whoever wants to know."""

import time
from collections.abc import Callable
from typing import Literal

Part = Literal["observe", "assess", "decide", "record", "act"]
"""In this order. A round that is cut short has the first of them; one that decides nothing does not act."""

Timed = Callable[[Part, float, float], None]
"""Told of each part once it is over: which, when it began and when it ended, s of `time.perf_counter`."""


class Stopwatch:
    """One round's: each part begins where the one before ended."""

    def __init__(self, timed: Timed) -> None:
        self._timed = timed
        self._began = time.perf_counter()

    def over(self, part: Part) -> None:
        began, self._began = self._began, time.perf_counter()
        self._timed(part, began, self._began)
