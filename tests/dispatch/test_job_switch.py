"""The price that is told of a job is the one at which dispatch switches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.merit_order import job_switch
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.outlook import PlanValues, Switch

if TYPE_CHECKING:
    from tests.scenes import Scene


@pytest.mark.parametrize("planned_usd_per_mwh", [450.0, 1450.0, 5000.0])
def test_a_running_job_pauses_just_above_the_price_told_whatever_the_plan_finds_it_worth(
    scene: Scene, planned_usd_per_mwh: float
) -> None:
    """A GPU-hour of the lab's is paid 1 USD: 1,443 USD/MWh, and its restart counts on top."""
    scene.job("runs", "lab", 40)
    planned = Switch(planned_usd_per_mwh, 400.0)
    snapshot = scene.snapshot()
    told = job_switch(scene.site, snapshot, snapshot.jobs["runs"], planned).stay_usd_per_mwh
    assert told >= max(planned_usd_per_mwh, 1443.0)
    for price, runs in ((told - 0.01, True), (told + 0.01, False)):
        scene.price = price
        assert ("runs" in dispatch(scene.site, scene.snapshot(), PlanValues({}, {"runs": planned})).jobs) is runs


@pytest.mark.parametrize("planned_usd_per_mwh", [-50.0, 400.0, 2000.0])
def test_a_waiting_job_starts_just_below_the_price_told(scene: Scene, planned_usd_per_mwh: float) -> None:
    scene.job("waits", "lab", 40, JobPhase.WAITING)
    planned = Switch(2500.0, planned_usd_per_mwh)
    snapshot = scene.snapshot()
    told = job_switch(scene.site, snapshot, snapshot.jobs["waits"], planned).wake_usd_per_mwh
    assert told == planned_usd_per_mwh
    for price, starts in ((told - 0.01, True), (told + 0.01, False)):
        scene.price = price
        assert ("waits" in dispatch(scene.site, scene.snapshot(), PlanValues({}, {"waits": planned})).jobs) is starts
