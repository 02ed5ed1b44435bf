"""Times as Kubernetes objects carry them."""

from datetime import UTC, datetime

from orchestrator.domain.units import utc


def instant(text: str) -> datetime:
    """An aware UTC datetime; ValueError for what is no ISO 8601 time with an offset."""
    return utc(datetime.fromisoformat(text))


def instant_or_none(text: str | None) -> datetime | None:
    """None for nothing and for what is no time."""
    try:
        return instant(text) if text else None
    except ValueError:
        return None


def stamp(at: datetime) -> str:
    """To the microsecond, as a MicroTime."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
