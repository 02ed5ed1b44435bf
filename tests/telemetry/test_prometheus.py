"""The PromQL adapter when the server is down, slow or wrong. Against a real server: tests/contract."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from orchestrator.adapters.telemetry.prometheus import PrometheusMetrics
from orchestrator.clock import wall_clock
from orchestrator.domain.observation import Metric, Telemetry

NOW = datetime.now(UTC)


def vector(*elements: tuple[dict[str, str], str]) -> httpx.Response:
    result = [{"metric": labels, "value": [NOW.timestamp(), value]} for labels, value in elements]
    return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})


def healthy(request: httpx.Request) -> httpx.Response:
    query = request.url.params["query"]
    if "kepler_platform_watts" not in query:
        return vector()
    return vector(({"Hostname": "node-0"}, str(NOW.timestamp()) if "timestamp(" in query else "4400"))


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def watts(value: str, measured: str | None = None) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if "timestamp(" not in request.url.params["query"]:
            return vector(({"Hostname": "node-0", "job": "j", "fleet": "f", "rack": "r"}, value))
        return vector(*([({"Hostname": "node-0"}, measured)] if measured else []))

    return answer


@pytest.mark.parametrize(
    "broken",
    [
        refused,
        lambda request: httpx.Response(503, text="not ready"),
        lambda request: httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "too many"}),
        lambda request: httpx.Response(200, text="<html>login</html>"),
        lambda request: httpx.Response(200, json=[]),
        lambda request: httpx.Response(200, json={"status": "success", "data": {"resultType": "scalar", "result": []}}),
        lambda request: httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": [{}]}}
        ),
        watts("NaN", str(NOW.timestamp())),
        watts("-1", str(NOW.timestamp())),
        watts("nothing", str(NOW.timestamp())),
        watts("70"),
        watts("70", "NaN"),
        watts("70", "1e300"),
        lambda request: vector(({"unexpected": "label"}, "70")),
    ],
    ids=[
        "down",
        "503",
        "query error",
        "a web page",
        "no object",
        "no vector",
        "empty element",
        "NaN",
        "negative",
        "no number",
        "no time",
        "time is NaN",
        "time is no date",
        "no host name",
    ],
)
async def test_a_broken_server_leaves_the_last_readings(
    broken: Callable[[httpx.Request], httpx.Response], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator.adapters.telemetry.prometheus")
    answer: Callable[[httpx.Request], httpx.Response] = healthy

    def server(request: httpx.Request) -> httpx.Response:
        return answer(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        source = PrometheusMetrics("http://prometheus:9090/", client, wall_clock())
        before = (await source.read(NOW)).get(Metric.NODE_POWER, "node-0")
        assert before.value == 4400.0
        assert source.problems == {}
        answer = broken
        after: Telemetry = await source.read(NOW)
        assert after.get(Metric.NODE_POWER, "node-0") == before
        assert source.problems
        assert after.problems, "whoever reads is told"
        await source.read(NOW)
        (told,) = caplog.messages
        assert told.startswith("telemetry from Prometheus fails: ")
        answer = healthy
        assert (await source.read(NOW)).problems == {}
        assert source.problems == {}
        assert caplog.messages == [told, "telemetry from Prometheus comes again"]


async def test_a_server_that_never_answered_has_no_readings() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(refused)) as client:
        source = PrometheusMetrics("http://prometheus:9090", client, wall_clock())
        read = await source.read(NOW)
        assert len(read) == 0
        (why,) = read.problems.values()
        assert why.endswith("queries fail: connection refused")
        assert list(read.problems) == ["http://prometheus:9090"], "one line for the server, not one for each query"


async def test_a_slow_server_is_not_asked_again_while_it_thinks() -> None:
    asked = 0
    answers = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        await answers.wait()
        return healthy(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(slow)) as client:
        source = PrometheusMetrics("http://prometheus:9090", client, wall_clock(), timeout_s=0.05)
        assert len(await source.read(NOW)) == 0
        asked_once = asked
        assert (await source.read(NOW)).problems == {"http://prometheus:9090": "no answer within 0.05 s"}
        for _ in range(3):
            assert len(await source.read(NOW)) == 0
        assert asked == asked_once
        assert "no answer" in source.problems["server"]
        answers.set()
        deadline = time.monotonic() + 60.0
        while (await source.read(NOW)).get(Metric.NODE_POWER, "node-0").value != 4400.0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await source.close()
