"""The controller's metrics as Prometheus reads them, while the small site goes through its days."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.ledger import Account
from orchestrator.api.exposition import exposition
from orchestrator.controller.planner import Planner, answer
from orchestrator.domain.site.site import Site
from orchestrator.runtime.observability.metrics.all_families import FAMILIES
from orchestrator.runtime.observability.metrics.counters import Counters
from orchestrator.runtime.observability.metrics.family import Kind
from tests.power_block import charged
from tests.scenes import metered

if TYPE_CHECKING:
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
SECOND = timedelta(seconds=1)
ON_A_CLUSTER_ONLY = {"leader", "store_shared"}


def page(world: World) -> str:
    return bytes(exposition(world.metrics.registry, "").body).decode()


def scrape(world: World) -> dict[str, float]:
    """Every series, by its name without the prefix and its labels without the site: `jobs{phase=paused,...}`."""
    series: dict[str, float] = {}
    for family in text_string_to_metric_families(page(world)):
        if family.name.startswith("process_"):
            continue  # named by their client, for every program alike
        for sample in family.samples:
            assert sample.labels["site"] == world.site.name, sample
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "site")
            name = sample.name.removeprefix("wattshift_") + (f"{{{labels}}}" if labels else "")
            assert name not in series
            series[name] = sample.value
    return series


async def test_money_and_energy_are_what_the_ledger_has_and_negative_prices_earn(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 2 + [-35.0] * 2 + [90.0] * 2)
    world.submit("train", "bank", 16)
    await world.run(85, final=True)
    seen, sums = scrape(world), world.totals()
    for account in (Account.MINING, Account.HPC, Account.OVERHEAD):
        joules = seen[f"energy_joules_total{{account={account}}}"]
        assert joules == pytest.approx(sums.energy_kwh[account] * 3.6e6, rel=1e-9)
        assert joules > 0.0
    for account in (Account.MINING, Account.HPC):
        usd = seen[f"revenue_usd_total{{account={account}}}"]
        assert usd == pytest.approx(float(sums.revenue_usd[account]), abs=0.006)
        assert usd > 0.0
    cost = sum(seen[f"energy_cost_usd_total{{account={account}}}"] for account in ("mining", "hpc", "overhead"))
    income = sum(seen[f"energy_income_usd_total{{account={account}}}"] for account in ("mining", "hpc", "overhead"))
    assert cost - income == pytest.approx(float(sums.energy_cost_usd), abs=0.006)
    half_hour_mwh = 1.48 / 2
    assert income == pytest.approx(35.0 * half_hour_mwh, rel=0.05)


async def test_what_a_power_block_costs_is_counted_with_the_energy(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 2 + [SPIKE] * 2)
    world.site = charged(world.site, Ppa(700.0, 38.0, 3.0))
    world.restart()
    await world.run(55, final=True)
    seen, sums = scrape(world), world.totals()
    paid = {
        account: seen[f"energy_cost_usd_total{{account={account}}}"]
        - seen[f"energy_income_usd_total{{account={account}}}"]
        for account in ("mining", "hpc", "overhead", "ppa")
    }
    assert paid["ppa"] == pytest.approx(float(sums.charges_usd["ppa"]), abs=0.006)
    assert sum(paid.values()) == pytest.approx(float(sums.energy_cost_usd), abs=0.006)
    always_on = seen["always_on_energy_cost_usd_total"] - seen["always_on_energy_income_usd_total"]
    assert always_on > float(sums.energy_cost_usd), "it draws the block in the spike that the site sells"


async def test_the_always_on_site_pays_for_a_spike_that_the_real_one_sits_out(world_of: WorldOf) -> None:
    """Default modes draw 600 and 720 kW: with the idle GPUs 1.46 MW at the grid, which the caps just let through."""
    world = world_of([CHEAP] * 2 + [SPIKE] * 2)
    await world.run(60, final=True)
    seen = scrape(world)
    fleets_kw = 4 * 50 * (3.0 + 3.6)
    hpc_usd = seen["energy_cost_usd_total{account=hpc}"] * 1.1
    mining_usd = fleets_kw / 1000.0 * 1.1 * (CHEAP + SPIKE) / 2.0
    assert seen["always_on_energy_cost_usd_total"] == pytest.approx(mining_usd + hpc_usd, rel=1e-6)
    phs = 4 * 50 * (105.0 + 265.0) / 1000.0
    assert seen["always_on_revenue_usd_total"] == pytest.approx(phs * 60.0 / 24.0, rel=1e-6)
    assert seen["always_on_energy_income_usd_total"] == 0.0
    assert seen["always_on_energy_cost_usd_total"] > 5.0 * sum(
        seen[f"energy_cost_usd_total{{account={account}}}"] for account in ("mining", "hpc", "overhead")
    )


async def test_a_restart_begins_at_zero_and_misses_none_of_the_always_on_sites_time(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 8)
    await world.run(30, final=True)
    before = scrape(world)
    world.restart()
    assert scrape(world)["energy_joules_total{account=mining}"] == 0.0
    world.now += timedelta(minutes=20)
    await world.run(10, final=True)
    after = scrape(world)
    phs_days = 4 * 50 * (105.0 + 265.0) / 1000.0 / 24.0
    total = before["always_on_revenue_usd_total"] + after["always_on_revenue_usd_total"]
    assert total == pytest.approx(phs_days * 60.0, rel=1e-6)
    joules = sum(seen["energy_joules_total{account=mining}"] for seen in (before, after))
    assert joules == pytest.approx(world.totals().energy_kwh[Account.MINING] * 3.6e6, rel=1e-9)


async def test_a_spike_is_timed_from_its_publication_to_the_meter(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    await world.run(59.5)
    world.now += 33 * SECOND  # 3 s into the interval
    await world.tick()
    seen = scrape(world)
    assert seen["decisions_total{trigger=price}"] == 1.0
    assert seen["decision_latency_seconds_sum{stage=price_seen}"] == 3.0
    assert seen["actions_total{kind=fleet,state=acknowledged}"] >= 2.0
    assert seen["actions_pending"] == 2.0
    assert seen["decision_latency_seconds_count{stage=measured}"] == 0.0
    world.now += 20 * SECOND
    await world.tick()
    seen = scrape(world)
    assert seen["actions_pending"] == 0.0
    for stage in ("sent", "acknowledged", "measured"):
        assert seen[f"decision_latency_seconds_count{{stage={stage}}}"] == 2.0, stage
    assert seen["decision_latency_seconds_sum{stage=measured}"] == 2 * 23.0
    assert seen["decision_latency_seconds_bucket{le=15.0,stage=measured}"] == 0.0
    assert seen["decision_latency_seconds_bucket{le=30.0,stage=measured}"] == 2.0


async def test_interruptions_budgets_and_breaches_are_counted_once_also_over_a_restart(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    world.submit("batch", "lab", 8)
    await world.run(62)
    assert scrape(world)["job_interruptions_total{sla_class=best-effort}"] == 1.0
    world.restart()
    await world.run(20, final=True)
    seen = scrape(world)
    assert seen["job_interruptions_total{sla_class=best-effort}"] == 0.0
    assert seen["sla_budget_burnt_ratio{tenant=lab}"] == pytest.approx(1 / 6)
    assert seen["sla_budget_burnt_ratio{tenant=flux}"] == 0.0
    assert "sla_budget_burnt_ratio{tenant=bank}" not in seen
    assert seen["jobs{phase=paused,sla_class=best-effort}"] == 1.0
    world.devices.silence("new/rack-1")
    await world.run(10)
    seen = scrape(world)
    assert seen["breaches_total{kind=meter_stale}"] == seen["breaches_active{kind=meter_stale}"] == 1.0
    assert seen["fleet_racks_silent{fleet=new}"] == seen["input_stale{input=telemetry}"] == 1.0
    assert seen["input_age_seconds{input=telemetry}"] > 500.0
    world.restart()
    await world.run(1)
    seen = scrape(world)
    assert seen["breaches_total{kind=meter_stale}"] == 0.0
    assert seen["breaches_active{kind=meter_stale}"] == 1.0


async def test_an_interruption_after_a_restart_is_one_whatever_there_were_before(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4 + [CHEAP] * 8 + [SPIKE] * 4)
    world.submit("batch", "lab", 8)
    await world.run(170)
    assert scrape(world)["job_interruptions_total{sla_class=best-effort}"] == 1.0
    world.restart()
    await world.run(90)
    record = world.controller.job_record("batch")
    assert record is not None
    assert record.interruptions == 2
    assert scrape(world)["job_interruptions_total{sla_class=best-effort}"] == 1.0


async def test_what_a_killed_controller_left_open_is_counted_as_superseded(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    world.submit("batch", "lab", 8)
    await world.run(60)
    left = scrape(world)["actions_pending"]
    assert left > 0.0
    world.restart()
    world.now += SECOND
    await world.tick()
    seen = scrape(world)
    assert sum(seen[f"actions_total{{kind={kind},state=superseded}}"] for kind in ("fleet", "job")) == left


async def test_promises_end_on_time_or_late_and_late_ones_are_credited(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 8)
    world.submit("quick", "flux", 8, run_h=0.25, deadline_in_h=1.0)
    world.submit("long", "flux", 8, run_h=20.0, deadline_in_h=0.5)
    await world.run(5)
    assert scrape(world)["jobs_at_risk{sla_class=flexible}"] == 1.0
    await world.run(40, final=True)
    seen = scrape(world)
    assert seen["jobs_ended_total{outcome=on_time,sla_class=flexible}"] == 1.0
    assert seen["jobs_ended_total{outcome=late,sla_class=flexible}"] == 1.0
    assert seen["jobs_at_risk{sla_class=flexible}"] == 0.0
    credited = seen["sla_credit_usd_total{tenant=flux}"]
    assert credited == pytest.approx(float(world.totals().sla_credits_usd), abs=0.006)
    assert credited > 0.0
    assert seen["jobs{phase=succeeded,sla_class=flexible}"] == 1.0
    await world.run(30, final=True)
    assert scrape(world)["jobs_ended_total{outcome=late,sla_class=flexible}"] == 1.0


async def test_power_stands_beside_its_limits_and_setpoints(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 8)
    world.submit("train", "bank", 16)
    await world.run(30)
    await world.order(700.0, minutes=20)
    await world.run(5)
    seen, measured = scrape(world), world.snapshot.measured
    assert seen["grid_power_watts"] == pytest.approx(measured.grid_kw * 1000.0)
    assert seen["grid_limit_watts"] == 700e3
    assert seen["grid_connection_watts"] == 1500e3
    assert seen["curtailments_active"] == 1.0
    assert seen["grid_power_watts"] == pytest.approx(sum(seen[f"power_watts{{use={u}}}"] for u in USES))
    assert seen["grid_power_watts"] == pytest.approx(sum(seen[f"feeder_power_watts{{feeder={f}}}"] for f in "ab"))
    assert seen["feeder_limit_watts{feeder=a}"] == 800e3
    fleets = sum(seen[f"fleet_power_watts{{fleet={fleet}}}"] for fleet in ("old", "new"))
    assert fleets == pytest.approx(seen["power_watts{use=mining}"])
    assert seen["setpoint_watts{use=mining}"] == pytest.approx(fleets, rel=0.06)
    assert seen["pool_gpus_busy{pool=h100}"] == 16.0
    # 16 GPUs at 700 W, and half of the nodes' own draw
    assert seen["tenant_power_watts{tenant=bank}"] == pytest.approx(16 * 700.0 + 2 * 1800.0, rel=0.05)
    assert seen["tenant_power_watts{tenant=lab}"] == 0.0
    world.now += timedelta(minutes=20)
    assert scrape(world)["curtailments_active"] == 0.0, "over, though no round has gone since"
    await world.order(700.0, minutes=20)
    [order] = [order for order in world.controller.curtailments if order.in_force(world.now)]
    assert scrape(world)["curtailments_active"] == 1.0
    await world.controller.cancel(order.id, world.now)
    assert scrape(world)["curtailments_active"] == 0.0


USES = ("mining", "hpc", "overhead")


async def test_what_is_not_known_is_absent_and_stale_inputs_say_so(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 16, [30.0] * 8)
    assert "grid_power_watts" not in scrape(world)
    await world.run(10)
    seen = scrape(world)
    assert seen["day_ahead_price_usd_per_mwh"] == 30.0
    assert seen["price_basis{basis=real_time}"] == 1.0
    assert seen["input_age_seconds{input=price}"] == seen["input_stale{input=price}"] == 0.0
    world.feed.cut_at = world.now
    for rack in ("new/rack-0", "new/rack-1", "new/rack-2", "new/rack-3"):
        world.devices.silence(rack)
    await world.run(10)
    seen = scrape(world)
    assert seen["price_basis{basis=real_time_held}"] == seen["input_stale{input=price}"] == 1.0
    assert seen["price_basis{basis=real_time}"] == 0.0
    assert seen["input_age_seconds{input=price}"] == 300.0
    assert "fleet_power_watts{fleet=new}" not in seen
    assert seen["fleet_racks_silent{fleet=new}"] == 4.0
    assert seen["fleet_racks{fleet=new}"] == 4.0
    assert "fleet_power_watts{fleet=old}" in seen
    for _, subject in (*world.site.racks(), *world.site.nodes()):
        world.devices.silence(subject)
    await world.run(10)
    seen = scrape(world)
    assert not [name for name in seen if name.startswith(("power_watts", "grid_power_watts", "feeder_power_watts"))]
    assert seen["grid_limit_watts"] == 1500e3


async def test_a_fault_of_the_metrics_is_none_of_the_loops(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of([CHEAP] * 8)

    def fails(self: Counters, name: str, *_: object) -> None:
        if name != "rounds_total":
            raise KeyError(name)

    monkeypatch.setattr(Counters, "add", fails)
    with caplog.at_level(logging.ERROR):
        await world.run(20, final=True)
    assert "not in the metrics" in caplog.text
    assert world.true_kw > 1400.0
    sums, counted = world.totals(), await world.counters_kwh()
    assert sums.energy_kwh[Account.MINING] == pytest.approx(counted[Account.MINING], rel=1e-9)


async def test_rounds_count_by_how_they_end_and_are_timed(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of([CHEAP] * 8)
    await world.tick()
    seen = scrape(world)
    assert seen["rounds_total{result=ok}"] == 1.0
    for part in ("observe", "assess", "decide", "record", "act", "whole"):
        assert seen[f"round_seconds_count{{part={part}}}"] == 1.0
    parts = sum(seen[f"round_seconds_sum{{part={part}}}"] for part in ("observe", "assess", "decide", "record", "act"))
    assert 0.0 < parts <= seen["round_seconds_sum{part=whole}"]
    ended_at = seen["last_round_timestamp_seconds"]
    world.driver.synced = False
    world.now += SECOND
    await world.tick()
    world.driver.synced = True
    monkeypatch.setattr(world.driver, "observe", _fails)
    with pytest.raises(RuntimeError, match="no answer"):
        await world.tick()
    seen = scrape(world)
    assert [seen[f"rounds_total{{result={result}}}"] for result in ("ok", "failed", "unsynced")] == [1.0, 1.0, 1.0]
    assert seen["last_round_timestamp_seconds"] == ended_at


async def _fails(now: object) -> None:
    raise RuntimeError("no answer")


async def test_meters_are_exported_with_what_they_leave_unexplained_and_absent_where_they_say_nothing(
    world_of: WorldOf, site: Site
) -> None:
    world = world_of([CHEAP] * 4, [30.0] * 96, site=metered(site, "grid", "a"))
    await world.run(20)
    seen = scrape(world)
    true_w = world.devices.true_it_kw() * 1000.0 * world.snapshot.pue
    assert seen["meter_watts{meter=grid}"] == pytest.approx(true_w, rel=0.01)
    assert seen["grid_power_watts"] == seen["meter_watts{meter=grid}"]
    residual_w = seen["grid_power_watts"] - sum(
        seen[f"power_watts{{use={use}}}"] for use in ("mining", "hpc", "overhead")
    )
    assert seen["meter_residual_watts{meter=grid}"] == pytest.approx(residual_w)
    assert abs(seen["meter_residual_joules{meter=grid}"]) < 0.01 * true_w * 1200.0
    assert seen["meter_silent{meter=a}"] == seen["meter_suspect{meter=a}"] == 0.0
    assert abs(seen["meter_bias_ratio{devices=old}"]) < 0.01
    assert seen["meter_bias_moved{devices=old}"] == 0.0
    world.devices.silence("grid")
    await world.run(3)
    seen = scrape(world)
    assert seen["meter_silent{meter=grid}"] == 1.0
    assert "meter_watts{meter=grid}" not in seen
    assert "meter_watts{meter=a}" in seen


async def test_every_family_of_the_table_is_exported_with_its_labels_and_promtool_finds_no_fault(
    world_of: WorldOf, promtool: str, site: Site
) -> None:
    world = world_of([CHEAP] * 4, [30.0] * 96, site=metered(site, "grid"))
    world.submit("train", "bank", 16)
    await world.run(5)
    planner = Planner(world.site)
    planner.take(answer(planner.question(world.snapshot, await world.controller.past(world.now))))
    world.planned = planner.state
    world.now += timedelta(minutes=2)
    seen = scrape(world)
    assert seen["plan_age_seconds"] == 120.0
    assert seen["input_age_seconds{input=telemetry}"] == 120.0, "no round has gone since"
    assert 0.0 <= seen["plan_gap_ratio"] < 1.0
    assert seen["plan_failed"] == seen["plan_blocked"] == seen["plan_broken_promises"] == 0.0
    assert seen["plan_sound"] == 1.0
    families = {family.name: family for family in text_string_to_metric_families(page(world))}
    exported = {name.removeprefix("wattshift_") for name in families if not name.startswith("process_")}
    assert "process_resident_memory_bytes" in families
    wanted = {name.removesuffix("_total") if family.kind is Kind.COUNTER else name for name, family in FAMILIES.items()}
    assert exported == wanted - ON_A_CLUSTER_ONLY
    for name in wanted - ON_A_CLUSTER_ONLY:
        family = FAMILIES.get(name) or FAMILIES[f"{name}_total"]
        for sample in families[f"wattshift_{name}"].samples:
            assert set(sample.labels) - {"le"} == set(family.label_names), name
            for label in family.labels:
                assert not label.values or sample.labels[label.name] in label.values
    world.planned = replace(world.planned, problem="it took too long")
    assert scrape(world)["plan_failed"] == 1.0
    world.planned = replace(world.planned, problem="", blocked="nothing is measured")
    assert (scrape(world)["plan_failed"], scrape(world)["plan_blocked"]) == (0.0, 1.0)
    check_by(promtool, page(world))


def check_by(promtool: str, text: str) -> None:
    """Fails on whatever `promtool check metrics` finds."""
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_openmetrics_is_given_where_it_is_asked_for(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4)
    await world.run(5)
    answer = exposition(world.metrics.registry, "application/openmetrics-text; version=1.0.0")
    text = bytes(answer.body).decode()
    assert text.endswith("# EOF\n")
    assert "# UNIT wattshift_energy_joules joules\n" in text


async def test_jobs_add_no_series_and_a_fleet_adds_ten(site: Site, world_of: WorldOf) -> None:
    async def series(fleets: int, jobs: int) -> int:
        old, new = site.fleets
        made = replace(site, fleets=tuple(replace((old, new)[n % 2], name=f"f-{n}", racks=1) for n in range(fleets)))
        world = world_of([CHEAP] * 4, site=made)
        for number in range(jobs):
            world.submit(f"job-{number}", ("bank", "flux", "lab")[number % 3], 8)
        await world.tick()
        assert len(world.snapshot.jobs) == jobs
        return len(scrape(world))

    few = await series(50, 500)
    assert await series(50, 1000) == few
    assert await series(60, 500) == few + 10 * 10
