"""The log's two forms, as processes write them."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.command import refused

SAYS = """
import logging
from orchestrator.runtime.observability import logs
from orchestrator.controller.deciding import acting_on

logs.configure({form!r}, {level!r})
logs.context.site, logs.context.traced = "texas", True
log = logging.getLogger("orchestrator.somewhere")
log.debug("in detail")
log.info("two\\nlines of %d kW", 5, extra={{"limit_kw": 5.0}})
with acting_on("d-1"):
    log.warning("acting")
log.error("of another", extra={{"decision_id": "d-2"}})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
for library in ("httpx", "uvicorn.error", "apscheduler.scheduler"):
    logging.getLogger(library).info("all the time")
    logging.getLogger(library).warning("now and then")
raise ValueError("nobody saw it coming")
"""


def lines_of(form: str, level: str | None) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SAYS.format(form=form, level=level)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def said() -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of("json", None)]


def test_json_is_a_line_a_record(said: list[dict[str, Any]]) -> None:
    assert [(line["level"], line["logger"], line["message"]) for line in said] == [
        ("INFO", "orchestrator.somewhere", "two\nlines of 5 kW"),
        ("WARNING", "orchestrator.somewhere", "acting"),
        ("ERROR", "orchestrator.somewhere", "of another"),
        ("ERROR", "orchestrator.somewhere", "failed"),
        ("WARNING", "httpx", "now and then"),
        ("WARNING", "uvicorn.error", "now and then"),
        ("WARNING", "apscheduler.scheduler", "now and then"),
        ("CRITICAL", "orchestrator.runtime.observability.logs", "ended by an error nobody foresaw"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"]) for line in said)
    assert {line["site"] for line in said} == {"texas"}
    assert said[0].keys() == {"timestamp", "level", "logger", "message", "site", "limit_kw"}
    assert said[0]["limit_kw"] == 5.0


def test_json_names_the_decision_in_hand_and_its_trace(said: list[dict[str, Any]]) -> None:
    assert [line.get("decision_id") for line in said[:4]] == [None, "d-1", "d-2", None]
    for line in said[1:3]:
        assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
        assert re.fullmatch("[0-9a-f]{16}", line["span_id"])
    assert said[1]["trace_id"] != said[2]["trace_id"]
    assert not {"trace_id", "span_id"} & said[0].keys()


def test_json_has_exceptions_in_a_field(said: list[dict[str, Any]]) -> None:
    assert said[3]["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert said[-1]["exception"].splitlines()[-1] == "ValueError: nobody saw it coming"


def test_text_is_for_people() -> None:
    lines = lines_of("text", None)
    assert lines[:3] == [
        "WARNING orchestrator.somewhere: acting [d-1]",
        "ERROR orchestrator.somewhere: of another [d-2]",
        "ERROR orchestrator.somewhere: failed",
    ]
    assert "INFO" not in "".join(lines)


def test_a_level_below_warning_is_for_our_own_loggers() -> None:
    messages = [json.loads(line)["message"] for line in lines_of("json", "DEBUG")]
    assert "in detail" in messages
    assert "all the time" not in messages


def test_a_level_above_warning_is_for_all() -> None:
    levels = {json.loads(line)["level"] for line in lines_of("json", "ERROR")}
    assert levels == {"ERROR", "CRITICAL"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"WATTSHIFT_LOG_FORMAT": "xml"}, "WATTSHIFT_LOG_FORMAT"),
        ({"WATTSHIFT_LOG_LEVEL": "loud"}, "WATTSHIFT_LOG_LEVEL"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], named: str) -> None:
    assert named in refused("check", settings=settings)


def test_what_ends_a_command_is_a_line_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "serve", "nowhere.yaml"],
        env={"WATTSHIFT_LOG_FORMAT": "json", "WATTSHIFT_LOG_LEVEL": "info"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["level"] == "CRITICAL"
    assert "nowhere.yaml" in line["message"]
