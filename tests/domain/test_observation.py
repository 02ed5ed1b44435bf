"""Readings: what is missing is never a number, and what is old shows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry, missing

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
MAX_AGE = timedelta(seconds=60)
MICROSECOND = timedelta(microseconds=1)


def reading(age: timedelta = timedelta(0), quality: Quality = Quality.FRESH) -> Reading:
    return Reading(3500.0, "W", NOW - age, quality)


@pytest.mark.parametrize(
    ("value", "at", "quality"),
    [
        (None, NOW, Quality.FRESH),
        (3500.0, None, Quality.STALE),
        (0.0, NOW, Quality.MISSING),
        (None, NOW, Quality.MISSING),
        (0.0, None, Quality.MISSING),
        (None, None, Quality.ASSUMED),
    ],
)
def test_a_reading_has_a_value_and_a_time_or_is_missing(
    value: float | None, at: datetime | None, quality: Quality
) -> None:
    with pytest.raises(ValueError, match="missing exactly when"):
        Reading(value, "W", at, quality)


def test_a_measured_zero_is_a_reading() -> None:
    assert Reading(0.0, "W", NOW, Quality.FRESH).fresh


@pytest.mark.parametrize(
    ("age", "quality"),
    [
        (timedelta(0), Quality.FRESH),
        (MAX_AGE, Quality.FRESH),
        (MAX_AGE + MICROSECOND, Quality.STALE),
        (timedelta(days=400), Quality.STALE),
        # A device whose clock runs ahead: a little is in order, more than that can't be told from a hung one.
        (-MAX_AGE, Quality.FRESH),
        (-MAX_AGE - MICROSECOND, Quality.STALE),
    ],
)
def test_age_makes_a_reading_stale(age: timedelta, quality: Quality) -> None:
    graded = reading(age).graded(NOW, MAX_AGE)
    assert graded == Reading(3500.0, "W", NOW - age, quality)
    assert graded.fresh == (quality is Quality.FRESH)


def test_a_stale_reading_is_fresh_again_when_judged_by_a_longer_age() -> None:
    assert reading(2 * MAX_AGE, Quality.STALE).graded(NOW, 3 * MAX_AGE).fresh


@pytest.mark.parametrize("unmeasured", [missing("W"), reading(quality=Quality.ASSUMED)])
def test_what_was_not_measured_never_becomes_fresh(unmeasured: Reading) -> None:
    assert unmeasured.graded(NOW, MAX_AGE) == unmeasured


def test_a_series_never_seen_is_missing_in_its_own_unit() -> None:
    assert Telemetry(NOW).get(Metric.JOB_PROGRESS, "train") == missing("GPU s")


@pytest.mark.parametrize("metric", Metric)
def test_every_metric_has_a_unit_that_fits_its_name(metric: Metric) -> None:
    endings = {
        "watts": "W",
        "USAGE": "W",
        "joules_total": "J",
        "celsius": "degC",
        "per_second": "H/s",
        "gpu_seconds": "GPU s",
    }
    expected = {unit for ending, unit in endings.items() if metric.value.endswith(ending)} or {"H"}
    assert {metric.unit} == expected


def test_the_later_of_two_samples_of_a_series_holds() -> None:
    older = Sample(Metric.ASIC_POWER, "s21/rack-0", reading(MAX_AGE))
    newer = Sample(Metric.ASIC_POWER, "s21/rack-0", reading())
    telemetry = Telemetry(NOW, [older, newer])
    assert telemetry.get(Metric.ASIC_POWER, "s21/rack-0") == newer.reading
    assert len(telemetry) == 1


def test_subjects_are_those_of_the_metric_sorted() -> None:
    telemetry = Telemetry(
        NOW,
        [
            Sample(Metric.ASIC_POWER, "s21/rack-1", reading()),
            Sample(Metric.ASIC_POWER, "s21/rack-0", reading()),
            Sample(Metric.NODE_POWER, "h100-node-0", reading()),
        ],
    )
    assert telemetry.subjects(Metric.ASIC_POWER) == ("s21/rack-0", "s21/rack-1")
    assert telemetry.subjects(Metric.GPU_POWER) == ()


samples = st.lists(
    st.builds(
        Sample,
        st.sampled_from(Metric),
        st.sampled_from(["a", "b", "c"]),
        st.just(missing("W")) | st.timedeltas(timedelta(0), 3 * MAX_AGE).map(reading),
    ),
    max_size=12,
)


@given(samples)
@ANY_SPEED
def test_grading_changes_quality_and_nothing_else(given_samples: list[Sample]) -> None:
    telemetry = Telemetry(NOW - MAX_AGE, given_samples)
    graded = telemetry.graded(NOW, MAX_AGE)
    assert graded.at == NOW
    assert len(graded) == len(telemetry)
    for before, after in zip(telemetry, graded, strict=True):
        assert (after.metric, after.subject) == (before.metric, before.subject)
        assert (after.reading.value, after.reading.at) == (before.reading.value, before.reading.at)
        assert after.reading == before.reading.graded(NOW, MAX_AGE)
