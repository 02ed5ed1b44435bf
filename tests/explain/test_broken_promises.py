"""What a plan can't keep, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.explain.plan_reading import told
from orchestrator.optimizer.unkept_promises import BrokenPromise, Cause, Promise

if TYPE_CHECKING:
    from tests.scenes import Scene

NOON = datetime(2023, 9, 6, 12, 0, tzinfo=UTC)


CAP, GPUS, START, DEADLINE = Promise.CAP, Promise.GPUS, Promise.GUARANTEED_START, Promise.DEADLINE


@pytest.mark.parametrize(
    ("promise", "who", "why", "takes"),
    [
        (
            BrokenPromise(CAP, None, 2, Cause.GUARANTEED, kw=1234.4, hours=0.5),
            "the grid connection, from 2023-09-06T12:30Z",
            "guaranteed jobs that run need 1234 kW more than the cap on the grid connection leaves",
            "1,234 kW, 0.5 h",
        ),
        (
            BrokenPromise(CAP, 1, 0, Cause.GUARANTEED, kw=20.0, hours=1.0),
            "feeder b, from 2023-09-06T12:00Z",
            "guaranteed jobs that run need 20 kW more than the cap on feeder b leaves",
            "20 kW, 1.0 h",
        ),
        (
            BrokenPromise(GPUS, 0, 0, Cause.GUARANTEED, gpus=8.0, hours=24.0),
            "GPU pool h100, from 2023-09-06T12:00Z",
            "guaranteed jobs that run hold 8 GPUs more than GPU pool h100 has to give",
            "8 GPUs, 24.0 h",
        ),
        (
            BrokenPromise(START, "train", 0, Cause.HELD, needs=80.0, gpus=80.0, hours=4.0),
            "job train, from 2023-09-06T12:00Z",
            "other guaranteed jobs hold what it needs",
            "80 GPUs, 4.0 h",
        ),
        (
            BrokenPromise(START, "train", 0, Cause.POOL, needs=400.0, kw=31.0, gpus=240.0, hours=4.0),
            "job train, from 2023-09-06T12:00Z",
            "it asks for 400 GPUs and its pool never has as many",
            "31 kW, 240 GPUs, 4.0 h",
        ),
        (
            BrokenPromise(START, "train", 0, Cause.CAPS, needs=80.0, kw=31.4, hours=4.0),
            "job train, from 2023-09-06T12:00Z",
            "it would draw 31 kW more than the caps leave at any time",
            "31 kW, 4.0 h",
        ),
        (
            BrokenPromise(DEADLINE, "lab", 8, Cause.TIME, needs=3.25, has_h=2.0, kw=5.0, gpus=8.0, hours=1.5),
            "job lab, from 2023-09-06T14:00Z",
            "it needs 3.25 h and has 2.00 h till its deadline",
            "5 kW, 8 GPUs, 1.5 h",
        ),
        (
            BrokenPromise(DEADLINE, "worth", 8, Cause.WORTH, needs=1.0, has_h=2.0, gpus=8.0, hours=0.5),
            "job worth, from 2023-09-06T14:00Z",
            "what it needs is worth more to others, or held by them",
            "8 GPUs, 0.5 h",
        ),
    ],
)
def test_a_broken_promise_says_what_why_and_what_it_would_take(
    scene: Scene, promise: BrokenPromise, who: str, why: str, takes: str
) -> None:
    sentence = told(scene.site, promise, NOON, timedelta(minutes=15))
    assert sentence == f"{who}: {why}; it would take {takes} more"
