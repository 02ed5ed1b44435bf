"""What a block of power makes of the prices that a plan looks at."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.power_cost import marginal_over
from orchestrator.domain.charge import Charge
from orchestrator.optimizer.energy_price import marginal_paths
from orchestrator.optimizer.kernels.arrays import Supply
from tests.accounting.test_block import PPAS
from tests.adder import Adder
from tests.scenes import NOW

MARKET = np.array([50.0, 20.0, -10.0])
STARTS = [NOW + number * timedelta(minutes=15) for number in range(3)]
PATHS = np.array([[900.0, 20.0, 30.0], [10.0, -5.0, -40.0]])


def supply(ppa: Ppa) -> Supply:
    nothing, none = np.zeros(3), np.zeros(0, dtype=np.int64)
    left, beyond = marginal_over([ppa], STARTS, MARKET)
    empty = np.zeros((0, 3))
    return Supply(
        0.25,
        beyond,
        left,
        np.full(3, ppa.block_kw),
        np.ones(3),
        nothing,
        empty,
        empty,
        none,
        np.zeros(0),
        nothing,
    )


@given(PPAS, st.lists(st.floats(-500, 5000), min_size=1, max_size=20))
def test_many_prices_at_once_are_as_one_by_one(ppa: Ppa, prices: list[float]) -> None:
    left, beyond = marginal_over([ppa], [NOW] * len(prices), np.array(prices))
    assert left.tolist() == [ppa.unused_usd_per_mwh(price) for price in prices]
    assert beyond.tolist() == prices


@pytest.mark.parametrize(
    ("spread", "energy", "expected"),
    [
        pytest.param(3.0, MARKET, PATHS, id="the block is used up: the market's paths"),
        pytest.param(3.0, MARKET - 3.0, PATHS - 3.0, id="some of it is left: what unused power brings on them"),
        pytest.param(3.0, MARKET - 1.0, PATHS - 1.0, id="just used up: between the two, as far as expected"),
        pytest.param(0.0, MARKET, PATHS, id="sold at the market price: the market's paths"),
        pytest.param(None, np.array([0.0, 0.0, -10.0]), [[0.0, 0.0, 30.0], [0.0, -5.0, -40.0]], id="some of it lost"),
        pytest.param(
            None, np.array([25.0, 20.0, -10.0]), [[450.0, 20.0, 30.0], [5.0, -5.0, -40.0]], id="half of it lost"
        ),
    ],
)
def test_on_each_path_the_block_covers_as_much_as_on_the_expected_one(
    spread: float | None, energy: np.ndarray, expected: np.ndarray
) -> None:
    ppa = Ppa(1000.0, 38.0, spread)
    assert marginal_paths([ppa], STARTS, supply(ppa), energy, PATHS) == pytest.approx(np.array(expected))


def test_what_is_on_top_in_a_step_is_on_top_of_it_on_each_path() -> None:
    """Steps are quarters from 19:00 on; 7 USD/MWh from 20:00 on."""
    adder, ppa = Adder(7.0, 20, 21, "UTC"), Ppa(1000.0, 38.0, 3.0)
    starts = [NOW + number * timedelta(minutes=30) for number in range(3)]
    more = np.array([0.0, 0.0, 7.0])
    cases: tuple[tuple[list[Charge], np.ndarray, np.ndarray], ...] = (
        ([adder], MARKET + more, PATHS + more),
        ([ppa, adder], MARKET + more, PATHS + more),
        ([ppa, adder], MARKET - 3.0 + more, PATHS - 3.0 + more),
    )
    for charges, energy, expected in cases:
        left, beyond = marginal_over(charges, starts, MARKET)
        along = supply(ppa)._replace(price_usd_per_mwh=beyond, sell_usd_per_mwh=left)
        assert marginal_paths(charges, starts, along, energy, PATHS) == pytest.approx(expected)


def test_without_a_block_paths_are_the_markets() -> None:
    ppa = Ppa(1000.0, 38.0, 3.0)
    assert marginal_paths([], [], supply(ppa), MARKET, PATHS) is PATHS
