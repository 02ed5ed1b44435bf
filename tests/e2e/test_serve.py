"""`wattshift serve` in real time, with pushed prices: garbage is refused, and a good price is acted on at once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.command import refused

if TYPE_CHECKING:
    from tests.e2e.conftest import Live, World


def pushed(price: object) -> dict[str, object]:
    """The document that pushes `price` for the 15 min under way."""
    now = datetime.now(UTC)
    start = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    return {
        "prices": [
            {
                "interval_start_utc": start.isoformat(),
                "interval_end_utc": (start + timedelta(minutes=15)).isoformat(),
                "real_time_usd_per_mwh": price,
            }
        ]
    }


def test_a_garbage_price_changes_nothing_and_a_good_one_is_acted_on(
    world: "World", launch: "Callable[[Live], Live]"
) -> None:
    world.write("", feed="{kind: push}")
    world.site.write_text(
        world.site.read_text().replace("min_on_s: 120", "min_on_s: 0").replace("tick_s: 5", "tick_s: 1")
    )
    live = launch(world.live_serve())
    assert live.status("/readyz") == 503, "no price was pushed yet"
    assert live.post("/api/v1/prices", pushed(20.5)).status_code == 202
    live.wait_observed(lambda seen: seen["racks_awake"] == world.racks, "all racks set to run")
    seen = live.wait_observed(lambda seen: seen["measured_kw"] > world.awake_kw / 2, "watts")  # at 1x they rise slowly
    assert live.status("/readyz") == 200
    assert seen["price"]["usd_per_mwh"] == 20.5

    decided = live.get("/api/v1/decisions")["decisions"]
    for price in ("free", "20.5", 1e9, -1e9, True, None, [20.5]):
        answer = live.post("/api/v1/prices", pushed(price))
        assert answer.status_code == 422, price
        assert answer.headers["Content-Type"] == "application/problem+json"
    for body in ('{"prices": [{"real_time_usd_per_mwh": NaN}]}', json.dumps(pushed(20.5)).replace("20.5", "NaN"), "{"):
        answer = httpx.post(
            f"{live.url}/api/v1/prices", content=body, headers={"Content-Type": "application/json"}, trust_env=False
        )
        assert answer.status_code == 422, body
    assert live.get("/api/v1/state")["observed"]["price"]["usd_per_mwh"] == 20.5
    assert live.get("/api/v1/decisions")["decisions"][0]["id"] == decided[0]["id"]

    assert live.post("/api/v1/prices", pushed(4000)).status_code == 202
    seen = live.wait_observed(lambda seen: seen["measured_kw"] < world.awake_kw / 4, "watts falling")
    assert seen["price"]["usd_per_mwh"] == 4000
    assert live.get("/api/v1/decisions/latest")["trigger"] == "price"
    assert live.interrupt() < 10


def test_a_controller_killed_goes_on_with_its_orders(world: "World", launch: "Callable[[Live], Live]") -> None:
    world.write("", feed="{kind: push}")
    world.site.write_text(
        world.site.read_text().replace("min_on_s: 120", "min_on_s: 0").replace("tick_s: 5", "tick_s: 1")
    )
    live = launch(world.live_serve())
    live.post("/api/v1/prices", pushed(20)).raise_for_status()
    live.wait_observed(lambda seen: seen["racks_awake"] == world.racks, "all racks set to run")
    ordered = world.run(
        "curtail", "--feeder", "a", "--limit-mw", "0.2", "--minutes", "30", "--reason", "a test", "--url", live.url
    )
    assert ordered.code == 0, ordered
    (order,) = live.get("/api/v1/curtailments")["curtailments"]
    live.kill()
    left = live.processes()
    assert refused("status", "--url", live.url), "nobody answers there"

    again = launch(world.live_serve())
    assert {name: again.processes().get(name) for name in left} == left
    assert again.get("/api/v1/curtailments")["curtailments"] == [order]
    again.wait_observed(lambda seen: seen["feeders"][0]["power_kw"] <= 200, "the order kept")
    shown = world.run("status", "--url", again.url)
    assert shown.code == 0, shown
    assert "small" in shown.out
    assert "feeder a curtailed to" in shown.out
    second = world.run("serve", str(world.site), "--port", "0").refusal()
    assert "in use" in second
    assert again.processes().keys() >= left.keys()
    assert again.interrupt() < 10


@pytest.mark.parametrize(
    "arguments", [("serve",), ("serve", "nowhere.yaml"), ("curtail", "--limit-mw", "1", "--url", "x")]
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...]) -> None:
    assert refused(*arguments)
