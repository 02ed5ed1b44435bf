"""Simulated tenants: the Jobs they create, and how many."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.sim.jobs.job_template import TemplateError, read_template

if TYPE_CHECKING:
    from tests.sim.pods.conftest import FakeApi, Pods

DEADLINE_S = 60.0
TEMPLATE = """\
apiVersion: batch/v1
kind: Job
metadata:
  labels: {app.kubernetes.io/name: sample-job}
spec:
  backoffLimit: 1000
  ttlSecondsAfterFinished: 300
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: wattshift
          command: [python, -m, orchestrator.sim.jobs.pod_job]
          args: [--exporter, "http://gpu-{pool}:9400", --checkpoints, /checkpoints, --port, "9400"]
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(TEMPLATE)
    return path


def start(pods: "Pods", template: Path, *more: str) -> Any:
    tenants = ("--tenant", "acme:guaranteed", "--tenant", "lab:best-effort")
    pools = ("--pool", "h100:256", "--pool", "gb200:144", "--open", "4")
    options = ("--template", str(template), "--look-s", "0.05", "--api-server", pods.api.url)
    process, _ = pods.start("jobs.tenants", *options, *pools, *tenants, *more)
    return process


def jobs(api: "FakeApi", pool: str) -> list[dict[str, Any]]:
    with api.changed:
        found = [document for (kind, _), document in api.objects.items() if kind == "jobs"]
    return [job for job in found if job["metadata"]["annotations"]["wattshift.dev/pool"] == pool]


def test_tenants_create_suspended_jobs_with_all_that_the_controller_reads(
    api: "FakeApi", pods: "Pods", template: Path
) -> None:
    process = start(pods, template)
    pods.wait(lambda: len(jobs(api, "h100")) == 4 and len(jobs(api, "gb200")) == 4, "the first jobs")
    classes = {"acme": "guaranteed", "lab": "best-effort"}
    for job in jobs(api, "h100"):
        metadata, spec = job["metadata"], job["spec"]
        notes = {key.removeprefix("wattshift.dev/"): text for key, text in metadata["annotations"].items()}
        tenant = metadata["labels"]["wattshift.dev/tenant"]
        assert metadata["labels"]["app.kubernetes.io/name"] == "sample-job", "the template's label stays"
        assert metadata["name"].startswith(f"{tenant}-")
        assert spec["suspend"] is True
        assert (spec["ttlSecondsAfterFinished"], spec["backoffLimit"]) == (300, 1000)
        assert notes["sla-class"] == classes[tenant]
        assert 1 <= int(notes["gpus"]) <= 128
        run_s = int(notes["gpu-seconds"]) / int(notes["gpus"])
        assert 59 <= run_s <= 721, "1 to 12 h at 60 times real time"
        assert float(notes["checkpoint-every"]) == 30
        assert 3 <= float(notes["restart"]) <= 6
        assert ("deadline" in notes) is (tenant == "acme")
        if "deadline" in notes:
            left = datetime.fromisoformat(notes["deadline"]) - datetime.now(UTC)
            assert timedelta(seconds=run_s) < left < timedelta(seconds=1.15 * run_s + 91)
        (container,) = spec["template"]["spec"]["containers"]
        options = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
        assert options == {
            "--exporter": "http://gpu-h100:9400",
            "--checkpoints": "/checkpoints",
            "--port": "9400",
            "--job": metadata["name"],
            "--tenant": tenant,
            "--gpus": notes["gpus"],
            "--work-gpu-seconds": notes["gpu-seconds"],
            "--checkpoint-every-s": notes["checkpoint-every"],
            "--restart-s": notes["restart"],
        }
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def test_tenants_keep_no_more_jobs_open_than_allowed(api: "FakeApi", pods: "Pods", template: Path) -> None:
    start(pods, template, "--speed", "100000")  # all that a day brings is due at once
    pods.wait(lambda: len(jobs(api, "h100")) == 4, "the first jobs")
    looked = len(api.requests)
    pods.wait(lambda: len(api.requests) > looked + 5, "some more looks")
    assert len(jobs(api, "h100")) == 4
    first, second = jobs(api, "h100")[:2]
    for job, condition in ((first, "Complete"), (second, "Suspended")):
        status = {"conditions": [{"type": condition, "status": "True"}]}
        api.put("jobs", job["metadata"]["name"], job | {"status": status})
    pods.wait(lambda: len(jobs(api, "h100")) == 5, "one in the place of the finished one")
    looked = len(api.requests)
    pods.wait(lambda: len(api.requests) > looked + 5, "some more looks")
    assert len(jobs(api, "h100")) == 5


def test_tenants_count_what_is_there_when_they_start_anew(api: "FakeApi", pods: "Pods", template: Path) -> None:
    process = start(pods, template)
    pods.wait(lambda: len(jobs(api, "h100")) == 4 and len(jobs(api, "gb200")) == 4, "the first jobs")
    process.kill()
    process.wait(DEADLINE_S)
    looked = len(api.requests)
    start(pods, template)
    pods.wait(lambda: len(api.requests) > looked + 5, "some looks of the next process")
    assert len(jobs(api, "h100")) == len(jobs(api, "gb200")) == 4


def test_tenants_try_again_when_the_server_is_back(api: "FakeApi", pods: "Pods", template: Path) -> None:
    api.stop()
    start(pods, template)
    pods.wait(lambda: "trying again" in str(pods.logs()), "the server to be missed")
    api.start()
    pods.wait(lambda: len(jobs(api, "h100")) == 4, "the first jobs")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("kind: Job", "kind: CronJob", "kind: Job"),
        ("ttlSecondsAfterFinished: 300", "completions: 1", "ttlSecondsAfterFinished"),
        ("containers:", "initContainers:", "containers"),
        ("kind: Job", "kind: [", "cannot be read"),
        ("[--exporter", "x #", "args of container main needs a list"),
    ],
)
def test_a_template_that_is_no_job_is_refused(template: Path, old: str, new: str, named: str) -> None:
    template.write_text(TEMPLATE.replace(old, new))
    with pytest.raises(TemplateError, match=named):
        read_template(template)


def test_a_bad_option_says_what_is_allowed(pods: "Pods", template: Path) -> None:
    process = start(pods, template, "--tenant", "acme:gold")
    assert process.wait(DEADLINE_S) == 2
    assert "one of guaranteed, flexible, best-effort" in str(pods.logs())
