"""Alerts on what was meant to be - plans, deadlines, profit - raised by what they are for, as in `test_alerts.py`.

A plan is pure and asks nobody, so what can keep one from being made lies under it: here the planner's machine code on a
disk that hangs, and a part of the planner that fails.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orchestrator
from tests.e2e.conftest import MIDNIGHT
from tests.e2e.faults import price_document, served, wait_firing, wait_sound, write_hurried_site
from tests.observability.hurried import firing, hurried_config
from tests.prometheus_server import Prometheus, prometheus_server

if TYPE_CHECKING:
    from tests.e2e.conftest import Live, World

CHEAP = 20.0
PLAN_OLD = ("WattshiftPlanOld", "warning", "")
AT_RISK = ("WattshiftJobAtRisk", "warning", "flexible")
BEHIND = ("WattshiftProfitBehindAlwaysOn", "warning", "")


@pytest.fixture(scope="module")
def compiled() -> Path:
    """The sources, with all machine code beside them."""
    subprocess.run([sys.executable, "-m", "orchestrator.runtime.compile"], check=True, capture_output=True)
    return Path(orchestrator.__file__).parent


def copied(compiled: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the planner in the folder, to be damaged, and the settings of a command that runs it."""
    shutil.copytree(compiled, folder / "orchestrator")
    return folder / "orchestrator" / "optimizer", {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def value(server: Prometheus, series: str) -> float | None:
    """The latest; None where there is none."""
    found = server.get("query", query=series)["result"]
    return float(found[0]["value"][1]) if found else None


def test_a_planner_that_hangs_is_told_of(
    world: "World", launch: "Callable[[Live], Live]", tmp_path: Path, compiled: Path
) -> None:
    optimizer, settings = copied(compiled, tmp_path / "copy")
    kept = list((optimizer / "kernels" / "__pycache__").glob("response.respond-*.nbi"))
    assert kept
    for file in kept:  # of other versions too
        file.unlink()
        os.mkfifo(file)  # who opens a pipe waits, as on a network volume whose server is gone
    with served(lambda: price_document(CHEAP)) as prices:
        write_hurried_site(world, prices)
        live = launch(world.live_serve(settings))
        with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:
            fired = wait_firing(world, server, PLAN_OLD)
            assert fired[PLAN_OLD]["annotations"]["description"].startswith("No plan has come")
            assert value(server, "wattshift_plan_failed") == 0, "it is still being made"
            live.wait_observed(lambda seen: seen["measured_kw"] > world.awake_kw, "the site at work without a plan")


def test_plans_that_fail_leave_an_old_one(
    world: "World", launch: "Callable[[Live], Live]", tmp_path: Path, compiled: Path
) -> None:
    # What is needed only once a week of prices is known, here at a quarter past one, fails whenever it is called.
    optimizer, settings = copied(compiled, tmp_path / "copy")
    with (optimizer / "price_paths.py").open("a") as source:
        source.write("\n\ndef fleet_switches(*_: object) -> None:\n    raise EOFError\n")
    known_from = MIDNIGHT - timedelta(days=7) + timedelta(hours=1, minutes=15)
    world.write(world.lines([CHEAP] * (8 * 24 * 12), known_from))
    live = launch(world.live_demo("--date", f"{MIDNIGHT:%F}", settings=settings))
    with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:
        world.wait_for(lambda: value(server, "wattshift_plan_age_seconds < 1800"), "a plan")
        world.wait_for(lambda: value(server, "wattshift_plan_failed > 0"), "a plan that fails")
        assert "EOFError" in live.get("/api/v1/plan")["problem"]
        fired = wait_firing(world, server, PLAN_OLD)
        assert "The plan in force at small was made" in fired[PLAN_OLD]["annotations"]["description"]
        young = 'wattshift_plan_failed > 0 unless on () ALERTS{alertname="WattshiftPlanOld",alertstate="firing"}'
        assert value(server, f"max_over_time(({young})[5m:1s])"), (
            "while it was young enough, though the next had failed"
        )


def test_an_order_puts_a_deadline_at_risk(world: "World", launch: "Callable[[Live], Live]", tmp_path: Path) -> None:
    world.write(world.lines([CHEAP] * (24 * 12)))
    live = launch(world.live_demo("--speed", "90"))
    with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:
        wait_sound(world, server, "wattshift_jobs_at_risk", alertname=AT_RISK[0], sla_class=AT_RISK[2])
        # Room for GPUs at rest: every job that may be paused is.
        order = {"limit_kw": 14, "for_minutes": 720, "reason": "a test"}
        assert live.post("/api/v1/curtailments", order).status_code == 201
        fired = wait_firing(world, server, AT_RISK)
        assert "(flexible)" in fired[AT_RISK]["annotations"]["description"]


def test_machines_that_start_again_and_again_earn_less_than_always_on(
    world: "World", launch: "Callable[[Live], Live]", tmp_path: Path
) -> None:
    # S19s earn less than this, so a site that never stops them is behind while all goes well.
    with served(lambda: price_document(100.0)) as prices:
        write_hurried_site(world, prices)
        live = launch(world.live_serve())
        with prometheus_server(tmp_path, hurried_config(tmp_path, live.url.removeprefix("http://"))) as server:
            ahead = "site:wattshift_profit_ahead_of_always_on_usd:increase1d"
            world.wait_for(lambda: (value(server, ahead) or 0.0) > 0.0, "the site to be ahead")
            wait_sound(world, server, ahead)

            def firing_while_breakers_trip() -> bool:
                for name, pid in live.processes().items():
                    if name.startswith("asic_s21"):
                        os.kill(pid, signal.SIGKILL)
                return BEHIND in firing(server)

            world.wait_for(firing_while_breakers_trip, f"{BEHIND} to fire")
