"""What targets are called in records, API and logs."""

import pytest

from orchestrator.domain.target import GRID_CONNECTION, Target


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target.fleet("s21"), "fleet/s21"),
        (Target.job("train-1"), "job/train-1"),
        (Target.pool("h100"), "pool/h100"),
        (Target.feeder("north"), "feeder north"),
        (GRID_CONNECTION, "grid connection"),
    ],
)
def test_a_target_is_called_by_its_kind_and_name(target: Target, text: str) -> None:
    assert (str(target), f"{target}") == (text, text)


def test_what_has_the_same_name_and_another_kind_is_another_target() -> None:
    assert len({Target.fleet("a"), Target.job("a"), Target.pool("a"), Target.feeder("a"), Target.fleet("a")}) == 4
