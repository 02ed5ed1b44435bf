"""The page on flapping: its table names what there is, its figures are read, its rules hold to the second."""

import re
from datetime import timedelta
from importlib import import_module
from math import inf
from pathlib import Path

import numpy as np
import pytest

from orchestrator.dispatch import anti_cycling
from orchestrator.dispatch.anti_cycling import (
    Budget,
    expected_away_s,
    may_grow,
    must_stay_asleep,
    must_stay_awake,
    stopped_lately,
    wait_after,
)

PAGE = anti_cycling.__doc__ or ""
NAMED = re.findall(r"`([\w.]+)`", PAGE)


def own_names() -> list[str]:
    """What the page itself defines for others."""
    return [
        name
        for name, item in vars(anti_cycling).items()
        if not name.startswith("_")
        and (
            getattr(item, "__module__", None) == anti_cycling.__name__
            or (name.isupper() and f"\n{name} =" in Path(anti_cycling.__file__).read_text())
        )
    ]


@pytest.mark.parametrize("name", [name for name in NAMED if "." in name])
def test_what_the_page_names_elsewhere_is_there(name: str) -> None:
    module, _, figure = name.rpartition(".")
    if figure.isupper():
        assert hasattr(import_module(f"orchestrator.{module}"), figure)
    else:
        import_module(f"orchestrator.{name}")


def test_the_page_tells_of_all_that_it_defines() -> None:
    assert {"Budget", "STEP_HYSTERESIS", "wait_after"} <= set(own_names())
    assert set(own_names()) - {"SAME_TIME_S"} <= set(NAMED)


def test_minimum_times_hold_to_the_second() -> None:
    assert must_stay_awake(1000.0 + 899.0, 1000.0, 900.0)
    assert not must_stay_awake(1000.0 + 900.0, 1000.0, 900.0)
    assert must_stay_asleep(1000.0 + 899.0, 1000.0, 900.0)
    assert not must_stay_asleep(1000.0 + 900.0, 1000.0, 900.0)


@pytest.mark.parametrize(
    ("awake_s", "min_off_s", "away_s"),
    [
        pytest.param(86400.0, 900.0, 3600.0, id="long awake: as long as the price lasts"),
        pytest.param(4000.0, 900.0, 2000.0, id="woken an hour ago: half of that"),
        pytest.param(1000.0, 900.0, 900.0, id="woken lately: its minimum off time"),
        pytest.param(10.0, 60.0, 300.0, id="no minimum to speak of: the shortest that prices last"),
    ],
)
def test_a_rack_woken_lately_is_not_expected_to_sleep_for_long(awake_s: float, min_off_s: float, away_s: float) -> None:
    assert expected_away_s(awake_s, 0.0, min_off_s, 3600.0) == away_s


def test_a_job_grows_and_is_stopped_again_only_after_a_while() -> None:
    assert not may_grow(599.0, 0.0)
    assert may_grow(600.0, 0.0)
    assert stopped_lately(3599.0, 0.0)
    assert not stopped_lately(3600.0, 0.0)
    assert not stopped_lately(0.0, -inf)


def test_a_move_without_effect_is_sent_again_later_each_time() -> None:
    waits = [wait_after(tries, timedelta(minutes=1)) / timedelta(minutes=1) for tries in (1, 2, 3, 4, 5, 6, 60)]
    assert waits == [2, 4, 8, 16, 32, 32, 32]


def test_a_budget_counts_what_was_interrupted_within_an_hour() -> None:
    budget = Budget(np.array([1, 3]))
    budget.spend(0.0, np.array([1, 1, 0]))
    budget.spend(1800.0, np.array([0]))
    budget.spend(1800.0, np.array([], dtype=np.int64))
    assert budget.left(1800.0).tolist() == [-1, 1]
    assert budget.left(3599.0).tolist() == [-1, 1]
    assert budget.left(3600.0).tolist() == [0, 3]
    assert budget.left(5400.0).tolist() == [1, 3]
