"""The event stream, and the hub behind it."""

import asyncio
import gc
import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.types import Message, Scope

from orchestrator.api import Event, EventHub, create_app

if TYPE_CHECKING:
    from tests.api.conftest import Client
    from tests.api.fake_desk import FakeDesk


def parse(text: str) -> list[tuple[str, Any]]:
    """(event name, data) of each block of a stream that has ended."""
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


async def listening(desk: "FakeDesk") -> None:
    """Returns once a stream has subscribed."""
    async with asyncio.timeout(10):
        while not desk.hub.listeners:  # noqa: ASYNC110 - the hub has no need to tell who listens but here
            await asyncio.sleep(0.01)


async def test_the_first_event_is_the_whole_state_and_changes_follow(
    client: httpx.AsyncClient, desk: "FakeDesk", fakes: ModuleType
) -> None:
    # the client reads a stream whole, so the hub is closed to end it
    reading = asyncio.create_task(client.get("/api/v1/events", headers={"Last-Event-ID": "price-1"}))
    await listening(desk)
    desk.set_price(4321.0)
    desk.decide(fakes.a_decision(desk, 3))
    desk.hub.close()
    answer = await asyncio.wait_for(reading, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    (first, state), (second, changed), (third, decision) = parse(answer.text)
    assert (first, second, third) == ("state", "state", "decision")
    assert state["site"] == "Pecos Ridge"
    assert changed["observed"]["price"]["usd_per_mwh"] == 4321.0
    assert decision["id"] == "d-0003"
    assert decision["actions"][0]["outcome"]["state"] == "measured"


async def test_before_the_first_observation_the_stream_already_says_what_it_knows(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    desk.observed = False
    desk.hub.close()
    answer = await client.get("/api/v1/events")
    assert parse(answer.text)[0][1]["observed"] is None


async def test_an_idle_stream_sends_comments(
    client: httpx.AsyncClient, desk: "FakeDesk", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.api.routes.events.HEARTBEAT_S", 0.02)
    reading = asyncio.create_task(client.get("/api/v1/events"))
    await listening(desk)
    await asyncio.sleep(0.2)  # ten silences; the length of silence is what is tested
    desk.hub.close()
    assert ": ping\n\n" in (await asyncio.wait_for(reading, 10)).text


async def test_a_reader_may_leave_at_any_moment(desk: "FakeDesk", caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(desk, api_key=None)
    left = asyncio.Event()
    sent: list[bytes] = []

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        desk.set_price(float(len(sent)))  # so that there is always one more to send
        if len(sent) == 5:
            left.set()

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/api/v1/events",
        "raw_path": b"/api/v1/events",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
    }
    await asyncio.wait_for(app(scope, receive, send), 10)
    assert len(sent) >= 5
    async with asyncio.timeout(10):
        while desk.hub.listeners:
            gc.collect()  # a generator that was left between two events goes with its last reference
            await asyncio.sleep(0.01)
    assert caplog.records == []


async def test_the_stream_needs_the_key(connect: "Client") -> None:
    async with connect(api_key="k") as client:
        assert (await client.get("/api/v1/events")).status_code == 401


async def test_every_listener_gets_what_was_published_since_it_subscribed() -> None:
    hub = EventHub()
    hub.publish(Event("observation", {}, "0"))
    one, two = hub.subscribe(), hub.subscribe()
    hub.publish(Event("price", {}, "1"))
    hub.close()
    assert [event.id async for event in one] == ["1"]
    assert [event.id async for event in two] == ["1"]
    assert [event.id async for event in hub.subscribe()] == []


async def test_a_listener_that_falls_behind_loses_the_oldest() -> None:
    hub = EventHub(backlog=3)
    slow = hub.subscribe()
    for number in range(10):
        hub.publish(Event("observation", {}, str(number)))
    received = [(await anext(slow)).id for _ in range(3)]
    assert received == ["7", "8", "9"]


async def test_a_listener_that_goes_away_is_forgotten() -> None:
    hub = EventHub()
    gone = hub.subscribe()
    assert hub.listeners == 1
    del gone
    assert hub.listeners == 0
