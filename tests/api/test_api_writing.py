"""What the API lets be changed, and how it refuses."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orchestrator.domain.target import Target
from orchestrator.domain.units import utc

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk

ORDER: dict[str, Any] = {"limit_kw": 40_000, "for_minutes": 30, "reason": "ERCOT EEA2"}
ROW = {
    "interval_start_utc": "2023-09-06T23:15:00Z",
    "interval_end_utc": "2023-09-06T23:30:00Z",
    "real_time_usd_per_mwh": 4999.5,
}


def without(document: dict[str, Any], *names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names} | more


async def test_a_curtailment_is_accepted_listed_found_and_cancelled(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    made = await client.post("/api/v1/curtailments", json=ORDER)
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/curtailments/c-1"
    assert made.json()["until"] == "2023-09-06T23:35:20Z", "for_minutes counts in site time"
    assert made.json()["source"] == "api"
    assert (await client.get(made.headers["location"])).json()["limit_kw"] == 40_000
    listed = (await client.get("/api/v1/curtailments")).json()["curtailments"]
    assert [order["id"] for order in listed] == ["c-1"]
    assert (await client.delete(made.headers["location"])).status_code == 204
    assert (await client.get("/api/v1/curtailments")).json()["curtailments"] == []
    again = await client.delete(made.headers["location"])
    assert again.status_code == 404
    assert again.json()["detail"] == "There is no running curtailment 'c-1'."


async def test_a_shed_until_an_instant_in_another_offset(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    order = {"shed_kw": 5000.0, "until": "2023-09-06T19:00:00-05:00", "reason": " test "}
    made = await client.post("/api/v1/curtailments", json=order)
    assert made.status_code == 201
    assert desk.orders[0].until == utc(desk.now).replace(day=7, hour=0, minute=0, second=0)
    assert desk.orders[0].reason == "test"
    assert made.json()["shed_kw"] == 5000.0


async def test_an_order_for_a_feeder_says_where_it_holds(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    feeder = desk.site.feeders[0]
    made = await client.post("/api/v1/curtailments", json=ORDER | {"limit_kw": 1000.0, "feeder": feeder.name})
    assert made.status_code == 201
    assert made.json()["feeder"] == feeder.name
    assert desk.orders[0].at == Target.feeder(feeder.name)
    of_site = await client.post("/api/v1/curtailments", json=ORDER)
    assert of_site.json()["feeder"] is None
    seen = (await client.get("/api/v1/state")).json()
    assert [order["feeder"] for order in seen["curtailments"]] == [feeder.name, None]
    sources = {cap["name"]: (cap["source"], cap["limit_kw"]) for cap in seen["observed"]["feeders"]}
    assert sources[feeder.name] == ("curtailment c-1", 1000.0)
    for asked, says in (
        ({"feeder": "west"}, f"must be one of the site's feeders: {feeder.name}"),
        ({"feeder": feeder.name, "limit_kw": feeder.limit_kw + 1}, f"of the feeder {feeder.name}"),
    ):
        refused = await client.post("/api/v1/curtailments", json=ORDER | asked)
        assert refused.status_code == 422
        assert says in refused.json()["errors"][0]["detail"]


async def test_a_shed_that_the_site_cannot_measure_is_a_conflict(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    desk.observed = False
    refused = await client.post("/api/v1/curtailments", json=without(ORDER, "limit_kw", shed_kw=10))
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "there is no measured power to shed from; give limit_kw"


@pytest.mark.parametrize(
    ("order", "pointer", "says"),
    [
        (without(ORDER, "limit_kw"), "", "exactly one of limit_kw and shed_kw"),
        (without(ORDER, shed_kw=5), "", "exactly one of limit_kw and shed_kw"),
        (without(ORDER, "for_minutes"), "", "exactly one of until and for_minutes"),
        (without(ORDER, limit_kw=-1), "/limit_kw", "greater than or equal to 0"),
        (without(ORDER, limit_kw=100_001), "/limit_kw", "at most the 100000 kW of the grid connection"),
        (without(ORDER, limit_kw="40000"), "/limit_kw", "valid number"),
        (without(ORDER, limit_kw=True), "/limit_kw", "valid number"),
        (without(ORDER, "limit_kw", shed_kw=0), "/shed_kw", "greater than 0"),
        (without(ORDER, for_minutes=10_081), "/for_minutes", "less than or equal to 10080"),
        (without(ORDER, for_minutes=0), "/for_minutes", "greater than 0"),
        (without(ORDER, "for_minutes", until="2023-09-06T23:00:00Z"), "/until", "after the site's now"),
        (without(ORDER, "for_minutes", until="2023-09-14T23:00:00Z"), "/until", "at most 7 days"),
        (without(ORDER, "for_minutes", until="2023-09-06T23:30:00"), "/until", "no UTC offset"),
        (without(ORDER, "for_minutes", until=1694041200), "/until", "as text"),
        (without(ORDER, "for_minutes", until="0001-01-01T00:00:00+14:00"), "/until", "out of range"),
        (without(ORDER, "for_minutes", until="soon"), "/until", "ISO 8601"),
        (without(ORDER, reason="  "), "/reason", "at least 1 character"),
        (without(ORDER, reason="x" * 501), "/reason", "at most 500 characters"),
        (without(ORDER, "reason"), "/reason", "required"),
        (without(ORDER, site="other"), "/site", "not permitted"),
        ([], "", "dictionary"),
    ],
)
async def test_a_bad_order_is_refused_with_the_place_and_what_is_allowed(
    client: httpx.AsyncClient, desk: "FakeDesk", order: Any, pointer: str, says: str
) -> None:
    refused = await client.post("/api/v1/curtailments", json=order)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    faults = refused.json()["errors"]
    assert any(fault["pointer"] == pointer and says in fault["detail"] for fault in faults), faults
    assert desk.orders == []


async def test_pushed_prices_are_taken_in_both_markets(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    rows = [ROW, {**ROW, "interval_start_utc": "2023-09-06T23:30:00Z", "interval_end_utc": "2023-09-06T23:45:00Z"}]
    rows[1] = without(rows[1], real_time_usd_per_mwh=-12, day_ahead_usd_per_mwh=None)
    taken = await client.post("/api/v1/prices", json={"prices": rows})
    assert (taken.status_code, taken.json()) == (202, {"accepted": 2})
    found = desk.book.real_time_at(desk.now + timedelta(minutes=15))
    assert found is not None
    assert found.usd_per_mwh == 4999.5


async def test_prices_pushed_to_a_site_that_reads_a_file_are_a_conflict(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    desk.pushed_source = False
    refused = await client.post("/api/v1/prices", json={"prices": [ROW]})
    assert refused.status_code == 409
    assert "no pushed source" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"real_time_usd_per_mwh": "40"}, "/prices/0/real_time_usd_per_mwh", "valid number"),
        ({"real_time_usd_per_mwh": 50_001}, "/prices/0/real_time_usd_per_mwh", "less than or equal to 50000"),
        ({"real_time_usd_per_mwh": -5001}, "/prices/0/real_time_usd_per_mwh", "greater than or equal to -5000"),
        ({"real_time_usd_per_mwh": None}, "/prices/0", "real_time_usd_per_mwh or day_ahead_usd_per_mwh"),
        ({"interval_end_utc": "2023-09-06T23:15:00Z"}, "/prices/0", "after interval_start_utc"),
        ({"interval_end_utc": "2023-09-08T23:15:00Z"}, "/prices/0", "at most 24 h"),
        ({"interval_start_utc": "2023-09-06T23:15:00"}, "/prices/0/interval_start_utc", "no UTC offset"),
        ({"usd": 3}, "/prices/0/usd", "not permitted"),
    ],
)
async def test_a_bad_price_row_is_refused_with_its_place(
    client: httpx.AsyncClient, desk: "FakeDesk", change: dict[str, Any], pointer: str, says: str
) -> None:
    before = desk.book
    refused = await client.post("/api/v1/prices", json={"prices": [ROW | change]})
    assert refused.status_code == 422
    faults = refused.json()["errors"]
    assert any(fault["pointer"] == pointer and says in fault["detail"] for fault in faults), faults
    assert desk.book is before


async def test_rows_that_overlap_in_one_market_are_refused(client: httpx.AsyncClient) -> None:
    later = {"interval_start_utc": "2023-09-06T23:20:00Z", "interval_end_utc": "2023-09-06T23:35:00Z"}
    refused = await client.post("/api/v1/prices", json={"prices": [ROW, ROW | later]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/prices/1"
    other_market = {**later, "day_ahead_usd_per_mwh": 30}
    taken = await client.post("/api/v1/prices", json={"prices": [ROW, other_market]})
    assert taken.status_code == 202


@pytest.mark.parametrize("count", [0, 10_001])
async def test_the_number_of_price_rows_has_bounds(client: httpx.AsyncClient, count: int) -> None:
    refused = await client.post("/api/v1/prices", json={"prices": [ROW] * count})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/prices"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_json_does_not_have_are_refused(
    client: httpx.AsyncClient, desk: "FakeDesk", number: str
) -> None:
    body = '{"limit_kw": ' + number + ', "for_minutes": 5, "reason": "x"}'
    refused = await client.post("/api/v1/curtailments", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["errors"][0]["pointer"] == "/limit_kw"
    assert desk.orders == []


async def test_what_is_not_json_is_refused_with_its_place(client: httpx.AsyncClient) -> None:
    refused = await client.post(
        "/api/v1/curtailments", content='{"limit_kw": }', headers={"Content-Type": "application/json"}
    )
    assert refused.status_code == 422
    assert "not JSON, at character 13" in refused.json()["detail"]
