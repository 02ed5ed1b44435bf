"""Prices as a JSON document, as an HTTP source serves them and as they are pushed to the API.

    {"prices": [{"interval_start_utc": "2023-09-06T23:00:00Z", "interval_end_utc": "2023-09-06T23:15:00Z",
                 "real_time_usd_per_mwh": 769.84, "day_ahead_usd_per_mwh": 656.56}]}

Either price may be left out, not both. A document with one bad entry is refused whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.adapters.prices.cells import (
    ALLOWED_INTERVALS,
    ALLOWED_PRICE,
    HIGHEST_USD_PER_MWH,
    INTERVALS,
    LOWEST_USD_PER_MWH,
)
from orchestrator.domain.market import Market, Price

MAX_ENTRIES = 10_000
"""A month of 5 min intervals is 8,928."""
KEPT_PROBLEMS = 20

_MARKETS = {"real_time_usd_per_mwh": Market.REAL_TIME, "day_ahead_usd_per_mwh": Market.DAY_AHEAD}


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """One thing wrong in a document, at a JSON pointer (RFC 6901)."""

    pointer: str
    value: str
    """As Python shows it, cut at 80 characters."""
    allowed: str


class PriceDocumentError(ValueError):
    """A document of prices that is refused, with its first problems and how many there are."""

    def __init__(self, problems: Sequence[DocumentProblem], count: int) -> None:
        self.problems = tuple(problems)
        self.count = count
        lines = [f"{problem.pointer}: {problem.value}; allowed: {problem.allowed}" for problem in self.problems]
        if count > len(lines):
            lines.append(f"... and {count - len(lines)} more")
        super().__init__("\n".join(lines))


class _Problems:
    def __init__(self) -> None:
        self.kept: list[DocumentProblem] = []
        self.count = 0

    def add(self, pointer: str, value: object, allowed: str) -> None:
        self.count += 1
        if len(self.kept) < KEPT_PROBLEMS:
            self.kept.append(DocumentProblem(pointer, _shown(value), allowed))


def parse_price_document(document: object) -> tuple[Price, ...]:
    """The prices of a decoded JSON document, in order of time by market.

    Raises PriceDocumentError with every problem. Keys we do not know are left out.
    """
    problems = _Problems()
    entries = document.get("prices") if isinstance(document, dict) else None
    prices: dict[Market, list[tuple[Price, str]]] = {market: [] for market in Market}
    if not isinstance(document, dict):
        problems.add("", document, "an object with the key prices")
    elif not isinstance(entries, list) or not 0 < len(entries) <= MAX_ENTRIES:
        problems.add("/prices", entries, f"a list of 1 to {MAX_ENTRIES} prices")
    else:
        for index, entry in enumerate(entries):
            pointer = f"/prices/{index}"
            for price in _entry(entry, pointer, problems):
                prices[price.market].append((price, pointer))
    ordered: list[Price] = []
    for of_market in prices.values():
        of_market.sort(key=lambda priced: priced[0].start)
        for later, (price, pointer) in enumerate(of_market):
            if later and price.start < ordered[-1].end:
                allowed = f"intervals of one market that do not overlap; there is one from {ordered[-1].start:%FT%TZ}"
                problems.add(pointer, f"{price.start:%FT%TZ}", allowed)
            ordered.append(price)
    if problems.count:
        raise PriceDocumentError(problems.kept, problems.count)
    return tuple(ordered)


def _entry(entry: object, pointer: str, problems: _Problems) -> list[Price]:
    if not isinstance(entry, dict):
        problems.add(pointer, entry, "an object")
        return []
    start = _instant(entry, pointer, "interval_start_utc", problems)
    end = _instant(entry, pointer, "interval_end_utc", problems)
    given = [key for key in _MARKETS if key in entry]
    if not given:
        problems.add(pointer, sorted(map(str, entry)), f"{' or '.join(_MARKETS)}, or both")
    values = {key: _usd_per_mwh(entry[key], f"{pointer}/{key}", problems) for key in given}
    if start is None or end is None:
        return []
    if end - start not in INTERVALS:
        problems.add(f"{pointer}/interval_end_utc", entry["interval_end_utc"], f"{ALLOWED_INTERVALS} after the start")
        return []
    return [Price(start, end, value, _MARKETS[key]) for key, value in values.items() if value is not None]


def _instant(entry: dict[str, object], pointer: str, key: str, problems: _Problems) -> datetime | None:
    value = entry.get(key)
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one at the end of the calendar
        pass
    problems.add(f"{pointer}/{key}", value, "an ISO 8601 time with its offset, such as 2023-09-06T23:00:00Z")
    return None


def _usd_per_mwh(value: object, pointer: str, problems: _Problems) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and LOWEST_USD_PER_MWH <= value <= HIGHEST_USD_PER_MWH:  # type: ignore[operator]  # a number by the line above
        return float(value)  # type: ignore[arg-type]  # the same
    problems.add(pointer, value, ALLOWED_PRICE)
    return None


def _shown(value: object) -> str:
    # Only what is short in itself is shown in full; writing out a huge list or number takes long.
    if isinstance(value, list | dict):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**20:
        return "a number of more than 20 digits"
    text = repr(value[:80]) if isinstance(value, str) else repr(value)
    return text[:80]
