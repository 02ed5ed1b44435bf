"""A day of prices as a tape that is played faster than real time and begins again at its end.

What is shown keeps to the intervals that a price document may have: slots of 5 minutes of real time. A real-time slot
has the price that is in force now or, once it is over, was at its end; a day-ahead slot the mean of what the tape has.
"""

import csv
import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

SLOT = timedelta(minutes=5)
PAST = timedelta(hours=1)
AHEAD = timedelta(hours=48)
"""At most: a day at speed 1 and the next."""

START, REAL_TIME, DAY_AHEAD = "interval_start_utc", "real_time_usd_per_mwh", "day_ahead_usd_per_mwh"


class PriceFileError(ValueError):
    """A file that is no day of prices; the text names file, line, column, value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Tape:
    """Rows of equal length, without a hole."""

    start: datetime
    row: timedelta
    real_time: tuple[float, ...]
    """USD/MWh."""
    day_ahead: tuple[float, ...] | None

    @property
    def length_s(self) -> float:
        return self.row.total_seconds() * len(self.real_time)

    def real_time_at(self, position_s: float) -> float:
        """At so many seconds from the tape's start, over and over."""
        return self.real_time[math.floor(position_s / self.row.total_seconds()) % len(self.real_time)]

    def day_ahead_mean(self, from_s: float, to_s: float) -> float | None:
        """Over that stretch, or the last round of it; None if the file has no day-ahead prices."""
        if self.day_ahead is None:
            return None
        from_s = max(from_s, to_s - self.length_s)
        row_s = self.row.total_seconds()
        total = 0.0
        for index in range(math.floor(from_s / row_s), math.ceil(to_s / row_s)):
            share_s = min((index + 1) * row_s, to_s) - max(index * row_s, from_s)
            total += share_s * self.day_ahead[index % len(self.day_ahead)]
        return total / (to_s - from_s)

    def position_of(self, local: time, zone: ZoneInfo) -> float:
        """Seconds from the start to the first `local` time in `zone`; ValueError if the tape has none."""
        day = self.start.astimezone(zone).date()
        for at in (datetime.combine(day + timedelta(days=later), local, zone) for later in (0, 1)):
            position_s = (at - self.start).total_seconds()
            if 0.0 <= position_s < self.length_s:
                return position_s
        end = self.start + timedelta(seconds=self.length_s)
        raise ValueError(f"{local:%H:%M} in {zone.key} is not in {self.start:%FT%TZ} to {end:%FT%TZ}")


@dataclass(frozen=True, slots=True)
class Player:
    """Plays a tape from `from_s` at real time `origin`, `speed` times as fast."""

    origin: datetime
    from_s: float
    speed: float

    def position_s(self, at: datetime) -> float:
        """Of the tape at real time `at`; beyond its length it is in a later round."""
        return self.from_s + (at - self.origin).total_seconds() * self.speed

    def document(self, tape: Tape, now: datetime) -> dict[str, object]:
        """The price document at real time `now`, and what of it is simulated."""
        slot_s = SLOT.total_seconds()
        current = datetime.fromtimestamp(now.timestamp() // slot_s * slot_s, UTC)
        round_ends_s = (self.position_s(now) // tape.length_s + 1.0) * tape.length_s
        prices: list[dict[str, object]] = []
        start = current - PAST
        while start < current + AHEAD:
            end = start + SLOT
            from_s, to_s = self.position_s(start), min(self.position_s(end), round_ends_s)
            entry: dict[str, object] = {"interval_start_utc": _text(start), "interval_end_utc": _text(end)}
            if start <= current:
                # Just before its end: the price that holds from its end on is the next slot's.
                last = self.position_s(min(now, end - timedelta(microseconds=1)))
                entry[REAL_TIME] = tape.real_time_at(last)
            elif tape.day_ahead is None or from_s >= round_ends_s:
                break
            day_ahead = tape.day_ahead_mean(from_s, to_s)
            if day_ahead is not None:
                entry[DAY_AHEAD] = round(day_ahead, 4)
            prices.append(entry)
            start = end
        return {
            "simulated": True,
            "speed": self.speed,
            "replayed_time_utc": _text(
                tape.start + timedelta(seconds=math.floor(self.position_s(now) % tape.length_s))
            ),
            "note": f"A replay of past prices at {self.speed:g} times real time, stamped with real time. No market.",
            "prices": prices,
        }


def read_tape(path: Path) -> Tape:
    """The day in a CSV file of our own format (docs/prices.md); PriceFileError for the first thing wrong in it."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PriceFileError(f"{path}: cannot be read: {error}") from error
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    header = [cell.strip() for cell in next(csv.reader([kept[0][1]]))] if kept else []
    if START not in header or REAL_TIME not in header:
        raise PriceFileError(f"{path}: the header needs {START} and {REAL_TIME}, and may have {DAY_AHEAD}")
    starts: list[datetime] = []
    prices: dict[str, list[float]] = {column: [] for column in (REAL_TIME, DAY_AHEAD) if column in header}
    for number, line in kept[1:]:
        cells = dict(zip(header, (cell.strip() for cell in next(csv.reader([line]))), strict=False))
        starts.append(_instant(cells.get(START, ""), f"{path}:{number}: {START}"))
        for column, values in prices.items():
            values.append(_usd_per_mwh(cells.get(column, ""), f"{path}:{number}: {column}"))
        if len(starts) > 2 and starts[-1] - starts[-2] != starts[1] - starts[0]:
            raise PriceFileError(f"{path}:{number}: {START} {starts[-1]:%FT%TZ}: rows must follow in equal steps")
    if len(starts) < 2 or starts[1] <= starts[0]:
        raise PriceFileError(f"{path}: needs two rows or more, in order of time")
    real_time = tuple(prices[REAL_TIME])
    day_ahead = tuple(prices[DAY_AHEAD]) if DAY_AHEAD in prices else None
    return Tape(start=starts[0], row=starts[1] - starts[0], real_time=real_time, day_ahead=day_ahead)


def _instant(cell: str, where: str) -> datetime:
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise PriceFileError(f"{where}: {cell!r}; allowed: an ISO 8601 time") from None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _usd_per_mwh(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PriceFileError(f"{where}: {cell!r}; allowed: a number of USD/MWh")
    return value


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
