"""What a trace has that makes no sense: counted by kind, with the first places and values of each."""

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.adapters.prices.faults import DataFileError, Fault

KEPT_PLACES = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of nonsense in a trace."""

    problem: str
    allowed: str
    left_out: bool
    """Whether the rows were left out; else they were used as `problem` says."""
    count: int
    places: tuple[tuple[int, str], ...]
    """Line and value of the first ones."""
    of: str = "rows"

    def __str__(self) -> str:
        shown = ", ".join(f"line {line}: {value[:40]!r}" for line, value in self.places)
        more = ", ..." if self.count > len(self.places) else ""
        what = "left out" if self.left_out else "used"
        return f"{self.count} {self.of} {what}: {self.problem} ({shown}{more}); allowed: {self.allowed}"


class TraceError(DataFileError):
    """A trace that cannot be used."""


class Nonsense:
    """Collects the nonsense of one trace while it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._kinds: dict[str, Kind] = {}

    def add(
        self,
        problem: str,
        allowed: str,
        line: int,
        value: str,
        *,
        left_out: bool = True,
        count: int = 1,
        of: str = "rows",
    ) -> None:
        known = self._kinds.get(problem, Kind(problem, allowed, left_out, 0, (), of))
        places = known.places if len(known.places) == KEPT_PLACES else (*known.places, (line, value))
        self._kinds[problem] = replace(known, count=known.count + count, places=places)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(self._kinds.values())

    def refuse(self) -> None:
        """Raise TraceError with the first row of each kind, for a trace of which nothing is left."""
        faults = [
            Fault(
                self.file,
                kind.places[0][0],
                None,
                kind.places[0][1],
                f"{kind.problem} ({kind.count} {kind.of})",
                kind.allowed,
            )
            for kind in self.kinds
            if kind.left_out
        ]
        nothing = Fault(self.file, None, None, None, "has no job that can be used", "at least one job")
        raise TraceError((nothing, *faults), 1 + len(faults))
