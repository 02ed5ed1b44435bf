"""The three programs as real processes in a run directory, at 300 times the wall clock."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.clock import SiteClock
from orchestrator.domain.site.machines import Fleet
from orchestrator.sim.agent import Setpoints, abandoned, parse_setpoints
from orchestrator.sim.racks.asic_rack import RackModel

DEADLINE_S = 60.0
"""On the wall, for a condition that takes a second; reached only when something is broken."""
SPEED = 300.0
Samples = dict[str, list[tuple[dict[str, str], float]]]


class Run:
    """A run directory and the processes that the test starts in it."""

    def __init__(self, path: Path, logs: Path, start: datetime) -> None:
        self.path = path
        self.clock = SiteClock(time.time(), start, SPEED)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._logs = logs
        path.mkdir()
        (path / "clock.json").write_text(json.dumps(self.clock.to_json()))
        self.set_points()

    def now(self) -> datetime:
        return self.clock.at(time.time())

    def set_points(self, *, mode: str = "normal", limit_w: float = 700.0, lease: timedelta = timedelta(days=1)) -> None:
        document = {
            "generation": time.time_ns(),
            "lease_until": (self.now() + lease).isoformat(),
            "racks": {"s21/rack-0": mode},
            "gpu_limit_w": {"h100": limit_w},
            "fleets": {},
        }
        self.write_setpoints(json.dumps(document))

    def write_setpoints(self, text: str) -> None:
        fresh = self.path / "setpoints.fresh"
        fresh.write_text(text)
        fresh.replace(self.path / "setpoints.json")

    def start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "error", "-m", f"orchestrator.sim.{program}", "--run", str(self.path)]
        with (self._logs / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def rack(self, *arguments: str) -> subprocess.Popen[bytes]:
        modes = ("--mode", "normal:3500:200", "--mode", "eco:2800:175")
        figures = ("--machines", "300", "--sleep-w", "15", "--warm-up-s", "480", "--seed", "1")
        return self.start(
            "racks.asic_exporter", "--rack", "s21/rack-0", "--model", "Antminer S21", *figures, *modes, *arguments
        )

    def nodes(self) -> subprocess.Popen[bytes]:
        watts = ["--gpu-power-w", "700", "--gpu-min-power-w", "200", "--gpu-idle-w", "70", "--node-overhead-w", "1800"]
        model = ("--gpus-per-node", "8", "--gpu-model", "NVIDIA H100 80GB HBM3")
        return self.start("gpus.gpu_exporter", "--pool", "h100", "--nodes", "h100-node-0,h100-node-1", *model, *watts)

    def job(self, *, run_s: float = 36_000.0, checkpoint_every_s: float = 1800.0) -> subprocess.Popen[bytes]:
        folder = self.path / "jobs" / "acme-0001"
        folder.mkdir(parents=True, exist_ok=True)
        spec = {
            "name": "acme-0001",
            "tenant": "acme",
            "pool": "h100",
            "gpus": 12,
            "work_gpu_seconds": 12 * run_s,
            "checkpoint_every_s": checkpoint_every_s,
            "restart_s": 60.0,
            "placement": {"h100-node-0": list(range(8)), "h100-node-1": [0, 1, 2, 3]},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        return self.start("jobs.hpc_job", "--job", "acme-0001")

    def target(self, name: str) -> Path:
        return self.path / "targets" / f"{name}.json"

    def checkpoint(self) -> dict[str, object]:
        document: dict[str, object] = json.loads((self.path / "jobs" / "acme-0001" / "checkpoint.json").read_text())
        return document

    def scrape(self, name: str) -> Samples:
        """Samples by name of a target that may still be starting."""
        self.wait(self.target(name).exists, f"target {name}")
        (entry,) = json.loads(self.target(name).read_text())
        with urlopen(f"http://{entry['targets'][0]}/metrics", timeout=10) as response:
            text = response.read().decode()
        samples: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return samples

    def one(self, target: str, metric: str) -> float:
        ((_, value),) = self.scrape(target)[metric]
        return value

    def node_watts(self) -> float:
        return sum(watts for _, watts in self.scrape("h100-node-0")["kepler_platform_watts"])

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            logs = {log.name: log.read_text() for log in sorted(self._logs.iterdir())}
            assert time.monotonic() < deadline, f"waited in vain for: {what}; logs: {logs}"
            time.sleep(0.02)


@pytest.fixture
def run(tmp_path: Path, start: datetime) -> Iterator[Run]:
    logs = tmp_path / "logs"
    logs.mkdir()
    run = Run(tmp_path / "run", logs, start)
    yield run
    for process in run.processes:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)


RACK = "s21_rack-0"
IDLE_W = 2 * (1800 + 8 * 70.0)


def test_a_rack_exports_its_metrics_and_warms_up(run: Run, start: datetime) -> None:
    run.rack()
    labels = {"fleet": "s21", "rack": "rack-0", "model": "Antminer S21"}
    run.wait(lambda: run.one(RACK, "asic_power_watts") > 1_000_000, "full power")
    samples = run.scrape(RACK)
    assert json.loads(run.target(RACK).read_text())[0]["labels"] == {"job": "asic"}
    assert samples["asic_power_watts"][0][0] == labels
    assert samples["asic_power_limit_watts"] == [(labels, 1_050_000.0)]
    assert samples["asic_info"] == [({**labels, "mode": "normal"}, 1.0)]
    assert sum(count for _, count in samples["asic_machines"]) == 300
    assert samples["asic_energy_joules_total"][0][1] > 0
    seen = samples["asic_last_seen_timestamp_seconds"][0][1]
    assert start.timestamp() < seen <= run.now().timestamp()
    run.wait(lambda: run.one(RACK, "asic_hashrate_hashes_per_second") > 300 * 200e12 * 0.98, "all machines hashing")
    assert run.one(RACK, "asic_hashes_total") > 0
    assert 70 < run.one(RACK, "asic_temperature_celsius") < 85


def test_watts_fall_when_the_setpoint_says_sleep(run: Run) -> None:
    run.rack("--awake", "normal")
    assert run.one(RACK, "asic_power_watts") > 1_000_000
    run.set_points(mode="sleep")
    run.wait(lambda: run.one(RACK, "asic_power_watts") < 5_000, "sleep power")
    run.set_points(mode="eco")
    run.wait(lambda: run.one(RACK, "asic_power_limit_watts") == 840_000, "eco")


def test_a_rack_sleeps_when_the_lease_is_out_until_it_is_renewed(run: Run) -> None:
    run.set_points(lease=timedelta(seconds=120))
    run.rack("--awake", "normal")
    run.nodes()
    run.wait(lambda: run.one(RACK, "asic_power_watts") < 5_000, "sleep after the lease")
    run.set_points()
    run.wait(lambda: run.one(RACK, "asic_power_watts") > 1_000_000, "power after the renewal")


@pytest.mark.parametrize(
    "garbage",
    [
        '{"generation": 3, "lease_unt',
        "null",
        "[1, 2]",
        '{"generation": 3}',
        '{"generation": 3, "lease_until": "2023-09-06T23:00:00", "racks": {}, "gpu_limit_w": {}}',
        '{"generation": 3, "lease_until": "2023-09-06T23:00:00+00:00", "racks": {}, "gpu_limit_w": {"h100": NaN}}',
        '{"generation": 3, "lease_until": "2023-09-06T23:00:00+00:00", "racks": [], "gpu_limit_w": {}}',
    ],
)
def test_what_is_no_setpoints_document_is_refused(garbage: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_setpoints(garbage)


def test_garbage_setpoints_are_counted_and_the_last_good_ones_stay(run: Run) -> None:
    process = run.rack("--awake", "eco")
    run.set_points(mode="eco")
    run.wait(lambda: run.one(RACK, "asic_power_limit_watts") == 840_000, "eco")
    run.write_setpoints('{"generation": 4, "racks": {"s21/ra')
    run.wait(lambda: run.one(RACK, "wattshift_agent_bad_setpoint_reads_total") == 1, "the bad read to be counted")
    (run.path / "setpoints.json").write_bytes(b"\xff\xfe\x00garbage")
    run.wait(lambda: run.one(RACK, "wattshift_agent_bad_setpoint_reads_total") == 2, "the second one too")
    assert run.one(RACK, "asic_power_limit_watts") == 840_000
    run.set_points(mode="turbo")  # a whole document with a mode that the rack does not have
    run.set_points(mode="sleep")
    run.wait(lambda: run.one(RACK, "asic_power_watts") < 5_000, "the next good setpoints to be followed")
    assert process.poll() is None


def test_an_exporter_ends_on_sigterm_and_removes_its_target_but_ignores_sigint(run: Run) -> None:
    rack, nodes = run.rack(), run.nodes()
    run.scrape(RACK)
    run.scrape("h100-node-0")
    assert (run.path / "endpoints" / "h100-node-1").read_text().startswith("http://127.0.0.1:")
    for process in (rack, nodes):
        process.send_signal(signal.SIGINT)
    run.set_points(mode="eco")
    run.wait(lambda: run.one(RACK, "asic_power_limit_watts") == 840_000, "life after SIGINT")
    assert run.node_watts() == pytest.approx(IDLE_W)
    for process in (rack, nodes):
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    assert list((run.path / "targets").iterdir()) == []
    assert list((run.path / "endpoints").iterdir()) == []


def test_all_programs_end_when_the_run_directory_is_gone(run: Run) -> None:
    processes = [run.rack(), run.nodes(), run.job()]
    for name in (RACK, "h100-node-0", "acme-0001"):
        run.scrape(name)
    gone = run.path.rename(run.path.with_name("gone"))
    for process in processes:
        process.wait(DEADLINE_S)
    assert not run.path.exists()
    assert gone.exists()


def test_gpu_metrics_carry_dcgm_names_and_labels_and_follow_the_job(run: Run) -> None:
    run.nodes()
    assert run.node_watts() == pytest.approx(IDLE_W)
    run.job()
    run.wait(lambda: run.node_watts() > 2 * 1800 + 12 * 600, "busy GPUs")
    samples = run.scrape("h100-node-0")
    powers = samples["DCGM_FI_DEV_POWER_USAGE"]
    assert len(powers) == 16
    labels, watts = powers[0]
    assert labels == {
        "gpu": "0",
        "UUID": "GPU-h100-node-0-0",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "h100-node-0",
        "namespace": "acme",
        "pod": "acme-0001",
        "container": "main",
    }
    assert 0.94 * 700 <= watts <= 700
    assert sum(watts for _, watts in powers) + 2 * 1800 == pytest.approx(
        sum(watts for _, watts in samples["kepler_platform_watts"])
    )
    assert sum(1 for labels, _ in powers if labels["pod"] == "acme-0001") == 12
    assert {value for _, value in samples["DCGM_FI_DEV_GPU_UTIL"]} == {0.0, 100.0}
    assert {value for _, value in samples["DCGM_FI_DEV_POWER_MGMT_LIMIT"]} == {700.0}
    assert all(30 <= value <= 80 for _, value in samples["DCGM_FI_DEV_GPU_TEMP"])
    millijoules = sum(value for _, value in samples["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"])
    joules = sum(value for _, value in samples["kepler_node_platform_joules_total"])
    assert 0 < millijoules / 1000 < joules
    assert samples["kepler_node_platform_joules_total"][0][0] == {"Hostname": "h100-node-0", "pool": "h100"}
    run.set_points(limit_w=350.0)
    run.wait(lambda: run.node_watts() < 2 * 1800 + 12 * 350 + 4 * 70 + 1, "the power limit in the watts")


def test_a_job_stopped_by_sigterm_checkpoints_and_resumes_where_it_was(run: Run) -> None:
    run.nodes()
    first = run.job()
    run.wait(lambda: run.one("acme-0001", "hpc_job_progress_gpu_seconds") > 0, "progress")
    seen = run.one("acme-0001", "hpc_job_progress_gpu_seconds")
    first.terminate()
    assert first.wait(DEADLINE_S) == 3
    kept = run.checkpoint()
    assert isinstance(kept["done_gpu_seconds"], float)
    assert kept["done_gpu_seconds"] >= seen, "nothing is lost"
    assert kept["finished"] is False
    assert not run.target("acme-0001").exists()
    run.wait(lambda: run.node_watts() == pytest.approx(IDLE_W), "its GPUs idle at once")
    run.job()
    assert run.one("acme-0001", "hpc_job_checkpoint_gpu_seconds") == kept["done_gpu_seconds"]
    progress = kept["done_gpu_seconds"]
    run.wait(lambda: run.one("acme-0001", "hpc_job_progress_gpu_seconds") > progress, "progress on top")


def test_a_job_ends_by_itself_when_its_work_is_done(run: Run) -> None:
    run.nodes()
    job = run.job(run_s=120.0)
    assert job.wait(DEADLINE_S) == 0
    assert run.checkpoint()["finished"] is True
    assert run.checkpoint()["done_gpu_seconds"] == 12 * 120.0
    assert not run.target("acme-0001").exists()
    run.wait(lambda: run.node_watts() == pytest.approx(IDLE_W), "its GPUs idle")


def test_a_killed_job_loses_its_gpus_when_its_heartbeat_lapses_and_the_work_since_its_checkpoint(run: Run) -> None:
    run.nodes()
    job = run.job(checkpoint_every_s=60.0)
    run.wait(lambda: run.one("acme-0001", "hpc_job_checkpoint_gpu_seconds") > 0, "a checkpoint by the timer")
    assert run.node_watts() > IDLE_W + 12 * 500
    job.send_signal(signal.SIGKILL)
    job.wait(DEADLINE_S)
    run.wait(lambda: run.node_watts() == pytest.approx(IDLE_W), "the heartbeat to lapse")
    kept = run.checkpoint()
    assert kept["finished"] is False
    assert isinstance(kept["done_gpu_seconds"], float)
    assert kept["done_gpu_seconds"] > 0
    run.job()
    run.wait(lambda: run.node_watts() > IDLE_W + 12 * 500, "its GPUs busy again")
    assert run.one("acme-0001", "hpc_job_progress_gpu_seconds") >= kept["done_gpu_seconds"]


def test_a_job_waits_for_its_nodes(run: Run) -> None:
    run.job()
    assert run.one("acme-0001", "hpc_job_progress_gpu_seconds") == 0
    run.nodes()
    run.wait(lambda: run.one("acme-0001", "hpc_job_progress_gpu_seconds") > 0, "progress once they are there")


def test_progress_stands_still_while_the_nodes_are_gone(run: Run) -> None:
    nodes = run.nodes()
    run.job()
    run.wait(lambda: run.one("acme-0001", "hpc_job_progress_gpu_seconds") > 0, "progress")
    nodes.terminate()
    nodes.wait(DEADLINE_S)
    readings: list[float] = []

    def still() -> bool:
        readings.append(run.one("acme-0001", "hpc_job_progress_gpu_seconds"))
        return len(readings) > 20 and readings[-1] == readings[-20]

    run.wait(still, "no more progress")


def put(run: Run, job: str, body: object) -> tuple[int, dict[str, object]]:
    url = (run.path / "endpoints" / "h100-node-0").read_text().removeprefix("http://")
    connection = HTTPConnection(url, timeout=10)
    try:
        connection.request("PUT", f"/jobs/{job}", body if isinstance(body, str) else json.dumps(body))
        response = connection.getresponse()
        answer: dict[str, object] = json.loads(response.read())
        return response.status, answer
    finally:
        connection.close()


def test_the_nodes_answer_claims(run: Run) -> None:
    run.set_points(limit_w=350.0)
    run.nodes()
    run.scrape("h100-node-0")
    claim = {"gpus": {"h100-node-0": [0, 1]}, "tenant": "acme", "utilisation": 1.0, "ttl_s": 600.0}
    run.wait(lambda: put(run, "acme-0001", claim) == (200, {"gpu_limit_w": 350.0, "throughput": 0.751}), "the limit")
    status, answer = put(run, "acme-0002", claim)
    assert (status, answer["detail"]) == (409, "GPUs of h100-node-0 are held by job acme-0001")
    assert put(run, "acme-0002", {**claim, "gpus": {"h100-node-9": [0]}})[0] == 404
    assert put(run, "acme-0002", {**claim, "gpus": {"h100-node-0": [8]}})[0] == 404
    assert put(run, "acme-0002", {**claim, "utilisation": 2})[0] == 400
    assert put(run, "acme-0002", {**claim, "ttl_s": float("nan")})[0] == 400
    assert put(run, "acme-0002", "{not json")[0] == 400
    assert run.node_watts() == pytest.approx(IDLE_W + 2 * (0.965 * 350 - 70), abs=20)


def test_a_real_rack_and_the_model_agree(run: Run, fleet: Fleet) -> None:
    """What the fast process has metered is what the model says for the time it reports."""
    run.rack("--awake", "normal")
    run.wait(lambda: run.one(RACK, "asic_energy_joules_total") > 1e8, "some energy")
    first = run.scrape(RACK)
    run.wait(lambda: run.one(RACK, "asic_energy_joules_total") > 3e8, "more energy")
    second = run.scrape(RACK)
    model = RackModel(fleet, "s21/rack-0", seed=1, at=0.0, awake="normal")

    def rose(metric: str) -> float:
        return second[metric][0][1] - first[metric][0][1]

    model.advance(rose("asic_last_seen_timestamp_seconds"))
    assert rose("asic_energy_joules_total") == pytest.approx(model.energy_j, rel=0.02)
    assert rose("asic_hashes_total") == pytest.approx(model.hashes, rel=0.02)


@pytest.mark.parametrize("program", ["racks.asic_exporter", "gpus.gpu_exporter", "jobs.hpc_job"])
def test_programs_start_without_the_controllers_libraries(program: str) -> None:
    heavy = {"numpy", "pydantic", "fastapi", "sqlalchemy", "httpx", "typer", "rich", "apscheduler", "uvicorn"}
    script = f"import sys, orchestrator.sim.{program}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("lease_out_s", "up_s", "gone"),
    [(601.0, 3600.0, True), (599.0, 3600.0, False), (3600.0, 599.0, False), (3600.0, 601.0, True), (-60.0, 9e9, False)],
)
def test_a_site_is_abandoned_ten_wall_minutes_after_its_lease(
    start: datetime, lease_out_s: float, up_s: float, gone: bool
) -> None:
    wall = 1_700_000_000.0
    clock = SiteClock(wall, start, SPEED)
    setpoints = Setpoints(1, clock.at(wall - lease_out_s), {}, {})
    assert abandoned(setpoints, clock, wall - up_s, wall) is gone


def test_a_site_that_never_gave_setpoints_is_abandoned_ten_minutes_after_the_start(start: datetime) -> None:
    clock = SiteClock(0.0, start, SPEED)
    assert not abandoned(None, clock, 0.0, 599.0)
    assert abandoned(None, clock, 0.0, 601.0)
