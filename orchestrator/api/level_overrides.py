"""Levels of the log that are changed for a while, in the process that does it."""

import asyncio
import difflib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

log = logging.getLogger(__name__)

ROOT = "root"


@dataclass(frozen=True, slots=True)
class LoggerLevel:
    """What a logger says at least, by its own level or that of the one above it."""

    logger: str
    level: str
    until: datetime | None
    """Wall time at which it goes back; None where it is not changed."""


@dataclass(frozen=True, slots=True)
class _Override:
    before: int
    until: datetime
    end: asyncio.TimerHandle


class LevelOverrides:
    """Every override ends by itself. One on top of another ends where that would have: at the level before both."""

    def __init__(self) -> None:
        self._overrides: dict[str, _Override] = {}

    def change(self, logger: str, level: str, span: timedelta) -> LoggerLevel:
        """Change the level of a `known` logger for `span` of wall time. Called on the event loop."""
        target = _logger(logger)
        running = self._overrides.pop(logger, None)
        if running is not None:
            running.end.cancel()
        self._overrides[logger] = _Override(
            before=target.level if running is None else running.before,
            until=datetime.now(UTC) + span,
            end=asyncio.get_running_loop().call_later(span.total_seconds(), self._end, logger),
        )
        target.setLevel(level)
        changed = self._now(logger)
        log.warning("log level of %s is %s until %s", logger, changed.level, f"{changed.until:%FT%TZ}")
        return changed

    def levels(self) -> list[LoggerLevel]:
        """The root, all that have a level of their own, and all that this program has; by name."""
        loggers = logging.root.manager.loggerDict
        own = {name for name, logger in loggers.items() if isinstance(logger, logging.Logger) and logger.level}
        ours = {name for name in loggers if name.partition(".")[0] == __name__.partition(".")[0]}
        return [self._now(name) for name in (ROOT, *sorted(own | ours))]

    def _now(self, name: str) -> LoggerLevel:
        running = self._overrides.get(name)
        level = logging.getLevelName(_effective(name))
        return LoggerLevel(name, level, running.until if running is not None else None)

    def _end(self, logger: str) -> None:
        over = self._overrides.pop(logger)
        _logger(logger).setLevel(over.before)
        log.warning("log level of %s is %s again", logger, self._now(logger).level)


def known(name: str) -> bool:
    """Whether anything logs by that name, or by one under it. Another name would be taken and change nothing."""
    return name == ROOT or name in logging.root.manager.loggerDict


def alike(name: str) -> list[str]:
    """Known names that may have been meant."""
    return difflib.get_close_matches(name, [ROOT, *logging.root.manager.loggerDict], n=3)


def _logger(name: str) -> logging.Logger:
    return logging.root if name == ROOT else logging.getLogger(name)


def _effective(name: str) -> int:
    """Without making a logger of a name that is only part of others."""
    while name != ROOT:
        logger = logging.root.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger) and logger.level:
            return logger.level
        name = name.rpartition(".")[0] or ROOT
    return logging.root.level


process_levels = LevelOverrides()
"""Of this process, as its loggers are."""
