"""Columns say what the snapshot says."""

from collections.abc import Callable
from math import inf

import numpy as np

from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import JobPhase
from orchestrator.observe.columns import fleet_columns, job_columns
from orchestrator.observe.phase import Phase
from tests.scenes import Scene


def test_a_job_is_a_row(site: Site, scene: Scene) -> None:
    scene.job("train", "flux", 64, deadline_in_h=5.0)
    scene.job("try", "lab", 8, JobPhase.WAITING)
    snapshot = scene.snapshot()
    columns = job_columns(site, snapshot.jobs.values())
    train, attempt = snapshot.jobs["train"], snapshot.jobs["try"]
    assert len(columns) == 2
    assert columns.gpus.tolist() == [64, 8]
    assert columns.sla.tolist() == [SlaClass.FLEXIBLE.number, SlaClass.BEST_EFFORT.number]
    assert columns.phase.tolist() == [Phase.RUNNING, Phase.WAITING]
    assert columns.left_s.tolist() == [train.left_gpu_seconds, attempt.left_gpu_seconds]
    assert train.job.deadline is not None
    assert columns.deadline.tolist() == [train.job.deadline.timestamp(), inf]
    assert columns.held.dtype == np.bool_
    assert columns.at(np.array([1])).gpus.tolist() == [8]


def test_no_jobs_are_no_rows(site: Site) -> None:
    assert len(job_columns(site, [])) == 0


def test_steps_of_a_fleet_add_up_to_its_strongest_mode(site: Site, scene_of: Callable[[Site], Scene]) -> None:
    snapshot = scene_of(site).snapshot()
    columns = fleet_columns(site, snapshot)
    for row, status in enumerate(snapshot.fleets.values()):
        fleet = status.fleet
        strongest = fleet.modes[-1]
        assert columns.asleep_kw[row] + columns.rise_kw[row].sum() == fleet.rack_kw(strongest.name)
        assert columns.rise_hs[row].sum() == strongest.hashrate_ths * 1e12 * fleet.machines_per_rack
        awake = sum(count for mode, count in status.view.racks.items() if mode != "sleep")
        assert columns.at_step[row, 0] == awake
