"""What a controller says in its log: each decision once, with its id wherever it is acted on, and at rest nothing."""

import json
import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.domain.decision import Ack, Move
from orchestrator.domain.target import Target
from orchestrator.runtime.observability import logs
from orchestrator.runtime.observability.record_log import RecordLog

if TYPE_CHECKING:
    from datetime import datetime

    from tests.controller.conftest import World, WorldOf

Said = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def said() -> Iterator[Said]:
    """What was logged from INFO on, as JSON lines."""
    stream, ours = StringIO(), logging.getLogger(logs.OURS)
    handler = logs.handler_to(stream, "json")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    ours.removeHandler(handler)
    ours.setLevel(logging.NOTSET)


def logged(world: "World") -> "World":
    world.told = RecordLog()
    return world


async def test_a_decision_is_one_line_and_rest_is_silence(world_of: "WorldOf", said: Said) -> None:
    world = logged(world_of([20.0, 20.0]))
    await world.tick()
    (decided,) = said()
    (decision, _), *_ = world.store.decisions(1)
    assert decided["level"] == "INFO"
    assert decided["message"] == f"decided: {decision.summary}"
    assert (decided["decision_id"], decided["trigger"], decided["actions"]) == (decision.id, "start", 2)
    await world.run(14)
    decisions = world.store.decisions(100)
    assert [line["decision_id"] for line in said()] == [made.id for made, _ in reversed(decisions)]
    assert len(decisions) < 5, "some sixty rounds, and a line only for what changed"


async def test_a_driver_speaks_with_the_id_of_the_decision_it_acts_for(world_of: "WorldOf", said: Said) -> None:
    world = logged(world_of([20.0, 20.0]))
    driver_log = logging.getLogger("orchestrator.adapters.workloads.kubernetes.driver")
    apply = world.driver.apply

    async def talkative(move: Move, reason: str, now: "datetime") -> Ack:
        driver_log.warning("sending %s", move.target)
        return await apply(move, reason, now)

    world.driver.apply = talkative  # type: ignore[method-assign]
    decision = await world.tick()
    assert decision is not None
    driver_log.warning("on its own")
    sent = [line for line in said() if line["logger"] == driver_log.name]
    assert [line.get("decision_id") for line in sent] == [*[decision.id] * len(decision.actions), None]


async def test_a_refused_move_is_a_warning(world_of: "WorldOf", said: Said) -> None:
    world = logged(world_of([20.0]))
    world.driver.refuse = {Target.fleet("old")}
    decision = await world.tick()
    assert decision is not None
    (refused,) = [line for line in said() if line["level"] == "WARNING"]
    assert refused["message"] == "fleet/old is refused: refused by the test"
    assert (refused["decision_id"], refused["outcome"]) == (decision.id, "refused")


async def test_orders_late_moves_and_breaches_are_told_as_they_go(world_of: "WorldOf", said: Said) -> None:
    world = logged(world_of([20.0] * 16))
    await world.run(30)
    before = len(said())
    world.devices.hang("new/rack-0")
    await world.order(500.0, minutes=90, response_s=300)
    await world.run(25)
    world.devices.reset("new/rack-0")
    await world.run(10)
    lines = said()[before:]
    assert lines[0]["message"].startswith("order accepted: at most 500 kW at the grid connection until")
    assert lines[1]["trigger"] == "curtailment"
    (late,) = [line for line in lines if line.get("outcome") == "late"]
    assert (late["level"], late["target"]) == ("WARNING", "fleet/new")
    assert late["decision_id"] == lines[1]["decision_id"]
    of_the_rack = [line for line in lines if line.get("kind") == "shed_not_delivered"]
    assert [(line["level"], line["state"], line["subject"]) for line in of_the_rack] == [
        ("WARNING", "active", "fleet/new"),
        ("ERROR", "escalated", "fleet/new"),
        ("INFO", "resolved", "fleet/new"),
    ]
