"""`wattshift demo` with real device processes: a spike is answered, and what is broken heals or is said."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.clock import SiteClock
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from tests.e2e.conftest import Live, World

    Launch = Callable[[Live], Live]

LOW, HIGH = 20.0, 4000.0
DAY = 12 * 10
"""5 min intervals: at 60x they last ten minutes on the wall."""
SPIKES = ([LOW] * 2 + [HIGH] * 2) * (DAY // 4)
"""Ten minutes of each, 10 s on the wall: who misses the first spike on a slow machine sees the next."""


def scraped(live: "Live", metric: str) -> dict[str, float]:
    """A metric straight from the devices, summed up by `fleet/rack-n` or node. Those that are gone are left out."""
    values: dict[str, float] = {}
    for file in (live.state / "targets").glob("*.json"):
        (entry,) = json.loads(file.read_text())
        try:
            text = httpx.get(f"http://{entry['targets'][0]}/metrics", timeout=10, trust_env=False).text
        except httpx.TransportError:
            continue
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == metric:
                    labels = sample.labels
                    name = labels["Hostname"] if "Hostname" in labels else f"{labels['fleet']}/{labels['rack']}"
                    values[name] = values.get(name, 0.0) + sample.value
    return values


def metered(live: "Live") -> tuple[dict[str, float], dict[str, float]]:
    """(what is posted, what the meter marks say) at one moment: kWh of mining and HPC, and PH/s-days."""
    posted, marks = live.rows(
        "SELECT account, sum(energy_kwh) AS kwh, sum(quantity) AS quantity FROM ledger GROUP BY account",
        "SELECT metric, sum(value) AS value FROM meter_marks GROUP BY metric",
    )
    by_account = {row["account"]: row for row in posted}
    by_metric = {row["metric"]: row["value"] for row in marks}
    return (
        {
            "mining": by_account["mining"]["kwh"] if "mining" in by_account else 0.0,
            "hpc": by_account["hpc"]["kwh"] if "hpc" in by_account else 0.0,
            "hash": by_account["mining"]["quantity"] if "mining" in by_account else 0.0,
        },
        {
            "mining": by_metric["asic_energy_joules_total"] / 3.6e6,
            "hpc": by_metric["kepler_node_platform_joules_total"] / 3.6e6,
            "hash": by_metric["asic_hashes_total"] / 1e15 / 86_400,
        },
    )


def check_metered(live: "Live", before: tuple[Mapping[str, float], Mapping[str, float]]) -> None:
    """Since `before`, just what the devices' counters advanced was posted: nothing twice, nothing lost."""
    posted, marks = metered(live)
    for what in ("mining", "hpc", "hash"):
        advance = marks[what] - before[1][what]
        assert advance > 0, what
        assert posted[what] - before[0][what] == pytest.approx(advance, rel=1e-6), what
    ((sums,),) = live.rows(
        "SELECT sum(cost_usd) AS cost, sum(energy_kwh * price_usd_per_mwh) / 1000 AS due FROM ledger"
    )
    assert sums["cost"] == pytest.approx(sums["due"], rel=1e-9)


def check_record(live: "Live") -> None:
    """The store is whole and nobody holds it."""
    with contextlib.closing(sqlite3.connect(live.state / "wattshift.db", timeout=1)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        store.execute("BEGIN IMMEDIATE")
        store.execute("ROLLBACK")


def devices_of(live: "Live") -> dict[str, int]:
    """Pids of racks and nodes, by name."""
    return {name: pid for name, pid in live.processes().items() if not name.startswith("job_")}


def jobs_on_disk(live: "Live") -> dict[str, dict[str, Any]]:
    """`state.json` of each job, with its `checkpoint` where it has one."""
    jobs: dict[str, dict[str, Any]] = {}
    for file in (live.state / "jobs").glob("*/state.json"):
        state = json.loads(file.read_text())
        checkpoint = file.with_name("checkpoint.json")
        jobs[file.parent.name] = {
            **state,
            "checkpoint": json.loads(checkpoint.read_text()) if checkpoint.exists() else None,
        }
    return jobs


def test_a_spike_is_answered_and_ctrl_c_leaves_nothing(world: "World", launch: "Launch") -> None:
    world.write(world.lines(SPIKES))
    figures = world.folder / "figures.json"
    live = launch(world.live_demo("--json", str(figures)))
    assert "<title>Wattshift" in httpx.get(live.url, trust_env=False).text
    assert len(live.processes()) >= world.racks + world.nodes
    assert live.status("/healthz") == 200
    assert live.status("/readyz") == 200

    live.wait_observed(
        lambda seen: seen["price"]["usd_per_mwh"] == LOW and seen["measured_kw"] > world.awake_kw, "watts"
    )
    low = live.wait_observed(
        lambda seen: seen["price"]["usd_per_mwh"] == HIGH and seen["measured_kw"] < world.asleep_kw, "watts falling"
    )
    assert low["racks_awake"] == 0

    def asleep() -> bool:
        racks = scraped(live, "asic_power_watts")
        return len(racks) == world.racks and all(watts < 2000 for watts in racks.values())

    world.wait_for(asleep, "the devices to say so too, in this spike or the next")
    live.wait_observed(
        lambda seen: seen["price"]["usd_per_mwh"] == LOW and seen["measured_kw"] > world.awake_kw, "watts coming back"
    )

    decision = live.get("/api/v1/decisions/latest")
    assert re.search(r"\d+ USD/MWh", decision["actions"][0]["reason"]), decision
    assert live.interrupt() < 10
    document = json.loads(figures.read_text())
    assert f"{document['profit_usd']:,.2f}" in live.said(), "the table says the same"
    assert document["clock"] == "60x"
    assert document["seconds_above_limit"] == 0
    assert document["interruptions"]["guaranteed"] == 0
    assert document["profit_usd"] > document["always_on"]["profit_usd"]
    assert document["reaction_seconds"]["measured"]["count"] >= 1
    ((sums,),) = live.rows(
        "SELECT sum(energy_kwh * price_usd_per_mwh) / 1000 AS cost, sum(revenue_usd) AS revenue FROM ledger"
    )
    assert document["energy_cost_usd"] == pytest.approx(sums["cost"], abs=0.00501)
    assert sum(document["revenue_usd"].values()) == pytest.approx(sums["revenue"], abs=0.0101)
    check_record(live)
    jobs = jobs_on_disk(live)
    assert jobs
    assert {job["phase"] for job in jobs.values()} <= {"waiting", "paused", "succeeded"}
    started = [job for job in jobs.values() if job["starts"]]
    assert started
    assert all(job["checkpoint"] is not None for job in started)


def test_a_controller_killed_in_a_spike_goes_on_where_it_was(world: "World", launch: "Launch") -> None:
    world.write(world.lines(([LOW] * 2 + [HIGH] * 3) * (DAY // 5)))
    live = launch(world.live_demo())
    live.wait_awake()
    live.wait_observed(
        lambda seen: seen["price"]["usd_per_mwh"] == HIGH and seen["measured_kw"] < world.asleep_kw, "a fall"
    )
    at_kill = metered(live)
    live.kill()
    left = live.processes()
    devices = devices_of(live)
    assert len(devices) == world.racks + world.nodes, "the devices live on"
    assert any(name.startswith("job_") for name in left), "and so do guaranteed jobs"
    clock = (live.state / "clock.json").read_text()
    (decided,) = live.rows("SELECT id, summary FROM decisions ORDER BY id")
    starts = {name: job["starts"] for name, job in jobs_on_disk(live).items()}
    assert decided

    again = launch(world.live_demo())
    assert "Going on with the run that was cut off" in again.said()
    assert (live.state / "clock.json").read_text() == clock
    now = again.processes()
    assert {name: now.get(name) for name in devices} == devices, "the same processes"
    for name, pid in left.items():
        if name in now:
            assert now[name] == pid, f"{name} was started twice"
    for name, job in jobs_on_disk(again).items():
        if f"job_{name}" in left and f"job_{name}" in now:
            assert job["starts"] == starts[name], f"{name} was started twice"
    again.wait_awake()
    check_metered(again, at_kill)
    (kept,) = again.rows("SELECT id, summary FROM decisions ORDER BY id")
    assert kept[: len(decided)] == decided
    assert len(kept) > len(decided)
    began = time.monotonic()  # before the first counter is read
    counters_j = scraped(again, "asic_energy_joules_total")
    again.interrupt()
    check_metered(again, at_kill)
    took_s = time.monotonic() - began
    (marks,) = again.rows("SELECT subject, value FROM meter_marks WHERE metric = 'asic_energy_joules_total'")
    assert len(marks) == world.racks
    for mark in marks:  # what is posted is what the devices themselves counted
        counted = counters_j[mark["subject"]]
        assert counted <= mark["value"] <= counted + 60 * 3500.0 * 60 * took_s
    check_record(again)


def test_without_a_controller_the_racks_go_to_sleep_by_themselves(world: "World", launch: "Launch") -> None:
    world.write(world.lines([LOW] * DAY))
    live = launch(world.live_demo())
    live.wait_awake()
    before = metered(live)
    live.kill()
    seen_kw = sum(scraped(live, "asic_power_watts").values()) / 1000
    clock = SiteClock.from_json(json.loads((live.state / "clock.json").read_text()))
    lease_until = datetime.fromisoformat(json.loads((live.state / "setpoints.json").read_text())["lease_until"])
    assert seen_kw > world.asleep_kw or clock.at(time.time()) > lease_until, "not at once"
    world.wait_for(
        lambda: all(watts < 2000 for watts in scraped(live, "asic_power_watts").values()), "the racks to be asleep"
    )
    left = live.processes()
    assert len([name for name in left if not name.startswith("job_")]) == world.racks + world.nodes
    assert any(name.startswith("job_gold") for name in left), "guaranteed jobs run on"
    again = launch(world.live_demo())
    again.wait_awake()
    check_metered(again, before)
    assert again.interrupt() < 10
    check_metered(again, before)


@pytest.fixture(scope="class")
def steady(shared_world: "World") -> Iterator["Live"]:
    shared_world.write(shared_world.lines([LOW] * DAY * 2))
    live = shared_world.live_demo()
    try:
        live.wait_started().wait_awake()
        yield live
        assert live.interrupt() < 10
    finally:
        live.clean_up()


class TestOnARunningSite:
    """One site for all: each test leaves it as it found it."""

    def test_a_hung_exporter_stops_nothing(self, steady: "Live", shared_world: "World") -> None:
        pid = steady.processes()["asic_s21_rack-0"]
        os.kill(pid, signal.SIGSTOP)
        try:
            seen = steady.wait_observed(
                lambda seen: seen["stale"] == ["rack s21/rack-0"] and seen["breaches"], "a stale meter and its breach"
            )
            (breach,) = seen["breaches"]
            assert breach["kind"] == "meter_stale"
            assert "s21/rack-0" in breach["detail"]
            fleet = next(fleet for fleet in steady.get("/api/v1/fleets")["fleets"] if fleet["name"] == "s21")
            assert fleet["silent_racks"] == 1
            assert steady.status("/readyz") == 503
            # It counts at what its setpoint lets it draw, more than any is measured at, and the loop keeps its pace.
            assert seen["grid"]["power_kw"] > seen["measured_kw"]
            rounds = len(steady.get("/api/v1/observations")["observations"])
            watch = Stopwatch(steady.process.pid)
            shared_world.wait_for(
                lambda: len(steady.get("/api/v1/observations")["observations"]) >= rounds + 5, "five more rounds"
            )
            assert watch.seconds < 15
            # Decisions are made on what is left: the hung rack can't be counted on.
            order = {"limit_kw": 700, "for_minutes": 600, "reason": "a test"}
            answer = steady.post("/api/v1/curtailments", order)
            assert answer.status_code == 201, answer.text
            steady.wait_observed(lambda seen: seen["grid"]["power_kw"] <= 700, "700 kW with the rack at its setpoint")
            assert steady.get("/api/v1/decisions/latest")["actions"]
        finally:
            os.kill(pid, signal.SIGCONT)
        steady.wait_observed(lambda seen: not seen["stale"] and not seen["breaches"], "the meter to be fresh again")
        httpx.delete(steady.url + answer.headers["Location"], trust_env=False).raise_for_status()
        steady.wait_awake()
        assert steady.status("/readyz") == 200
        assert steady.processes()["asic_s21_rack-0"] == pid

    def test_an_exporter_that_dies_is_started_again(self, steady: "Live", shared_world: "World") -> None:
        before = metered(steady)
        pid = steady.processes()["asic_s19_rack-1"]
        os.kill(pid, signal.SIGKILL)
        again = shared_world.wait_for(
            lambda: (now := steady.processes().get("asic_s19_rack-1")) != pid and now, "another process"
        )
        assert psutil.pid_exists(again)
        steady.wait_awake()
        shared_world.wait_for(lambda: steady.status("/readyz") == 200, "/readyz to be 200")
        shared_world.wait_for(lambda: metered(steady)[0]["mining"] > before[0]["mining"], "its energy to be posted")

    @pytest.mark.parametrize("text", [None, "{", "[]", '{"lease_until": "soon"}', ""])
    def test_broken_setpoints_are_mended(self, steady: "Live", shared_world: "World", text: str | None) -> None:
        file = steady.state / "setpoints.json"
        good = json.loads(file.read_text())
        if text is None:
            file.unlink()
        else:
            file.write_text(text)

        def mended() -> bool:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                document = json.loads(file.read_text())
                return bool(document["racks"] == good["racks"] and document["lease_until"] > good["lease_until"])
            return False

        shared_world.wait_for(mended, "the setpoints to be written again")
        steady.wait_awake()
        assert steady.status("/readyz") == 200

    def test_a_second_controller_is_refused(self, steady: "Live", shared_world: "World") -> None:
        self.check_second(steady, shared_world, lambda *demo: shared_world.demo(*demo).refusal())

    @pytest.mark.parametrize(
        "arguments", [pytest.param(("--seed", "7"), id="another seed"), pytest.param(("--fresh",), id="afresh")]
    )
    def test_a_second_controller_on_another_run_is_refused(
        self, steady: "Live", shared_world: "World", arguments: tuple[str, ...]
    ) -> None:
        self.check_second(steady, shared_world, shared_world.refused_demo, *arguments)

    def test_a_second_controller_is_refused_whatever_became_of_run_json(
        self, steady: "Live", shared_world: "World"
    ) -> None:
        for text in ("{", None):
            file = steady.state / "run.json"
            file.unlink() if text is None else file.write_text(text)
            self.check_second(steady, shared_world, shared_world.refused_demo)

    def check_second(self, steady: "Live", world: "World", refused: Callable[..., str], *arguments: str) -> None:
        left, files = devices_of(steady), sorted(path.name for path in steady.state.iterdir())
        said = refused("--speed", "60", "--from", "start", "--headless", "--port", "0", *arguments)
        assert "in use" in said
        assert str(steady.process.pid) in said
        assert devices_of(steady) == left
        # Jobs come and go meanwhile, for minutes of the site pass, but by nobody else's hand.
        for pid in steady.processes().values():
            with contextlib.suppress(psutil.NoSuchProcess):
                assert psutil.Process(pid).ppid() == steady.process.pid
        now = sorted(path.name for path in steady.state.iterdir())
        assert [name for name in now if not name.startswith(".")] == [name for name in files if name[0] != "."]
        world.wait_for(lambda: steady.status("/readyz") == 200, "/readyz to be 200")

    def test_garbage_at_the_api_changes_nothing(self, steady: "Live") -> None:
        documents: tuple[object, ...] = (
            {"limit_kw": -5},
            {"limit_kw": "many", "for_minutes": 5, "reason": "x"},
            [],
            "half",
        )
        for document in documents:
            assert steady.post("/api/v1/curtailments", document).status_code == 422
        assert steady.get("/api/v1/state")["curtailments"] == []
        assert steady.post("/api/v1/prices", {"prices": []}).status_code in (409, 422)


def test_ctrl_c_with_a_hung_exporter_and_a_hung_job_still_ends(world: "World", launch: "Launch") -> None:
    world.write(world.lines([LOW] * DAY))
    live = launch(world.live_demo())
    live.wait_awake()
    processes = live.processes()
    for name in ("asic_s21_rack-0", next(name for name in processes if name.startswith("job_"))):
        os.kill(processes[name], signal.SIGSTOP)
    assert live.interrupt() < 20


def test_ctrl_c_while_devices_start_leaves_nothing(world: "World") -> None:
    world.write(world.lines([LOW] * DAY))
    figures = world.folder / "figures.json"
    live = world.live_demo("--json", str(figures))
    try:
        world.wait_for(lambda: len(live.processes()) >= 2, "devices being started")
        live.interrupt()
    finally:
        live.clean_up()
    assert not figures.exists() or "profit_usd" in json.loads(figures.read_text())


def test_a_folder_with_other_things_is_left_alone(world: "World", tmp_path: Path) -> None:
    world.write(world.lines([LOW] * DAY))
    world.state.mkdir()
    mine = world.state / "logs"
    mine.mkdir()
    (mine / "diary.txt").write_text("mine")
    said = world.refused_demo("--speed", "60", "--headless", "--port", "0")
    assert "logs" in said
    assert (mine / "diary.txt").read_text() == "mine"
