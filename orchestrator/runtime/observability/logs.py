"""The program's log: a line for each record on standard error, as text for people or as JSON for machines."""

import logging
import sys
import time
from types import TracebackType
from typing import Literal, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from orchestrator.controller.deciding import decision_in_hand
from orchestrator.runtime.observability.trace_ids import root_span_id, trace_id

Format = Literal["text", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

OURS = "orchestrator"
"""All loggers of this program are under it."""

log = logging.getLogger(__name__)


class Context(logging.Filter):
    """Adds to each record what is not its caller's to know: the site, the decision in hand, its trace."""

    def __init__(self) -> None:
        super().__init__()
        self.site: str | None = None
        self.traced = False
        """Whether decisions are traced, so that there is a trace to name."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass. One that brings a `decision_id` keeps it."""
        decision_id = getattr(record, "decision_id", None) or decision_in_hand()
        if decision_id is not None:
            record.decision_id = decision_id
        if self.site is not None:
            record.site = self.site
            if decision_id is not None and self.traced:
                record.trace_id = trace_id(self.site, decision_id)
                record.span_id = root_span_id(self.site, decision_id)
        return True


context = Context()
"""Of this process, as its loggers are."""


class _Json(JsonFormatter):
    """Times are RFC 3339, UTC."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={
                "asctime": "timestamp",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
                "stack_info": "stack",
            },
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's message once more, with colours
        )
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"


class _Text(logging.Formatter):
    """As short as it gets; a decision's id is at the end, in brackets."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        decision_id = getattr(record, "decision_id", None)
        return super().formatMessage(record) + (f" [{decision_id}]" if decision_id else "")


def configure(form: Format, level: Level | None) -> None:
    """Set up the log of the process. Level: INFO for JSON and WARNING for text when left out.

    A level below WARNING is for our own loggers; libraries say at INFO what nobody asks for (each request, each job).
    """
    chosen = logging.getLevelNamesMapping()[level or ("INFO" if form == "json" else "WARNING")]
    logging.basicConfig(level=max(chosen, logging.WARNING), handlers=[handler_to(sys.stderr, form)])
    if chosen < logging.WARNING:
        logging.getLogger(OURS).setLevel(chosen)
    if form == "json":
        sys.excepthook = _log_end


def handler_to(stream: TextIO, form: Format) -> logging.Handler:
    """Writes whole lines of that form, with what `context` knows."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(context)
    return handler


def as_json() -> bool:
    """Whether standard error is for machines, so that nothing but the log may be on it."""
    return any(isinstance(handler.formatter, _Json) for handler in logging.root.handlers)


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("ended by an error nobody foresaw", exc_info=(kind, error, traceback))
