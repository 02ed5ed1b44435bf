import math

import pytest

from orchestrator.sim.jobs.job_model import JobModel

T0 = 1_694_030_400.0


def job(checkpoint_gpu_seconds: float = 0.0, at: float = T0) -> JobModel:
    """8 GPUs for 2 h, checkpoints every 30 min, 4 min to load."""
    return JobModel(
        gpus=8,
        work_gpu_seconds=8 * 7200.0,
        checkpoint_every_s=1800.0,
        restart_s=240.0,
        checkpoint_gpu_seconds=checkpoint_gpu_seconds,
        at=at,
    )


def test_it_loads_before_it_makes_progress() -> None:
    model = job()
    model.advance(T0 + 239, 1.0)
    assert (model.done_gpu_seconds, model.utilisation) == (0.0, 0.25)
    model.advance(T0 + 340, 1.0)
    assert model.done_gpu_seconds == pytest.approx(8 * 100.0)
    assert model.utilisation == 1.0


def test_it_finishes_when_its_work_is_done_and_not_later() -> None:
    model = job()
    assert model.changes_at(1.0) == T0 + 240
    model.advance(T0 + 240, 1.0)
    assert model.changes_at(1.0) == pytest.approx(T0 + 7440)
    model.advance(T0 + 10_000, 1.0)
    assert model.finished_at == pytest.approx(T0 + 7440)
    assert model.done_gpu_seconds == model.checkpoint_gpu_seconds == 8 * 7200.0


def test_less_throughput_takes_longer_and_none_for_ever() -> None:
    model = job()
    model.advance(T0 + 240, 0.5)
    assert model.changes_at(0.5) == pytest.approx(T0 + 240 + 14_400)
    assert model.changes_at(0.0) == math.inf
    model.advance(T0 + 1240, 0.5)
    assert model.done_gpu_seconds == pytest.approx(4000.0)
    model.advance(T0 + 5000, 0.0)
    assert model.done_gpu_seconds == pytest.approx(4000.0)


def test_a_hard_kill_loses_the_work_since_the_last_timed_checkpoint() -> None:
    model = job()
    model.advance(T0 + 240 + 2000, 1.0)
    assert model.done_gpu_seconds == pytest.approx(8 * 2000.0)
    assert model.checkpoint_gpu_seconds == pytest.approx(8 * 1800.0)
    assert model.checkpoint_at == T0 + 240 + 1800
    again = job(model.checkpoint_gpu_seconds, T0 + 9000)
    assert again.done_gpu_seconds == pytest.approx(8 * 1800.0)


def test_a_checkpoint_on_stop_loses_nothing() -> None:
    model = job()
    model.advance(T0 + 240 + 2000, 1.0)
    model.checkpoint()
    again = job(model.checkpoint_gpu_seconds, T0 + 9000)
    again.advance(T0 + 9000 + 240 + 5200, 1.0)
    assert again.finished_at == pytest.approx(T0 + 9000 + 240 + 5200)


def test_a_job_whose_checkpoint_holds_all_its_work_has_finished() -> None:
    assert job(8 * 7200.0).finished_at == T0


def test_the_size_of_the_steps_changes_nothing() -> None:
    fine, coarse = job(), job()
    for number in range(1, 5001):
        fine.advance(T0 + number, 0.7)
    coarse.advance(T0 + 5000, 0.7)
    assert fine.done_gpu_seconds == pytest.approx(coarse.done_gpu_seconds)
    assert fine.checkpoint_gpu_seconds == pytest.approx(coarse.checkpoint_gpu_seconds)
    assert fine.checkpoint_at == coarse.checkpoint_at
