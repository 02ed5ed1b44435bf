"""What a counter says and its device cannot have done is parked by meter, and is neither energy nor money."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.counters import advance_of
from orchestrator.accounting.ledger import Account, MeterMark, Posting, totals
from orchestrator.accounting.metering import meter
from orchestrator.domain.observation import POSSIBLE_SHARE, Metric
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_PH_DAY, JOULES_PER_KWH
from tests.accounting.test_metering import MINUTE, NODE, NOW, RACK, Readings, book, read
from tests.accounting.test_metering import SITE as GIANT

SITE: Site = replace(
    GIANT,
    fleets=tuple(replace(fleet, machines_per_rack=50) for fleet in GIANT.fleets),
    pools=tuple(replace(pool, gpus_per_node=8) for pool in GIANT.pools),
)
"""A rack of 175 kW and 10 PH/s, a node of 7.4 kW."""
RACK_KW = 175.0


def posted(*readings: Readings) -> list[Posting]:
    marks: dict[tuple[Metric, str], MeterMark] = {}
    postings: list[Posting] = []
    for reading in readings:
        lines, new, *_ = meter(SITE, read(reading), marks, book(50.0), pue=1.1, hashprice_usd_per_ph_day=60.0)
        postings.extend(lines)
        marks.update({(mark.metric, mark.subject): mark for mark in new})
    return postings


def energy(subject: str, kwh: float, at: datetime) -> Readings:
    metric = Metric.ASIC_ENERGY if subject == RACK else Metric.NODE_ENERGY
    return {(metric, subject): (kwh * JOULES_PER_KWH, at)}


@pytest.mark.parametrize(
    ("subject", "before_kwh", "after_kwh", "parked_mwh"),
    [
        pytest.param(RACK, 1000.0, 1000.0 + 5e12 / JOULES_PER_KWH, 1388.888889, id="a jump of 5e12 J"),
        pytest.param(RACK, 26_400_000.0, 0.95 * 26_400_000.0, -1320.0, id="a fall by 5 %"),
        pytest.param(NODE, 0.0, 1e6, 1000.0, id="a node of a gigawatt"),
    ],
)
def test_a_jump_is_parked_by_its_meter_and_nothing_of_it_is_booked(
    subject: str, before_kwh: float, after_kwh: float, parked_mwh: float
) -> None:
    postings = posted(energy(subject, before_kwh, NOW), energy(subject, after_kwh, NOW + MINUTE / 2))
    (line,) = postings
    metric = Metric.ASIC_ENERGY if subject == RACK else Metric.NODE_ENERGY
    assert (line.account, line.subject) == (Account.UNACCOUNTED, f"{metric.value} {subject}")
    assert line.quantity == pytest.approx(parked_mwh)
    assert (line.start, line.price_usd_per_mwh) == (NOW, 50.0)
    assert (line.energy_kwh, line.cost_usd, line.revenue_usd, line.credit_usd) == (0.0, 0.0, 0.0, 0.0)
    sums = totals(postings)
    assert sums.profit_usd == 0
    assert sums.charges_usd == {}
    assert sum(sums.energy_kwh.values()) == 0.0


def test_hash_that_nobody_can_have_done_earns_nothing() -> None:
    hashes = {(Metric.ASIC_HASHES, RACK): (0.0, NOW)}
    (line,) = posted(hashes, {(Metric.ASIC_HASHES, RACK): (HASHES_PER_PH_DAY * 5.0, NOW + MINUTE)})
    assert (line.account, line.subject, line.revenue_usd) == (Account.UNACCOUNTED, f"asic_hashes_total {RACK}", 0.0)
    assert line.quantity == pytest.approx(5.0)


def test_after_a_jump_the_meter_is_followed_from_where_it_is() -> None:
    jumped = 1_000_000.0
    postings = posted(
        energy(RACK, 0.0, NOW),
        energy(RACK, jumped, NOW + MINUTE),
        energy(RACK, jumped + 2.0, NOW + 2 * MINUTE),
    )
    assert totals(postings).energy_kwh[Account.MINING] == pytest.approx(2.0)


def test_one_wrong_reading_among_right_ones_parks_what_was_done_meanwhile() -> None:
    postings = posted(
        energy(RACK, 500.0, NOW),
        energy(RACK, 9e9, NOW + MINUTE),
        energy(RACK, 504.0, NOW + 2 * MINUTE),
        energy(RACK, 506.0, NOW + 3 * MINUTE),
    )
    assert totals(postings).energy_kwh[Account.MINING] == pytest.approx(2.0)
    assert sum(line.quantity for line in postings if line.account == Account.UNACCOUNTED) == pytest.approx(0.004)


def test_a_device_that_was_away_for_hours_may_have_done_hours_of_work() -> None:
    away = timedelta(hours=6)
    postings = posted(energy(RACK, 0.0, NOW), energy(RACK, RACK_KW * 6.0, NOW + away))
    assert totals(postings).energy_kwh[Account.MINING] == pytest.approx(RACK_KW * 6.0)


@given(before=st.floats(0.0, 1e15), done=st.floats(0.0, 1.0), nameplate=st.floats(1.0, 1e12))
def test_what_a_device_can_have_done_is_booked_over_a_reset_too(before: float, done: float, nameplate: float) -> None:
    rise = done * nameplate
    assert advance_of(0.0, rise, nameplate) == (rise, 0.0)
    booked, parked = advance_of(before, rise, nameplate)
    if rise < before:
        assert (booked, parked) == (rise, 0.0)


@given(before=st.floats(0.0, 1e15), value=st.floats(0.0, 1e18), nameplate=st.floats(0.0, 1e12))
def test_never_more_is_booked_than_nameplate_allows_and_the_rest_is_parked(
    before: float, value: float, nameplate: float
) -> None:
    booked, parked = advance_of(before, value, nameplate)
    assert 0.0 <= booked <= nameplate * POSSIBLE_SHARE
    assert booked == 0.0 or parked == 0.0
    if not booked:
        assert parked in (value - before, 0.0)
