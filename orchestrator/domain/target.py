"""What power goes to and comes by, as values: fleets, jobs and GPU pools; feeders and the grid connection."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    FLEET = "fleet"
    JOB = "job"
    POOL = "pool"
    FEEDER = "feeder"
    GRID_CONNECTION = "grid connection"


_MOVED = (Kind.FLEET, Kind.JOB, Kind.POOL)


class Target(NamedTuple):
    """One of the site's things, by kind and name. Its text is what records, API and logs call it."""

    kind: Kind
    name: str

    @staticmethod
    def fleet(name: str) -> "Target":
        return Target(Kind.FLEET, name)

    @staticmethod
    def job(name: str) -> "Target":
        return Target(Kind.JOB, name)

    @staticmethod
    def pool(name: str) -> "Target":
        return Target(Kind.POOL, name)

    @staticmethod
    def feeder(name: str) -> "Target":
        return Target(Kind.FEEDER, name)

    def __str__(self) -> str:
        """`fleet/s21` of what is moved; `feeder north` and `grid connection` of what power comes by."""
        if self.kind in _MOVED:
            return f"{self.kind}/{self.name}"
        return f"{self.kind} {self.name}".rstrip()


GRID_CONNECTION = Target(Kind.GRID_CONNECTION, "")
