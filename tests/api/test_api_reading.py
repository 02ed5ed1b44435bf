"""What the API says of the site."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.decision import Breach, BreachKind, BreachState
from orchestrator.domain.metering.metered import Balance
from orchestrator.domain.work import JobPhase, JobView
from tests.api.metered import some_meters
from tests.power_block import charged

if TYPE_CHECKING:
    from tests.api.conftest import Client
    from tests.api.fake_desk import FakeDesk


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_site_tells_its_limits_and_its_clock(client: httpx.AsyncClient) -> None:
    site = await get(client, "site")
    assert site["name"] == "Pecos Ridge"
    assert site["grid_limit_kw"] == 100_000
    assert [feeder["name"] for feeder in site["feeders"]] == ["feeder-a", "feeder-b", "feeder-c", "feeder-d"]
    assert {tenant["name"]: tenant["sla"] for tenant in site["tenants"]}["acme-ai"] == "guaranteed"
    assert site["clock"]["now"] == "2023-09-06T23:05:20Z"
    assert (site["clock"]["simulated"], site["clock"]["speed"]) == (True, 60.0)


async def test_a_power_block_is_told_in_words_and_figures(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    """Power is at 82 USD/MWh, and 66 MW are drawn."""
    assert (await get(client, "site"))["charges"] == {}
    observed = (await get(client, "state"))["observed"]
    assert observed["charges"] == {}
    price, drawn_kw = observed["price"]["usd_per_mwh"], observed["measured_kw"]
    for block_kw, marginal in ((drawn_kw + 1000.0, price - 3.0), (40_000.0, price)):
        ppa = Ppa(block_kw, 38.0, 3.0)
        desk.site = charged(desk.site, ppa)
        assert (await get(client, "site"))["charges"]["ppa"] == {
            "block_kw": block_kw,
            "price_usd_per_mwh": 38.0,
            "sell_back_spread_usd_per_mwh": 3.0,
            "text": ppa.text,
        }
        told = (await get(client, "state"))["observed"]["charges"]["ppa"]
        assert told == {
            "text": ppa.text,
            "left_kw": pytest.approx(block_kw - drawn_kw),
            "unused_usd_per_mwh": price - 3.0,
            "marginal_usd_per_mwh": marginal,
        }
        waits = (await get(client, "plan/jobs/align-13"))["now"]
        assert waits.startswith(f"Waits for cheaper power: {marginal:.0f} USD/MWh is above")


async def test_prices_cover_the_day_of_the_sites_own_time_zone(client: httpx.AsyncClient) -> None:
    prices = await get(client, "prices")
    assert prices["from_utc"] == "2023-09-06T05:00:00Z"
    assert prices["to_utc"] == "2023-09-07T05:00:00Z"
    assert len(prices["day_ahead"]) == 24
    assert prices["current"]["basis"] == "real_time"
    assert prices["current"]["interval_start_utc"] == "2023-09-06T23:00:00Z"
    assert prices["real_time"][-1]["usd_per_mwh"] == prices["current"]["usd_per_mwh"]


async def test_prices_of_a_window_are_those_whose_intervals_touch_it(client: httpx.AsyncClient) -> None:
    prices = await get(client, "prices", **{"from": "2023-09-06T10:05:00Z", "to": "2023-09-06T10:20:00Z"})
    starts = [row["interval_start_utc"] for row in prices["real_time"]]
    assert starts == ["2023-09-06T10:00:00Z", "2023-09-06T10:15:00Z"]


async def test_fleets_give_setpoint_measured_power_break_even_and_why(client: httpx.AsyncClient) -> None:
    fleets = await get(client, "fleets")
    first = fleets["fleets"][0]
    assert fleets["total"] == 5
    assert first["racks_by_mode"] == {"normal": 27, "eco": 3, "sleep": 0}
    # 41.67 x 62 USD per PH/s per day / (13.5 J/TH x PUE 1.118), by the formula of accounting/economics.py
    assert first["break_even_usd_per_mwh"] == pytest.approx(171.2, abs=0.1)
    assert first["reason"].startswith("Antminer S21 XP awake")


async def test_lists_come_in_pages(connect: "Client", fakes: ModuleType) -> None:
    big: FakeDesk = fakes.FakeDesk(fleets=1000, jobs=10_000)
    async with connect(desk=big) as client:
        fleets = await get(client, "fleets", limit=200, offset=900)
        assert (fleets["total"], len(fleets["fleets"])) == (1000, 100)
        jobs = await get(client, "jobs")
        assert (jobs["total"], len(jobs["jobs"])) == (10_000, 500)
        rest = await get(client, "jobs", offset=9_990, limit=500)
        assert len(rest["jobs"]) == 10
        assert {job["name"] for job in rest["jobs"]}.isdisjoint(job["name"] for job in jobs["jobs"])


async def test_jobs_run_first_and_ended_ones_come_last_with_their_outcome(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    old = desk.snapshot()
    assert old is not None
    job = next(iter(old.jobs.values())).job
    view = JobView(job, JobPhase.SUCCEEDED, desk.now, 1, timedelta(hours=4))
    desk.ended = [(view, JobRecord(job.name, job.tenant, 5.0, 0.0, 2, None, "on_time"))]
    jobs = (await get(client, "jobs"))["jobs"]
    assert jobs[0]["phase"] == "running"
    assert len(jobs) == 14, "an ended job is listed once"
    assert (jobs[-1]["name"], jobs[-1]["outcome"], jobs[-1]["done_share"]) == (job.name, "on_time", 1.0)
    assert jobs[-1]["interruptions"] == 2
    assert not any(found["done_estimated"] for found in jobs)
    only = await get(client, "jobs", phase="succeeded")
    assert [found["name"] for found in only["jobs"]] == [job.name]


async def test_progress_from_gpus_and_time_is_told_as_estimated(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    snapshot = desk.snapshot()
    assert snapshot is not None
    status, ended, *_ = snapshot.jobs.values()
    desk.estimated = {status.job.name}
    record = JobRecord(ended.job.name, ended.job.tenant, 5.0, 0.0, 0, None, "failed", estimated_gpu_seconds=2.0)
    desk.ended = [(replace(ended.view, phase=JobPhase.FAILED), record)]
    told = {job["name"]: job["done_estimated"] for job in (await get(client, "jobs"))["jobs"]}
    assert {name for name, estimated in told.items() if estimated} == {status.job.name, ended.job.name}


async def test_a_failed_job_without_a_record_has_no_made_up_progress(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    snapshot = desk.snapshot()
    assert snapshot is not None
    job = next(iter(snapshot.jobs.values())).job
    desk.ended = [(JobView(job, JobPhase.FAILED, desk.now, 1, timedelta(hours=1)), None)]
    failed = (await get(client, "jobs", phase="failed"))["jobs"][0]
    assert failed["done_share"] is None
    assert failed["outcome"] is None


async def test_decisions_come_newest_first_page_by_page_with_outcomes(
    client: httpx.AsyncClient, desk: "FakeDesk", fakes: ModuleType
) -> None:
    for number in range(5):
        desk.decide(fakes.a_decision(desk, number))
    first = (await get(client, "decisions", limit=2))["decisions"]
    assert [decision["id"] for decision in first] == ["d-0004", "d-0003"]
    second = (await get(client, "decisions", limit=2, before="d-0003"))["decisions"]
    assert [decision["id"] for decision in second] == ["d-0002", "d-0001"]
    latest = await get(client, "decisions/latest")
    assert latest == first[0]
    one = await get(client, "decisions/d-0004")
    action = one["actions"][0]
    assert action["target"] == "fleet/s19j-pro"
    assert action["move"] == "4 normal, 14 sleep racks"
    assert action["outcome"]["state"] == "measured"
    assert one["actions"][1]["outcome"]["measured_at"] is None
    assert one["alternatives"] == ["pause acme-ai/train-1: guaranteed, not at any price"]


async def test_observations_default_to_the_last_day_and_keep_peaks_when_thinned(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    every = await get(client, "observations", points=5000)
    assert every["seen"] == len(every["observations"]) == 18 * 12 + 1
    thin = await get(client, "observations", points=20)
    assert len(thin["observations"]) == 20
    assert thin["observations"][-1]["at"] == "2023-09-06T23:05:20Z"
    peak = max(row["grid_kw"] for row in every["observations"])
    assert max(row["grid_kw"] for row in thin["observations"]) == peak
    times = [datetime.fromisoformat(row["at"]) for row in thin["observations"]]
    assert times == sorted(times)
    hour = await get(client, "observations", **{"from": "2023-09-06T22:00:00Z", "to": "2023-09-06T23:00:00Z"})
    assert hour["seen"] == 12


async def test_breaches_and_the_state_tell_of_broken_promises(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    desk.store.broken = [
        Breach("b-1", BreachKind.CAP, "grid", BreachState.ACTIVE, desk.now, "101,200 kW measured, 100,000 allowed")
    ]
    desk.stale = ("rack s21/rack-3",)
    assert (await get(client, "breaches"))["breaches"][0]["kind"] == "cap_exceeded"
    state = await get(client, "state")
    assert state["observed"]["breaches"][0]["subject"] == "grid"
    assert state["observed"]["stale"] == ["rack s21/rack-3"]
    assert state["observed"]["grid"]["source"] == "grid connection"
    uses = state["observed"]["mining_kw"] + state["observed"]["hpc_kw"] + state["observed"]["overhead_kw"]
    assert uses == pytest.approx(state["observed"]["grid"]["power_kw"])


async def test_the_state_tells_of_meters_and_of_what_devices_leave_unexplained(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    assert (await get(client, "state"))["observed"]["meters"] == []
    desk.meters, desk.balances = some_meters(desk.now), {"grid": Balance(1_900_000.0, 4_200.0)}
    observed = (await get(client, "state"))["observed"]
    grid, north = observed["meters"]
    assert grid == {
        "name": "grid",
        "power_kw": 80_000.0,
        "quality": "fresh",
        "at": grid["at"],
        "devices_kw": 78_500.0,
        "unseen": 3,
        "residual_kw": 1_500.0,
        "metered_mwh": 1_900.0,
        "residual_mwh": 4.2,
    }
    assert (north["metered_mwh"], north["residual_mwh"]) == (0.0, 0.0)
    assert (north["power_kw"], north["residual_kw"], north["quality"]) == (None, None, "suspect")
    assert observed["suspect"] == {"meter north": "40 MW come by; at most 33 MW can be drawn behind it"}
    assert observed["biases"] == [
        {"of": "fleet/s21", "share": 0.09, "spread": 0.004, "before": 0.01, "moved": True},
        {"of": "fleet/s19", "share": 0.02, "spread": 0.004, "before": 0.01, "moved": False},
    ]
    assert observed["pue_measured"] is None  # three devices say nothing
    desk.meters = replace(desk.meters, meters={"grid": replace(desk.meters.meters["grid"], unseen=0)})
    observed = (await get(client, "state"))["observed"]
    assert observed["pue_measured"] == pytest.approx(observed["pue"] * 80_000.0 / 78_500.0)


async def test_before_the_first_observation_the_state_says_so_and_lists_answer_503(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    desk.observed = False
    assert (await get(client, "state"))["observed"] is None
    for path in ("prices", "fleets", "jobs"):
        answer = await client.get(f"/api/v1/{path}")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "5"


async def test_health_readiness_and_metrics(client: httpx.AsyncClient, desk: "FakeDesk", fakes: ModuleType) -> None:
    assert (await client.get("/healthz")).json() == {"alive": True}
    assert (await client.get("/readyz")).json()["ready"] is True
    desk.going = fakes.Readiness("loop", False, "the last round ended 75.0 s ago")
    stuck = await client.get("/healthz")
    assert (stuck.status_code, stuck.json()["alive"]) == (503, False)
    assert stuck.json()["detail"] == "The control loop is stuck: the last round ended 75.0 s ago."
    assert (await client.get("/readyz")).status_code == 200, "the two say different things"
    desk.checks = [fakes.Readiness("price", False, "last real-time price is 34 min old, 20 allowed")]
    unready = await client.get("/readyz")
    assert unready.status_code == 503
    assert unready.headers["content-type"] == "application/problem+json"
    assert unready.json()["detail"] == "Not ready: price: last real-time price is 34 min old, 20 allowed"
    assert unready.json()["checks"][0]["ok"] is False
    metrics = await client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert "wattshift_price_usd_per_mwh 38.2" in metrics.text


async def test_plotly_comes_from_the_installed_wheel_and_is_kept_by_the_browser(client: httpx.AsyncClient) -> None:
    script = await client.get("/static/plotly.min.js")
    assert script.headers["content-encoding"] == "gzip"
    assert "max-age=604800" in script.headers["cache-control"]
    assert script.text.startswith("/**\n* plotly.js v")
    again = await client.get("/static/plotly.min.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304
    plain = await client.get("/static/plotly.min.js", headers={"Accept-Encoding": "identity"})
    assert plain.text == script.text
