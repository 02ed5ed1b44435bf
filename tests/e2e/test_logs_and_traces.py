"""`wattshift serve` as a pod runs it: its log is JSON lines, a decision is one trace from the price to the watts."""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import refused
from tests.e2e.test_serve import pushed
from tests.tracing.collector import Collector, Got

if TYPE_CHECKING:
    from tests.e2e.conftest import Live, World

PARTS = ["observe", "assess", "decide", "record", "act"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


def test_from_the_price_to_the_watts(world: "World", launch: "Callable[[Live], Live]", collector: Collector) -> None:
    world.write("", feed="{kind: push}")
    world.site.write_text(
        world.site.read_text().replace("min_on_s: 120", "min_on_s: 0").replace("tick_s: 5", "tick_s: 1")
    )
    live = launch(
        world.live_serve(
            {
                "WATTSHIFT_LOG_FORMAT": "json",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            }
        )
    )
    live.post("/api/v1/prices", pushed(20)).raise_for_status()
    live.wait_observed(lambda seen: seen["measured_kw"] > world.awake_kw / 2, "watts")
    live.post("/api/v1/prices", pushed(4000)).raise_for_status()
    live.wait_observed(lambda seen: seen["measured_kw"] < world.awake_kw / 4, "watts falling")
    decision = next(made for made in live.get("/api/v1/decisions")["decisions"] if made["price_usd_per_mwh"] == 4000)

    def of_the_decision(spans: list[Got]) -> list[Got]:
        return [span for span in spans if span.attributes["wattshift.decision.id"] == decision["id"]]

    spans = of_the_decision(
        collector.wait_for(lambda spans: any(not span.parent_id for span in of_the_decision(spans)), "the trace")
    )
    check_trace(spans, decision)

    quiet = len(live.said().splitlines())
    changed = world.run("log-level", "orchestrator.controller", "debug", "--for", "10", "--url", live.url)
    assert changed.code == 0, changed
    assert "orchestrator.controller says DEBUG and above until" in changed.out
    world.wait_for(lambda: "round of" in live.said(), "what the rounds come to")
    wrong = refused("log-level", "orchestrator.controler", "DEBUG", "--url", live.url)
    assert "did you mean orchestrator.controller" in wrong
    assert "body /level" in refused("log-level", "root", "loud", "--url", live.url)
    assert live.interrupt() < 10

    lines = [json.loads(line) for line in live.said().splitlines()]
    assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in lines)
    assert {line["site"] for line in lines} == {"small"}
    (decided,) = [
        line for line in lines if line.get("decision_id") == decision["id"] and line["message"].startswith("decided")
    ]
    assert (decided["level"], decided["trigger"], decided["price_usd_per_mwh"]) == ("INFO", "price", 4000)
    assert (decided["trace_id"], decided["span_id"]) == (spans[0].trace_id, root_of(spans).span_id)
    assert not any("round of" in line["message"] for line in lines[:quiet]), "at rest the log is silent"


def test_the_controller_after_a_kill_ends_the_trace(
    world: "World", launch: "Callable[[Live], Live]", collector: Collector
) -> None:
    world.write("", feed="{kind: push}")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "10"}
    live = launch(world.live_serve(settings))
    live.post("/api/v1/prices", pushed(20)).raise_for_status()
    collector.wait_for(lambda spans: {span.name for span in spans} >= {*PARTS}, "the parts of a round")
    live.kill()
    decided = {decision_of(span) for span in collector.spans}

    again = launch(world.live_serve(settings))
    collector.wait_for(
        lambda spans: decided <= {decision_of(span) for span in spans if not span.parent_id},
        "the roots of all that the first one decided",
    )
    for decision_id in decided:
        spans = [span for span in collector.spans if decision_of(span) == decision_id]
        assert {span.name for span in spans if span.parent_id == root_of(spans).span_id} >= {*PARTS}
        moves = [span.attributes for span in spans if span.name == "move"]
        actions = again.get(f"/api/v1/decisions/{decision_id}")["actions"]
        assert {move["wattshift.action.id"]: move["wattshift.outcome"] for move in moves} == {
            action["id"]: action["outcome"]["state"] for action in actions
        }
    assert again.interrupt() < 10


def decision_of(span: Got) -> str:
    return str(span.attributes["wattshift.decision.id"])


def root_of(spans: list[Got]) -> Got:
    (root,) = [span for span in spans if not span.parent_id]
    return root


def check_trace(spans: list[Got], decision: dict[str, Any]) -> None:
    root = root_of(spans)
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert root.resource["service.name"] == "wattshift"
    assert (root.name, root.attributes["wattshift.trigger"]) == ("decision", "price")
    assert datetime.fromisoformat(root.attributes["wattshift.trigger.at"]).timestamp() * 1e9 == pytest.approx(
        root.began
    )
    children = sorted((span for span in spans if span.parent_id == root.span_id), key=lambda span: span.began)
    assert [span.name for span in children] == [*PARTS[:4], "act", "power down"]
    for before, after in itertools.pairwise(children[:5]):
        assert before.ended == after.began, "no time of a round is left out"
    down, act = children[5], children[4]
    assert root.began <= children[0].began
    assert act.began == down.began < act.ended < down.ended == root.ended
    moves = [span for span in spans if span.parent_id == down.span_id]
    assert {span.attributes["wattshift.target"] for span in moves} >= {"fleet/s21", "fleet/s19"}
    assert {span.attributes["wattshift.outcome"] for span in moves} == {"measured"}
    for move in moves:
        assert down.began == move.began <= move.events["acknowledged"] <= move.events["measured"] == move.ended
    assert down.ended == max(move.ended for move in moves)
    assert len(spans) == 1 + len(children) + len(moves)
    assert not any(span.failed for span in spans)
