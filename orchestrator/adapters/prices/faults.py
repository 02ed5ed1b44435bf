"""What is wrong with a data file: every fault with its place, and what is allowed there."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

KEPT_FAULTS = 20
"""Faults kept in full; of the rest only the number, so that a file of another kind does not fill the screen."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a data file. `line` counts from 1 and takes in the header and comment lines."""

    file: Path
    line: int | None
    column: str | None
    value: str | None
    problem: str
    allowed: str
    span: tuple[datetime, datetime] | None = None
    """Of a hole: from when to when there is no price, at least."""

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        where = "" if self.column is None else f" {self.column}"
        what = "" if self.value is None else f" {self.value[:80]!r}"
        return f"{place}:{where}{what} {self.problem}; allowed: {self.allowed}"


class DataFileError(ValueError):
    """A data file that cannot be used, with its first faults and how many there are."""

    def __init__(self, faults: tuple[Fault, ...], count: int) -> None:
        self.faults = faults
        self.count = count
        lines = [str(fault) for fault in faults]
        if count > len(faults):
            lines.append(f"... and {count - len(faults)} more")
        super().__init__("\n".join(lines))


class PriceFileError(DataFileError):
    """A price file that cannot be used."""


class Faults:
    """Collects the faults of one file while it is read.

    With `holes_allowed`, a price that is not there is no fault: it goes to `holes`, and its reader leaves it out.
    """

    def __init__(self, file: Path, *, holes_allowed: bool = False) -> None:
        self.file = file
        self.holes_allowed = holes_allowed
        self.kept: list[Fault] = []
        self.holes: list[Fault] = []
        self.count = 0

    def add(
        self,
        problem: str,
        allowed: str,
        *,
        line: int | None = None,
        column: str | None = None,
        value: str | None = None,
    ) -> None:
        self.count += 1
        if len(self.kept) < KEPT_FAULTS:
            self.kept.append(Fault(self.file, line, column, value, problem, allowed))

    def add_hole(
        self,
        problem: str,
        allowed: str,
        *,
        line: int,
        column: str,
        value: str,
        span: tuple[datetime, datetime] | None,
    ) -> None:
        """A price that is not there: a fault, unless holes are allowed."""
        if self.holes_allowed:
            self.holes.append(Fault(self.file, line, column, value, problem, allowed, span))
        else:
            self.add(problem, allowed, line=line, column=column, value=value)

    def raise_any(self, error: type[DataFileError]) -> None:
        """Raise `error` if a fault was found, with all of them."""
        if self.count:
            raise error(tuple(self.kept), self.count)
