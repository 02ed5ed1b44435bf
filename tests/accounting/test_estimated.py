"""A device without a counter, or whose counter says nothing new: its power is integrated, marked, and booked once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.integrals import Integrals, carried_on
from orchestrator.accounting.ledger import Account, MeterMark, Posting, totals
from orchestrator.accounting.metering import meter
from orchestrator.domain.observation import POSSIBLE_SHARE, Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.units import HASHES_PER_PH_DAY, JOULES_PER_KWH
from tests.accounting.test_metering import NODE, NOW, RACK, book
from tests.accounting.test_unaccounted import RACK_KW, SITE

TICK = timedelta(seconds=15)
SETTLE_TICKS = 20
RACK_HS = 1e16
START_J = 7e11
"""What the counter read long before."""


@dataclass
class Meters:
    """A rack that draws what it is told, with its meters, and the books kept of it."""

    now: datetime = NOW
    counter_j: float = START_J
    hashes: float = 0.0
    true_j: float = 0.0
    shown: dict[tuple[Metric, str], Reading] = field(default_factory=dict)
    marks: dict[tuple[Metric, str], MeterMark] = field(default_factory=dict)
    integrals: Integrals = field(default_factory=dict)
    postings: list[Posting] = field(default_factory=list)
    _ticks: int = 0

    def run(
        self, ticks: int, kw: float, *, counter: bool = True, power: bool = True, shown_kw: float | None = None
    ) -> None:
        """`ticks` at `kw`; the power meter says `shown_kw` if given. A meter that is off keeps its last reading."""
        for _ in range(ticks):
            self.now += TICK
            joules = kw * 1000.0 * TICK.total_seconds()
            self.counter_j, self.true_j = self.counter_j + joules, self.true_j + joules
            self.hashes += kw / RACK_KW * RACK_HS * TICK.total_seconds()
            if power:
                self._show(Metric.ASIC_POWER, (kw if shown_kw is None else shown_kw) * 1000.0)
                self._show(Metric.ASIC_HASHRATE, kw / RACK_KW * RACK_HS)
            if counter:
                self._show(Metric.ASIC_ENERGY, self.counter_j)
                self._show(Metric.ASIC_HASHES, self.hashes)
            self._ticks += 1
            self.look(settle=self._ticks % SETTLE_TICKS == 0)

    def _show(self, metric: Metric, value: float) -> None:
        self.shown[metric, RACK] = Reading(value, metric.unit, self.now, Quality.FRESH)

    def look(self, *, settle: bool) -> None:
        telemetry = Telemetry(self.now, [Sample(metric, of, reading) for (metric, of), reading in self.shown.items()])
        self.integrals = carried_on(SITE, self.integrals, telemetry)
        if settle:
            metered = meter(
                SITE,
                telemetry,
                self.marks,
                book(50.0),
                pue=1.0,
                hashprice_usd_per_ph_day=60.0,
                integrals=self.integrals,
            )
            self.postings += metered.postings
            self.integrals = metered.integrals
            self.marks |= {(mark.metric, mark.subject): mark for mark in metered.marks}

    def restart(self) -> None:
        """All that is not on record is lost."""
        self.integrals = {}

    @property
    def booked_kwh(self) -> float:
        return totals(self.postings).energy_kwh[Account.MINING]

    @property
    def estimated_kwh(self) -> float:
        return sum(line.estimated_kwh for line in self.postings)

    @property
    def true_kwh(self) -> float:
        return self.true_j / JOULES_PER_KWH

    @property
    def parked_kwh(self) -> float:
        of_energy = f"{Metric.ASIC_ENERGY} {RACK}"
        return 1000.0 * sum(line.quantity for line in self.postings if line.subject == of_energy)


POWERS = st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, RACK_KW)), min_size=1, max_size=6)


@given(POWERS)
def test_without_a_counter_energy_and_hash_are_integrated_and_marked(path: Sequence[tuple[int, float]]) -> None:
    meters = Meters()
    meters.run(1, path[0][1], counter=False)
    meters.true_j = meters.hashes = 0.0  # from the first reading on
    for ticks, kw in path:
        meters.run(ticks, kw, counter=False)
    meters.run(2 * SETTLE_TICKS - meters._ticks % SETTLE_TICKS, path[-1][1], counter=False)
    steps_kwh = len(path) * RACK_KW * TICK.total_seconds() / 3600.0 / 2.0  # half a step at each change
    assert meters.booked_kwh == pytest.approx(meters.true_kwh, abs=steps_kwh + 1e-9)
    assert meters.estimated_kwh == pytest.approx(meters.booked_kwh)
    sums = totals(meters.postings)
    revenue = meters.hashes / HASHES_PER_PH_DAY * 60.0
    assert float(sums.revenue_usd[Account.MINING]) == pytest.approx(revenue, abs=revenue * 0.5 + 0.01)
    assert sum(line.estimated_usd for line in meters.postings) == pytest.approx(
        sum(line.revenue_usd for line in meters.postings)
    )
    assert meters.parked_kwh == 0.0


@given(
    before=st.integers(1, 50),
    away=st.integers(1, 400),
    kw=st.floats(1.0, RACK_KW),
    shown=st.floats(0.0, 1.25 * RACK_KW),
    after=st.integers(1, 100),
)
def test_when_the_counter_comes_back_nothing_is_booked_twice_however_wrong_power_was(
    before: int, away: int, kw: float, shown: float, after: int
) -> None:
    meters = Meters()
    meters.run(before, kw)
    meters.look(settle=True)
    since_j = meters.counter_j
    meters.run(away, kw, counter=False, shown_kw=shown)
    meters.run(after, kw)
    meters.look(settle=True)
    mark = meters.marks[Metric.ASIC_ENERGY, RACK]
    counted_kwh = (meters.counter_j - since_j) / JOULES_PER_KWH
    booked = [line for line in meters.postings if line.start >= NOW]
    first_kwh = (since_j - START_J) / JOULES_PER_KWH
    ahead_kwh = mark.estimated / JOULES_PER_KWH
    assert mark.value == meters.counter_j
    # all that was booked is what the counter says, but for the first reading and what power said too much
    total = sum(line.energy_kwh for line in booked) - ahead_kwh
    assert counted_kwh - 1e-6 <= total <= counted_kwh + first_kwh + 1e-6
    meters.run(3 * (before + away + after) + SETTLE_TICKS, RACK_KW)
    meters.look(settle=True)
    assert meters.marks[Metric.ASIC_ENERGY, RACK].estimated == 0.0  # made up for
    assert meters.parked_kwh == 0.0


def test_while_the_counter_is_away_energy_and_revenue_go_on() -> None:
    meters = Meters()
    meters.run(SETTLE_TICKS, RACK_KW)
    meters.run(12 * SETTLE_TICKS, RACK_KW, counter=False)
    assert meters.booked_kwh == pytest.approx(RACK_KW, rel=0.005)
    assert meters.estimated_kwh == pytest.approx(meters.booked_kwh)
    meters.run(SETTLE_TICKS, RACK_KW)
    assert meters.booked_kwh == pytest.approx(RACK_KW * 13.0 / 12.0, rel=1e-6)
    assert meters.estimated_kwh == pytest.approx(RACK_KW, rel=0.005)


def test_of_a_counter_that_is_read_nothing_is_estimated() -> None:
    meters = Meters()
    meters.run(5 * SETTLE_TICKS, 120.0)
    meters.run(5 * SETTLE_TICKS, 0.75)  # asleep
    meters.run(SETTLE_TICKS, 120.0)
    assert meters.estimated_kwh == 0.0


def test_a_counter_that_begins_to_be_read_is_followed_from_there() -> None:
    meters = Meters()
    meters.run(3 * SETTLE_TICKS + 7, 150.0, counter=False)
    meters.run(4 * SETTLE_TICKS, 150.0)
    meters.look(settle=True)
    ticks = 7 * SETTLE_TICKS + 7 - 1
    assert meters.booked_kwh == pytest.approx(150.0 * ticks * TICK.total_seconds() / 3600.0)
    # settled by the newest reading: up to it from power, and from it on by the counter
    assert meters.estimated_kwh == pytest.approx(150.0 * (4 * SETTLE_TICKS - 1) * TICK.total_seconds() / 3600.0)


def test_a_gap_longer_than_a_reading_stays_good_for_is_not_bridged() -> None:
    meters = Meters()
    meters.run(SETTLE_TICKS, 100.0, counter=False)
    meters.run(SETTLE_TICKS, 100.0, counter=False, power=False)
    meters.run(SETTLE_TICKS, 100.0, counter=False)
    ticks = 2 * SETTLE_TICKS - 2
    assert meters.booked_kwh == pytest.approx(100.0 * ticks * TICK.total_seconds() / 3600.0)


def test_readings_that_cannot_be_true_are_not_integrated() -> None:
    meters = Meters()
    meters.run(SETTLE_TICKS, 100.0, counter=False)
    suspect = Reading(9e9, "W", meters.now + TICK, Quality.SUSPECT, "absurd")
    meters.shown[Metric.ASIC_POWER, RACK] = suspect
    meters.look(settle=True)
    meters.run(SETTLE_TICKS, 100.0, counter=False)
    assert meters.booked_kwh == pytest.approx(100.0 * (2 * SETTLE_TICKS - 1) * TICK.total_seconds() / 3600.0)


def test_a_counter_that_stands_still_while_power_goes_on_is_no_counter_until_it_moves() -> None:
    meters = Meters()
    meters.run(SETTLE_TICKS, RACK_KW)
    still = meters.counter_j
    for _ in range(6 * SETTLE_TICKS):
        meters.run(1, RACK_KW, counter=False)
        meters.shown[Metric.ASIC_ENERGY, RACK] = Reading(still, "J", meters.now, Quality.FRESH)
    assert meters.estimated_kwh == pytest.approx(RACK_KW / 2.0, rel=0.07)  # the last settlement is up to a tick behind
    meters.run(2 * SETTLE_TICKS, RACK_KW)
    assert meters.booked_kwh == pytest.approx(RACK_KW * 8.0 / 12.0, rel=1e-6)


@pytest.mark.parametrize("times", [pytest.param(0.95, id="falls by 5 %"), pytest.param(8.0, id="jumps by 5e12 J")])
@pytest.mark.parametrize("back", [True, False])
def test_what_a_rack_drew_while_its_counter_jumped_is_booked_from_power_and_the_fault_alone_is_parked(
    times: float, back: bool
) -> None:
    meters = Meters()
    meters.run(SETTLE_TICKS, 160.0)
    fault = meters.counter_j * (times - 1.0)
    meters.counter_j += fault
    meters.run(5 * SETTLE_TICKS, 160.0)
    if back:
        meters.counter_j -= fault
        meters.run(5 * SETTLE_TICKS, 160.0)
    true_kwh = meters.true_kwh - 160.0 * SETTLE_TICKS * TICK.total_seconds() / 3600.0  # from the first mark on
    assert meters.booked_kwh == pytest.approx(true_kwh, rel=0.005)
    assert meters.parked_kwh == pytest.approx(0.0 if back else fault / JOULES_PER_KWH, abs=true_kwh * 0.005)


def test_of_a_reset_what_was_done_before_it_is_taken_from_power() -> None:
    meters = Meters()
    meters.run(SETTLE_TICKS, 160.0)
    meters.run(SETTLE_TICKS // 2, 160.0)
    meters.counter_j = 0.0
    meters.run(SETTLE_TICKS // 2, 160.0)
    assert meters.booked_kwh == pytest.approx(160.0 / 12.0, rel=0.001)
    assert meters.estimated_kwh == pytest.approx(160.0 / 24.0, rel=0.001)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 60),
            st.floats(0.0, RACK_KW),
            st.booleans(),
            st.booleans(),
            st.sampled_from([0.0, 5e12, -3e11]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_over_all_its_readings_booked_and_parked_come_to_what_the_counter_rose_by(
    steps: list[tuple[int, float, bool, bool, float]],
) -> None:
    """Whatever fails in between, and whatever it jumps by; and never more is booked than nameplate allows."""
    meters = Meters()
    meters.run(1, 100.0)
    meters.look(settle=True)
    first_j, began = meters.counter_j, meters.now
    for ticks, kw, counter, power, jump in steps:
        meters.counter_j = max(meters.counter_j + jump, 3e11)
        meters.run(ticks, kw, counter=counter, power=power)
        meters.restart() if not power else None
    meters.run(1, 50.0)
    meters.look(settle=True)
    mark = meters.marks[Metric.ASIC_ENERGY, RACK]
    rose_kwh = (mark.value - first_j) / JOULES_PER_KWH
    ahead_kwh = mark.estimated / JOULES_PER_KWH
    assert meters.booked_kwh - ahead_kwh + meters.parked_kwh == pytest.approx(rose_kwh, abs=1e-4)
    hours = (meters.now - began).total_seconds() / 3600.0
    assert 0.0 <= meters.booked_kwh <= RACK_KW * POSSIBLE_SHARE * hours + 1e-6
    assert all(line.energy_kwh >= 0.0 for line in meters.postings)


def test_a_node_without_a_counter_is_its_pool_s() -> None:
    telemetry = [
        Telemetry(
            NOW + n * TICK,
            [Sample(Metric.NODE_POWER, NODE, Reading(6000.0, "W", NOW + n * TICK, Quality.FRESH))],
        )
        for n in range(61)
    ]
    integrals: Integrals = {}
    for seen in telemetry:
        integrals = carried_on(SITE, integrals, seen)
    metered = meter(SITE, telemetry[-1], {}, book(50.0), pue=1.5, hashprice_usd_per_ph_day=60.0, integrals=integrals)
    assert [(line.account, line.subject) for line in metered.postings] == [
        (Account.HPC, "h100"),
        (Account.OVERHEAD, "site"),
    ]
    assert [line.estimated_kwh for line in metered.postings] == pytest.approx([1.5, 0.75])
    assert [line.energy_kwh for line in metered.postings] == pytest.approx([1.5, 0.75])
    (mark,) = metered.marks
    assert (mark.counted, mark.at) == (False, NOW + 60 * TICK)
