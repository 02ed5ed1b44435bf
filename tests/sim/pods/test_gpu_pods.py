"""The GPU row and jobs in pods as processes: claims by number, checkpoints, exit codes."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.sim.pods.conftest import FakeApi, Pods

DEADLINE_S = 60.0
CLAIM = {"count": 12, "tenant": "acme", "utilisation": 1.0, "ttl_s": 600.0}
IDLE_W = 2 * (1800 + 8 * 70.0)


def node_watts(pods: "Pods", row: int) -> float:
    return sum(watts for _, watts in pods.scrape(row)["kepler_platform_watts"])


class Job:
    """One Job's pods, one after another, on one folder of checkpoints."""

    def __init__(self, pods: "Pods", row: int, folder: Path, *, run_s: float = 36_000.0) -> None:
        self.file = folder / "acme-1.json"
        self._pods = pods
        figures = ("--gpus", "12", "--work-gpu-seconds", str(12 * run_s), "--restart-s", "0.2")
        every = ("--checkpoint-every-s", "1800", "--exporter", f"http://127.0.0.1:{row}")
        self._arguments = ("--job", "acme-1", "--tenant", "acme", *figures, *every, "--checkpoints", str(folder))

    def start(self) -> tuple["subprocess.Popen[bytes]", int]:
        return self._pods.start("jobs.pod_job", *self._arguments)

    def kept(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.file.read_text())
        return document


def test_claims_by_number_are_placed(pods: "Pods") -> None:
    row = pods.gpu_row()
    status, answer = pods.ask(row, "PUT", "/jobs/acme-1", CLAIM)
    assert status == 200
    placed = answer["gpus"]
    assert sum(len(gpus) for gpus in placed.values()) == 12
    assert pods.ask(row, "PUT", "/jobs/acme-1", {**CLAIM, "utilisation": 0.5})[1]["gpus"] == placed, "it keeps them"
    status, answer = pods.ask(row, "PUT", "/jobs/acme-2", {**CLAIM, "count": 5})
    assert (status, answer["detail"]) == (409, "job acme-2 needs 5 GPUs; 4 of 16 of pool h100 are free")
    assert pods.ask(row, "PUT", "/jobs/acme-2", {**CLAIM, "count": 4})[0] == 200
    held = [labels for labels, _ in pods.scrape(row)["DCGM_FI_DEV_POWER_USAGE"] if labels["pod"]]
    assert [labels["pod"] for labels in held].count("acme-1") == 12
    assert [labels["pod"] for labels in held].count("acme-2") == 4
    assert {(labels["namespace"], labels["modelName"]) for labels in held} == {("acme", "NVIDIA H100 80GB HBM3")}
    assert pods.ask(row, "DELETE", "/jobs/acme-1") == (204, None)
    status, answer = pods.ask(row, "PUT", "/jobs/acme-2", {**CLAIM, "count": 16})
    assert status == 200, "its own GPUs count as free"
    assert sum(len(gpus) for gpus in answer["gpus"].values()) == 16


def test_gpus_without_a_heartbeat_are_free_again(pods: "Pods") -> None:
    row = pods.gpu_row()
    assert pods.ask(row, "PUT", "/jobs/acme-1", {**CLAIM, "ttl_s": 0.2})[0] == 200
    pods.wait(lambda: pods.ask(row, "PUT", "/jobs/acme-2", CLAIM)[0] == 200, "the first job's time to be over")


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": -3}, {"count": "x"}, {"count": None}, {"ttl_s": 0}])
def test_a_claim_that_makes_no_sense_is_refused(pods: "Pods", wrong: dict[str, object]) -> None:
    assert pods.ask(pods.gpu_row(), "PUT", "/jobs/acme-1", {**CLAIM, **wrong})[0] == 400


def test_gpus_follow_the_power_limit_and_keep_it_when_the_lease_is_out(api: "FakeApi", pods: "Pods") -> None:
    api.set_points(1, gpu_limit_w={"h100": 350.0})
    api.renew_lease(seconds=1)
    row = pods.gpu_row()

    def limit_w(watts: float) -> bool:
        return {value for _, value in pods.scrape(row)["DCGM_FI_DEV_POWER_MGMT_LIMIT"]} == {watts}

    pods.wait(lambda: limit_w(350.0), "the limit")
    assert pods.ask(row, "PUT", "/jobs/acme-1", CLAIM)[1]["throughput"] == 0.751
    assert node_watts(pods, row) == pytest.approx(IDLE_W + 12 * (0.965 * 350 - 70), abs=100)
    api.write_setpoints("garbage")
    bad = "wattshift_agent_bad_setpoint_reads_total"
    pods.wait(lambda: pods.one(row, bad) == 1, "the bad document to be counted")
    assert limit_w(350.0)
    api.set_points(2, gpu_limit_w={"h100": 600.0})
    pods.wait(lambda: limit_w(600.0), "the next limit")
    pods.processes[0].terminate()
    assert pods.processes[0].wait(DEADLINE_S) == 0


def test_a_job_checkpoints_on_sigterm_and_goes_on_from_there(pods: "Pods", tmp_path: Path) -> None:
    row = pods.gpu_row()
    job = Job(pods, row, tmp_path)
    first, port = job.start()
    pods.wait_up(port)
    pods.wait(lambda: pods.one(port, "hpc_job_progress_gpu_seconds", job="acme-1", tenant="acme") > 0, "progress")
    pods.wait(lambda: node_watts(pods, row) > IDLE_W + 12 * 500, "its GPUs busy")
    seen = pods.one(port, "hpc_job_progress_gpu_seconds")
    first.terminate()
    assert first.wait(DEADLINE_S) == 3, "a Job must not count it as done"
    kept = job.kept()
    assert kept["finished"] is False
    assert kept["done_gpu_seconds"] >= seen
    assert node_watts(pods, row) == pytest.approx(IDLE_W), "its GPUs were given back before it ended"
    _, port = job.start()
    pods.wait_up(port)
    assert pods.one(port, "hpc_job_checkpoint_gpu_seconds") == kept["done_gpu_seconds"]
    progress = kept["done_gpu_seconds"]
    pods.wait(lambda: pods.one(port, "hpc_job_progress_gpu_seconds") > progress, "progress on top")


def test_a_finished_job_gives_its_gpus_back_and_is_finished_for_good(pods: "Pods", tmp_path: Path) -> None:
    row = pods.gpu_row()
    job = Job(pods, row, tmp_path, run_s=0.5)
    first, _ = job.start()
    assert first.wait(DEADLINE_S) == 0
    assert job.kept()["finished"] is True
    assert job.kept()["done_gpu_seconds"] == 6.0
    assert node_watts(pods, row) == pytest.approx(IDLE_W)
    pods.processes[0].kill()  # a job that asked for GPUs again would now wait for ever
    again, _ = job.start()
    assert again.wait(DEADLINE_S) == 0
    assert "was finished before" in str(pods.logs())


def test_a_job_waits_until_enough_gpus_are_free(pods: "Pods", tmp_path: Path) -> None:
    row = pods.gpu_row()
    pods.ask(row, "PUT", "/jobs/other", CLAIM)
    _, port = Job(pods, row, tmp_path).start()
    pods.wait(lambda: "needs 12 GPUs; 4 of 16" in str(pods.logs()), "the refusal")
    assert pods.one(port, "hpc_job_progress_gpu_seconds") == 0
    pods.ask(row, "DELETE", "/jobs/other")
    pods.wait(lambda: pods.one(port, "hpc_job_progress_gpu_seconds") > 0, "progress")


def test_a_checkpoint_that_is_none_is_named(pods: "Pods", tmp_path: Path) -> None:
    job = Job(pods, 1, tmp_path)
    job.file.write_text('{"done_gpu')
    process, _ = job.start()
    assert process.wait(DEADLINE_S) == 1
    assert f"{job.file}: not a checkpoint" in str(pods.logs())
