"""A sum that not all answer to is never less than what is drawn."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.adapters.telemetry.parts import BLANK_W, Part, combined
from orchestrator.domain.observation import Metric
from orchestrator.domain.series.series import Combine, Label, Series, Whole

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MOST_W = 3500.0


def summed(metric: Metric, whole: Whole, factor: float = 1.0) -> Series:
    rack = (Label("rack"),)
    return Series(metric, "watts", rack, ("machine",), Combine.SUM, factor=factor, wholes={"r": whole})


@given(st.lists(st.tuples(st.floats(0.0, MOST_W), st.booleans()), min_size=1, max_size=60), st.floats(0.0, 5000.0))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_sum_is_never_less_than_the_truth_nor_more_than_silence_allows(
    machines: list[tuple[float, bool]], beside: float
) -> None:
    """`machines` are what each draws and whether it answers."""
    parts = [Part(watts, NOW) for watts, answers in machines if answers]
    series = summed(Metric.ASIC_POWER, Whole(len(machines), MOST_W, beside))
    if not parts:
        with pytest.raises(ValueError, match="0 of"):
            combined(series, "r", parts)
        return
    true_w, silent = sum(watts for watts, _ in machines) + beside, len(machines) - len(parts)
    found = combined(series, "r", parts)
    assert not found.suspect
    assert true_w - 1e-6 <= found.value <= true_w + silent * MOST_W + 1e-6
    assert bool(found.note) == bool(silent)
    if silent:
        assert f"{len(parts)} of {len(machines)} answer" in found.note


@pytest.mark.parametrize("blank", [float("nan"), -1.0, BLANK_W, 140737488355328.0, 9223372036854775794.0])
def test_what_is_no_power_is_no_answer(blank: float) -> None:
    found = combined(summed(Metric.ASIC_POWER, Whole(2, MOST_W)), "r", [Part(100.0, NOW), Part(blank, NOW)])
    assert found.value == 100.0 + MOST_W
    assert "1 of 2 answer" in found.note


def test_a_counter_of_which_a_part_is_missing_is_no_counter() -> None:
    """It would fall by all that the part ever drew."""
    with pytest.raises(ValueError, match=r"1 of 2 answer, which makes no asic_energy_joules_total"):
        combined(summed(Metric.ASIC_ENERGY, Whole(2)), "r", [Part(5e9, NOW)])


def test_a_silent_machine_is_not_known_to_hash() -> None:
    found = combined(summed(Metric.ASIC_HASHRATE, Whole(2, 0.0), factor=1e12), "r", [Part(200.0, NOW)])
    assert (found.value, found.suspect) == (200e12, "")
    assert found.note == "watts of r: 1 of 2 answer"


def test_more_parts_than_there_are_is_suspect() -> None:
    found = combined(summed(Metric.ASIC_POWER, Whole(2, MOST_W)), "r", [Part(100.0, NOW)] * 3)
    assert found.suspect == "3 series of watts, 2 are expected"


def test_a_sum_is_as_old_as_its_oldest_part_and_the_last_one_as_the_last() -> None:
    parts = [Part(1.0, NOW), Part(2.0, NOW - timedelta(seconds=40))]
    assert combined(summed(Metric.ASIC_POWER, Whole()), "r", parts).at == parts[1].at
    last = Series(Metric.ASIC_POWER, "watts", (Label("rack"),), combine=Combine.LAST)
    assert (combined(last, "r", parts).value, combined(last, "r", parts).at) == (1.0, NOW)
