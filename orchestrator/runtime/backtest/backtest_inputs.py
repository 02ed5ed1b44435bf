"""What `wattshift backtest` was asked for, checked."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.backtest.strategies import Named, named
from orchestrator.settings import FilePrices, Settings


class BacktestError(Exception):
    """A backtest that can't be run as asked; the text says why and what is allowed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be played."""

    feed: FilePrices
    start: datetime | None
    """None: where the prices begin."""
    end: datetime | None
    hashprice: Path | None
    """None: as the site file says."""
    trace: Path | None
    jobs_a_month: float | None
    """None: as the trace's load says."""
    strategies: tuple[Named, ...]
    cores: int
    seed: int
    records: Path | None
    command: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `wattshift backtest` as they were typed; None where one was left out."""

    prices: tuple[Path, ...] = ()
    point: str | None = None
    timezone: str | None = None
    usd_per_eur: float | None = None
    begin: str | None = None
    end: str | None = None
    hashprice: Path | None = None
    trace: Path | None = None
    jobs_a_month: float | None = None
    strategies: str = ""
    cores: int = 1
    seed: int = 1
    records: Path | None = None
    command: str = ""


def request(settings: Settings, asked: Asked) -> Request:
    """The request; BacktestError for what can't be meant."""
    try:
        strategies = named(asked.strategies)
    except ValueError as problem:
        raise BacktestError(f"--strategies: {problem}") from None
    prices = [("--prices", path) for path in asked.prices]
    for option, file in (("--hashprice", asked.hashprice), ("--trace", asked.trace), *prices):
        if file is not None and not file.is_file():
            raise BacktestError(f"{option} {file}: {_no_file(file)}")
    return Request(
        feed=_feed(settings, asked),
        start=_at(settings, asked.begin, "--from"),
        end=_at(settings, asked.end, "--to"),
        hashprice=asked.hashprice,
        trace=asked.trace,
        jobs_a_month=asked.jobs_a_month,
        strategies=strategies,
        cores=asked.cores,
        seed=asked.seed,
        records=asked.records,
        command=asked.command,
    )


def _no_file(path: Path) -> str:
    if path.is_dir():
        return "this is a folder; name a file in it"
    return "this is no file that can be read twice, as it has to be" if path.exists() else "there is no such file"


def _feed(settings: Settings, asked: Asked) -> FilePrices:
    if asked.timezone is not None:
        _check_zone(asked.timezone)
    if asked.prices:
        return FilePrices(asked.prices, asked.point, asked.timezone or settings.site.timezone, asked.usd_per_eur)
    own = settings.prices
    if not isinstance(own, FilePrices):
        raise BacktestError("--prices: name price files; this site's own prices come from no file")
    rate = own.usd_per_eur if asked.usd_per_eur is None else asked.usd_per_eur
    return replace(own, point=asked.point or own.point, timezone=asked.timezone or own.timezone, usd_per_eur=rate)


def _check_zone(timezone: str) -> None:
    """Also where no file has a time without an offset, so that a slip is not found out later."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a folder of zones such as "America"
        raise BacktestError(f"--timezone {timezone}: write an IANA name such as America/Chicago, or UTC") from None


def _at(settings: Settings, text: str | None, option: str) -> datetime | None:
    """A day or a time, the site's own where it names no offset."""
    if text is None:
        return None
    try:
        at = datetime.combine(date.fromisoformat(text), datetime.min.time())
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            allowed = "a day such as 2024-05-01, or a time such as 2024-05-01T12:00 or 2024-05-01T12:00Z"
            raise BacktestError(f"{option} {text}: write {allowed}") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(settings.site.timezone))
    return at.astimezone(UTC)
