"""GET and PUT /log-levels: what the process that answers says in its log."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.level_overrides import LoggerLevel, alike, known, process_levels
from orchestrator.api.problems import not_found

router = APIRouter(tags=["log levels"])

_LONGEST_MINUTES = 7 * 24 * 60


class LogLevelDocument(BaseModel):
    logger: str = Field(description="`root`, or a name that stands for all under it as well")
    level: str = Field(description="What it says at least, by its own level or that of the name above")
    until: datetime | None = Field(description="When it goes back by itself, wall time; null where it is not changed")

    @staticmethod
    def of(level: LoggerLevel) -> "LogLevelDocument":
        return LogLevelDocument(logger=level.logger, level=level.level, until=level.until)


class LogLevelsDocument(BaseModel):
    log_levels: list[LogLevelDocument] = Field(description="The root, this program's loggers, and others with a level")


class LogLevelOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    for_minutes: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=_LONGEST_MINUTES)] = Field(
        default=60.0, description="For how long, in minutes of wall time, at most 10,080"
    )


@router.get("/log-levels")
async def log_levels() -> LogLevelsDocument:
    """Levels of the log of the process that answers: on a cluster, the leader."""
    return LogLevelsDocument(log_levels=[LogLevelDocument.of(level) for level in process_levels.levels()])


@router.put("/log-levels/{logger}")
async def change(logger: str, order: LogLevelOrder) -> LogLevelDocument:
    """Change a level for a while; then it goes back by itself, as it does when the process ends."""
    if not known(logger):
        meant = alike(logger)
        raise not_found("logger", logger, f"did you mean {' or '.join(meant)}?" if meant else "")
    return LogLevelDocument.of(process_levels.change(logger, order.level, timedelta(minutes=order.for_minutes)))
