"""Site time: the wall clock, or a replayed day that runs `speed` times as fast."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class SiteClock:
    """Maps wall time (unix seconds) to site time. At speed 1 with equal origins both are the same."""

    wall_origin: float
    site_origin: datetime
    speed: float

    def at(self, wall: float) -> datetime:
        """Site time at wall time `wall`, unix seconds."""
        return self.site_origin + timedelta(seconds=(wall - self.wall_origin) * self.speed)

    def wall_seconds(self, span: timedelta) -> float:
        """How long `span` of site time takes on the wall."""
        return span.total_seconds() / self.speed

    def wall_at(self, at: datetime) -> float:
        """Wall time, unix seconds, at which site time is `at`."""
        return self.wall_origin + (at - self.site_origin).total_seconds() / self.speed

    def to_json(self) -> dict[str, object]:
        return {
            "wall_origin": self.wall_origin,
            "site_origin": self.site_origin.isoformat(),
            "speed": self.speed,
        }

    @staticmethod
    def from_json(document: dict[str, object]) -> "SiteClock":
        return SiteClock(
            wall_origin=float(str(document["wall_origin"])),
            site_origin=datetime.fromisoformat(str(document["site_origin"])).astimezone(UTC),
            speed=float(str(document["speed"])),
        )


def wall_clock() -> SiteClock:
    """Real time: site time is wall time."""
    return SiteClock(wall_origin=0.0, site_origin=datetime(1970, 1, 1, tzinfo=UTC), speed=1.0)
