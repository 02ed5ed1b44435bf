"""What the API says of power that is not wholly measured."""

from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.api import blind
from tests.api.metered import some_meters

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.domain.snapshot import Snapshot
    from tests.api.fake_desk import FakeDesk

GRID_KW = 76_913.0


async def observed(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/v1/state")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()["observed"]
    return document


async def test_power_that_is_all_measured_has_nothing_assumed(client: httpx.AsyncClient) -> None:
    seen = await observed(client)
    for place in (seen["grid"], *seen["feeders"]):
        assert place["measured_kw"] == place["power_kw"]
        assert (place["assumed_kw"], place["assumed"], place["suspect_readings"]) == (0.0, [], 0)
        assert place["text"] == "all measured"
    assert (seen["residual_kw"], seen["holds"], seen["sources"], seen["partial"]) == (pytest.approx(0.0), [], {}, {})
    assert seen["measured_kw"] == seen["grid"]["power_kw"]


CHANGES = [
    blind.three_silent,
    blind.one_suspect,
    blind.in_part,
    blind.source_down,
    partial(blind.source_down, minutes=18.0),
    blind.fleet_dark,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("metered", [False, True])
async def test_one_figure_is_the_sum_of_its_parts_wherever_it_is_told(
    client: httpx.AsyncClient, desk: "FakeDesk", change: "Callable[[Snapshot], Snapshot]", metered: bool
) -> None:
    if metered:
        desk.meters = some_meters(desk.now)
    desk.changed = change
    seen = await observed(client)
    assert seen["grid"]["power_kw"] == pytest.approx(80_000.0 if metered else GRID_KW, rel=1e-3)
    for place in (seen["grid"], *seen["feeders"]):
        assert place["measured_kw"] + place["assumed_kw"] == pytest.approx(place["power_kw"])
        assert sum(part["power_kw"] for part in place["assumed"]) == pytest.approx(place["assumed_kw"])
    uses_kw = seen["mining_kw"] + seen["hpc_kw"] + seen["overhead_kw"]
    assert uses_kw + seen["residual_kw"] == pytest.approx(seen["grid"]["power_kw"])
    assert seen["grid"]["assumed_kw"] > 0.0
    fleets = (await client.get("/api/v1/fleets")).json()["fleets"]
    assert sum(fleet["power_kw"] for fleet in fleets) == pytest.approx(seen["mining_kw"])
    assert sum(fleet["assumed_kw"] for fleet in fleets) * seen["pue"] == pytest.approx(seen["grid"]["assumed_kw"])


async def test_what_a_suspect_reading_claims_is_told_at_its_feeder_and_fleet(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    desk.changed = blind.one_suspect
    seen = await observed(client)
    claims = {place["name"]: place["suspect_kw"] for place in (seen["grid"], *seen["feeders"]) if place["suspect_kw"]}
    assert claims == {"grid": 1000.0, "feeder-b": 1000.0}
    fleets = (await client.get("/api/v1/fleets")).json()["fleets"]
    assert {fleet["name"]: fleet["suspect_kw"] for fleet in fleets if fleet["suspect_kw"]} == {"s21": 1000.0}


async def test_a_hold_is_told_with_its_end_and_what_comes_after(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    desk.changed = blind.source_down
    (hold,) = (seen := await observed(client))["holds"]
    assert hold == {
        "of": "grid connection",
        "since": "2023-09-06T23:03:20Z",
        "until": "2023-09-06T23:18:20Z",
        "safe_kw": 12_000.0,
        "safe_at": "2023-09-06T23:28:20Z",
        "cap_kw": None,
        "text": "site held on its setpoints since 18:03 until 18:18, then brought to 12.0 MW by 18:28",
    }
    assert seen["sources"] == {blind.PROMETHEUS: "61 of 61 queries fail: All connection attempts failed"}
    desk.changed = blind.fleet_dark
    (hold,) = (await observed(client))["holds"]
    told = "fleet s21 held on its setpoints since 18:03 until 18:18, then its silent devices count each by itself"
    assert (hold["of"], hold["safe_kw"], hold["text"]) == ("fleet/s21", None, told)
