"""From counters to ledger lines: every joule and hash once, at the price of its time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.accounting.ledger import Account, MeterMark, Posting, totals
from orchestrator.accounting.metering import intervals, meter
from orchestrator.domain.market import Market, Price, PriceBook, PricePolicy
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet, Mode
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site
from orchestrator.domain.units import HASHES_PER_PH_DAY, JOULES_PER_KWH

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2023, 9, 6, 19, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE
MACHINES = 100_000
"""A rack, and GPUs of a node: so many that no figure below is more than they can do in its time."""
SITE = Site(
    name="small",
    timezone="UTC",
    grid=Grid(1000.0, 0.01),
    feeders=(Feeder("a", 1000.0),),
    cooling=Cooling(((20.0, 1.1),)),
    fleets=(
        Fleet(
            "s21",
            "Antminer S21",
            "a",
            2,
            MACHINES,
            (Mode("normal", 3500.0, 200.0),),
            "normal",
            15.0,
            MINUTE,
            MINUTE,
            MINUTE,
        ),
    ),
    pools=(GpuPool("h100", "H100", "a", 1, MACHINES, 700.0, 200.0, 70.0, 1800.0),),
    tenants=(),
    stale=StalePolicies(PricePolicy(QUARTER, 100.0), MINUTE, MINUTE, 35.0, MINUTE, 60.0),
    controls=Controls(MINUTE / 4, 2 * MINUTE, 5 * MINUTE, 30 * MINUTE),
)
RACK, OTHER, NODE = "s21/rack-0", "s21/rack-1", "h100-node-0"
Readings = Mapping[tuple[Metric, str], tuple[float, datetime]]
Marks = dict[tuple[Metric, str], MeterMark]


def book(*usd_per_mwh: float) -> PriceBook:
    """A price a quarter from NOW on."""
    return PriceBook.of(
        Price(NOW + number * QUARTER, NOW + (number + 1) * QUARTER, usd, Market.REAL_TIME)
        for number, usd in enumerate(usd_per_mwh)
    )


def read(readings: Readings) -> Telemetry:
    return Telemetry(
        NOW,
        [
            Sample(metric, subject, Reading(value, metric.unit, at, Quality.FRESH))
            for (metric, subject), (value, at) in readings.items()
        ],
    )


def posted(readings: Sequence[Readings], prices: PriceBook) -> tuple[list[Posting], Marks]:
    """All postings of several readings in turn, marks kept in between."""
    marks: Marks = {}
    postings: list[Posting] = []
    for reading in readings:
        lines, new, *_ = meter(SITE, read(reading), marks, prices, pue=1.1, hashprice_usd_per_ph_day=60.0)
        postings.extend(lines)
        marks.update({(mark.metric, mark.subject): mark for mark in new})
    return postings, marks


def rack(kwh: float, at: datetime, subject: str = RACK) -> Readings:
    return {(Metric.ASIC_ENERGY, subject): (kwh * JOULES_PER_KWH, at)}


def test_a_counter_seen_for_the_first_time_only_sets_its_mark() -> None:
    postings, marks = posted([rack(500.0, NOW)], book(50.0))
    assert postings == []
    assert marks == {
        (Metric.ASIC_ENERGY, RACK): MeterMark(Metric.ASIC_ENERGY, RACK, 500.0 * JOULES_PER_KWH, NOW),
    }


def test_an_advance_is_posted_with_its_cost_and_its_share_of_cooling() -> None:
    postings, _ = posted([rack(500.0, NOW), rack(510.0, NOW + 5 * MINUTE)], book(50.0))
    mining, overhead = postings
    assert (mining.account, mining.subject, mining.start) == (Account.MINING, "s21", NOW)
    assert (mining.price_usd_per_mwh, mining.price_basis) == (50.0, "real_time")
    assert mining.energy_kwh == pytest.approx(10.0)
    assert mining.cost_usd == pytest.approx(0.5)
    assert (overhead.account, overhead.subject) == (Account.OVERHEAD, "site")
    assert (overhead.energy_kwh, overhead.cost_usd) == pytest.approx((1.0, 0.05))


def test_racks_of_a_fleet_are_one_line_and_nodes_are_their_pool_s() -> None:
    before = {**rack(0.0, NOW), **rack(0.0, NOW, OTHER), (Metric.NODE_ENERGY, NODE): (0.0, NOW)}
    at = NOW + MINUTE
    after = {
        **rack(1.0, at),
        **rack(2.0, at, OTHER),
        (Metric.NODE_ENERGY, NODE): (4.0 * JOULES_PER_KWH, at),
    }
    postings, _ = posted([before, after], book(50.0))
    assert [(line.account, line.subject, round(line.energy_kwh, 9)) for line in postings] == [
        (Account.MINING, "s21", 3.0),
        (Account.HPC, "h100", 4.0),
        (Account.OVERHEAD, "site", 0.7),
    ]


def test_hash_earns_the_hashprice_and_costs_nothing_itself() -> None:
    key = (Metric.ASIC_HASHES, RACK)
    postings, _ = posted([{key: (0.0, NOW)}, {key: (2.0 * HASHES_PER_PH_DAY, NOW + MINUTE)}], book(50.0))
    [mining] = [line for line in postings if line.account is Account.MINING]
    assert mining.quantity == pytest.approx(2.0)
    assert mining.revenue_usd == pytest.approx(120.0)
    assert totals(postings).energy_cost_usd == 0


def test_a_late_reading_is_shared_out_over_the_prices_of_its_time() -> None:
    """From 5 past to 35 past: 10, 15 and 5 minutes."""
    postings, _ = posted([rack(0.0, NOW + 5 * MINUTE), rack(30.0, NOW + 35 * MINUTE)], book(50.0, 3000.0, -10.0))
    mining = [line for line in postings if line.account is Account.MINING]
    assert [(line.start, line.price_usd_per_mwh, round(line.energy_kwh, 9)) for line in mining] == [
        (NOW, 50.0, 10.0),
        (NOW + QUARTER, 3000.0, 15.0),
        (NOW + 2 * QUARTER, -10.0, 5.0),
    ]
    assert [line.cost_usd for line in mining] == pytest.approx([0.5, 45.0, -0.05])


def test_the_same_reading_again_or_an_older_one_posts_nothing() -> None:
    readings = [rack(0.0, NOW), rack(10.0, NOW + MINUTE)]
    once, marks = posted(readings, book(50.0))
    again, marks_again = posted([*readings, readings[1], rack(10.0, NOW), rack(9.0, NOW - MINUTE)], book(50.0))
    assert again == once
    assert marks_again == marks


def test_a_reading_that_is_newer_but_no_higher_moves_the_mark_and_posts_nothing() -> None:
    postings, marks = posted([rack(10.0, NOW), rack(10.0, NOW + MINUTE)], book(50.0))
    assert postings == []
    assert marks[Metric.ASIC_ENERGY, RACK].at == NOW + MINUTE


def test_a_counter_that_went_back_was_reset_and_counts_from_zero() -> None:
    postings, marks = posted([rack(500.0, NOW), rack(3.0, NOW + MINUTE)], book(50.0))
    assert totals(postings).energy_kwh[Account.MINING] == pytest.approx(3.0)
    assert marks[Metric.ASIC_ENERGY, RACK].value == 3.0 * JOULES_PER_KWH


def test_time_without_a_published_price_is_posted_at_what_the_stale_policy_says() -> None:
    """One real-time price, held for a quarter of an hour, a day-ahead hour, then the fallback of 100."""
    prices = PriceBook.of(
        [
            Price(NOW, NOW + QUARTER, 50.0, Market.REAL_TIME),
            Price(NOW, NOW + 4 * QUARTER, 70.0, Market.DAY_AHEAD),
        ]
    )
    postings, _ = posted([rack(0.0, NOW), rack(75.0, NOW + 5 * QUARTER)], prices)
    mining = [line for line in postings if line.account is Account.MINING]
    assert [(line.price_basis, line.price_usd_per_mwh, round(line.energy_kwh, 6)) for line in mining] == [
        ("real_time", 50.0, 15.0),
        ("real_time_held", 50.0, 15.0),
        ("day_ahead", 70.0, 30.0),
        ("fallback", 100.0, 15.0),
    ]


def test_a_price_that_came_late_is_the_one_that_is_posted() -> None:
    """Between two of real time a hole: what was decided on a held or day-ahead price is settled on what is known."""
    prices = PriceBook.of(
        [
            Price(NOW, NOW + QUARTER, 50.0, Market.REAL_TIME),
            Price(NOW + 3 * QUARTER, NOW + 4 * QUARTER, 90.0, Market.REAL_TIME),
            Price(NOW, NOW + 8 * QUARTER, 70.0, Market.DAY_AHEAD),
        ]
    )
    pieces = list(intervals(prices, NOW, NOW + 4 * QUARTER, SITE.stale.price))
    assert [(price.basis, price.usd_per_mwh, share) for price, share in pieces] == [
        ("real_time", 50.0, 0.25),
        ("real_time_held", 50.0, 0.25),
        ("day_ahead", 70.0, 0.25),
        ("real_time", 90.0, 0.25),
    ]


prices_known = st.lists(
    st.tuples(st.integers(0, 11), st.floats(-100, 5000), st.sampled_from(Market)),
    unique_by=lambda price: (price[0], price[2]),
).map(
    lambda known: PriceBook.of(
        Price(NOW + number * QUARTER, NOW + (number + 1) * QUARTER, usd, market) for number, usd, market in known
    )
)


@ANY_SPEED
@given(prices_known, st.integers(-60, 200), st.integers(1, 300))
def test_intervals_cover_the_time_without_gap_or_overlap(prices: PriceBook, from_min: int, for_min: int) -> None:
    start, end = NOW + from_min * MINUTE, NOW + (from_min + for_min) * MINUTE
    pieces = list(intervals(prices, start, end, SITE.stale.price))
    assert sum(share for _, share in pieces) == pytest.approx(1.0)
    assert all(share > 0 for _, share in pieces)
    at = start
    for price, share in pieces:
        assert price.interval_start <= at < price.interval_end
        at += (end - start) * share
    assert abs(at - end) < timedelta(seconds=1)


@ANY_SPEED
@given(
    prices_known,
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1000)), min_size=1, max_size=15),
)
def test_however_often_a_counter_is_read_its_advance_is_posted_once_and_cost_is_energy_by_price(
    prices: PriceBook, steps: list[tuple[int, float]]
) -> None:
    at, kwh = NOW, 0.0
    readings = [rack(kwh, at)]
    for wait_min, more_kwh in steps:
        at, kwh = at + wait_min * MINUTE, kwh + more_kwh
        readings.append(rack(kwh, at))
    postings, _ = posted(readings, prices)
    sums = totals(postings)
    assert sums.energy_kwh[Account.MINING] == pytest.approx(kwh)
    assert sums.energy_kwh[Account.OVERHEAD] == pytest.approx(0.1 * kwh)
    assert sum(line.cost_usd for line in postings) == pytest.approx(
        sum(line.energy_kwh * line.price_usd_per_mwh / 1000.0 for line in postings)
    )
