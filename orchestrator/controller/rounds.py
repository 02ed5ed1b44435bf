"""How rounds of the loop go, for whoever times them: the controller itself looks at no clock."""

from enum import StrEnum
from typing import Protocol


class Part(StrEnum):
    """The parts of a round, in order."""

    OBSERVE = "observe"
    ASSESS = "assess"
    DECIDE = "decide"
    RECORD = "record"
    ACT = "act"


class Result(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNSYNCED = "unsynced"
    """The workload driver's view may be old, so nothing was decided."""


class RoundWatch(Protocol):
    """Told as a round goes on. Rounds follow one another; a part that failed is not `done`."""

    def begin(self) -> None: ...

    def done(self, part: Part) -> None:
        """`part` is over; the next one begins."""
        ...

    def end(self, result: Result) -> None:
        """After a good one the controller's snapshot is that of this round."""
        ...


class Unwatched:
    """Nobody looks."""

    def begin(self) -> None: ...

    def done(self, part: Part) -> None: ...

    def end(self, result: Result) -> None: ...
