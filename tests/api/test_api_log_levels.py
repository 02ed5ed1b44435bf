"""Levels of the log: changed for a while through the API, and back by themselves."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orchestrator.api import level_overrides

if TYPE_CHECKING:
    from tests.api.conftest import Client

OURS = "orchestrator.controller"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def levels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Levels of the loggers that are changed here are left as they were."""
    logging.getLogger(f"{OURS}.loop")  # there once the controller is imported
    before = {name: logging.getLogger(name).level for name in (OURS, "httpx")}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - a logger tells nobody
            await asyncio.sleep(0.01)


async def level_of(client: httpx.AsyncClient, logger: str) -> dict[str, Any]:
    (found,) = [
        entry for entry in (await client.get("/api/v1/log-levels")).json()["log_levels"] if entry["logger"] == logger
    ]
    return dict(found)


async def test_levels_are_listed_with_what_they_inherit(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/api/v1/log-levels")).json()["log_levels"]
    assert listed[0] == {"logger": "root", "level": logging.getLevelName(logging.root.level), "until": None}
    names = [entry["logger"] for entry in listed[1:]]
    assert names == sorted(names)
    assert {"orchestrator", OURS, f"{OURS}.loop"} <= set(names)
    assert {entry["level"] for entry in listed if entry["logger"].startswith(OURS)} == {listed[0]["level"]}


async def test_a_level_takes_effect_and_expires(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    below = logging.getLogger(f"{OURS}.loop")
    assert not below.isEnabledFor(logging.DEBUG)
    changed = await client.put(f"/api/v1/log-levels/{OURS}", json={"level": "DEBUG", "for_minutes": 0.002})
    assert changed.status_code == 200
    assert changed.json()["level"] == "DEBUG"
    assert below.isEnabledFor(logging.DEBUG)
    await until(lambda: not below.isEnabledFor(logging.DEBUG))
    assert (await level_of(client, OURS))["until"] is None
    assert [record.message.split(" until")[0] for record in caplog.records] == [
        f"log level of {OURS} is DEBUG",
        f"log level of {OURS} is {logging.getLevelName(logging.root.level)} again",
    ]


async def test_a_second_change_ends_at_the_level_before_the_first(client: httpx.AsyncClient) -> None:
    logger = logging.getLogger("httpx")
    logger.setLevel(logging.ERROR)
    await client.put("/api/v1/log-levels/httpx", json={"level": "DEBUG"})
    entry = await level_of(client, "httpx")
    until_ = datetime.fromisoformat(entry["until"])
    assert timedelta(minutes=59) < until_ - datetime.now(UTC) <= timedelta(minutes=60), "an hour if not said otherwise"
    await client.put("/api/v1/log-levels/httpx", json={"level": "INFO", "for_minutes": 0.001})
    await until(lambda: logger.level == logging.ERROR)


@pytest.mark.parametrize(
    ("logger", "order", "status", "says"),
    [
        ("orchestrator.controler", {"level": "DEBUG"}, 404, "did you mean orchestrator.controller"),
        ("zzz", {"level": "DEBUG"}, 404, "no logger 'zzz'."),
        (OURS, {}, 422, "body /level"),
        (OURS, {"level": "debug"}, 422, "'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        (OURS, {"level": 10}, 422, "body /level"),
        (OURS, {"level": "DEBUG", "for_minutes": 0}, 422, "body /for_minutes"),
        (OURS, {"level": "DEBUG", "for_minutes": 10081}, 422, "body /for_minutes"),
        (OURS, {"level": "DEBUG", "for_minutes": "10"}, 422, "body /for_minutes"),
        (OURS, {"level": "DEBUG", "minutes": 10}, 422, "body /minutes"),
    ],
)
async def test_bad_input_is_named(
    client: httpx.AsyncClient, logger: str, order: dict[str, Any], status: int, says: str
) -> None:
    refused = await client.put(f"/api/v1/log-levels/{logger}", json=order)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert says in refused.json()["detail"]
    assert logging.getLogger(OURS).level == logging.NOTSET


async def test_a_change_needs_the_key(connect: "Client") -> None:
    async with connect(api_key="a key of sixteen or more", base_url="http://site.example") as client:
        refused = await client.put(f"/api/v1/log-levels/{OURS}", json={"level": "DEBUG"})
    assert refused.status_code == 401
    assert logging.getLogger(OURS).level == logging.NOTSET


def test_a_name_that_is_part_of_others_is_known() -> None:
    assert level_overrides.known("root")
    assert level_overrides.known("orchestrator")
    assert not level_overrides.known("orchestrator.nothing")
