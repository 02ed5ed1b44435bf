"""Energy by the site's meters against what is booked: closed to the Wh, once, whatever is late, silent or reset."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.ledger import Account, Posting, totals
from orchestrator.accounting.reconciling import Reconciled
from orchestrator.accounting.settlement import Books, followed, settle
from orchestrator.domain.market import Market, Price, PriceBook, current_price
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.work import Workloads
from tests.scenes import NOW, Scene, metered
from tests.sites import small_site

if TYPE_CHECKING:
    from orchestrator.domain.site.site import Site

TICK, QUARTER = timedelta(seconds=30), timedelta(minutes=15)
PUE = 1.1
"""Of the model."""
KW = {"old/rack-0": 280.0, "new/rack-0": 350.0, "h100-node-0": 6.0}
METRICS = {
    "old/rack-0": (Metric.ASIC_POWER, Metric.ASIC_ENERGY),
    "new/rack-0": (Metric.ASIC_POWER, Metric.ASIC_ENERGY),
    "h100-node-0": (Metric.NODE_POWER, Metric.NODE_ENERGY),
    "grid": (Metric.METER_POWER, Metric.METER_ENERGY),
    "a": (Metric.METER_POWER, Metric.METER_ENERGY),
}
BOOK = PriceBook.of(
    [Price(NOW + n * QUARTER, NOW + (n + 1) * QUARTER, 40.0 + 7.0 * (n % 9), Market.REAL_TIME) for n in range(-8, 100)]
)
WATCHED_J = sum(KW.values()) * 1.2e3 * 7200.0
"""Counted in two hours: a counter that is reset twice while nobody looks may pass for one that rose."""
METERED = metered(small_site(), "grid", "a")


@dataclass
class World:
    """Three devices and the meters before them, which count `losses` more than the model has, and the books."""

    site: Site = METERED
    losses: float = 0.03
    now: datetime = NOW
    counters: dict[str, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 7e9))
    true_j: dict[str, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 0.0))
    shown: dict[tuple[Metric, str], Reading] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    """Devices and meters that say nothing."""
    uncounted: set[str] = field(default_factory=set)
    """Those without an energy counter."""
    books: Books = field(default_factory=Books)
    lines: list[Posting] = field(default_factory=list)
    rows: dict[tuple[str, datetime, float], Reconciled] = field(default_factory=dict)
    ticks: int = 0

    def run(self, minutes: float) -> None:
        for _ in range(round(timedelta(minutes=minutes) / TICK)):
            self.now += TICK
            self.ticks += 1
            for of, kw in self.drawn_kw().items():
                joules = kw * 1000.0 * TICK.total_seconds()
                self.counters[of] += joules
                self.true_j[of] += joules
                self._show(of, kw)
            self.look()

    def drawn_kw(self) -> dict[str, float]:
        it_kw = sum(KW.values())
        meters = {"grid": it_kw, "a": KW["old/rack-0"]}
        return KW | {name: kw * PUE * (1.0 + self.losses) for name, kw in meters.items()}

    def _show(self, of: str, kw: float) -> None:
        if of in self.off:
            return
        power, energy = METRICS[of]
        self.shown[power, of] = Reading(kw * 1000.0, "W", self.now, Quality.FRESH)
        if of not in self.uncounted:
            self.shown[energy, of] = Reading(self.counters[of], "J", self.now, Quality.FRESH)

    def look(self) -> None:
        telemetry = Telemetry(self.now, [Sample(metric, of, reading) for (metric, of), reading in self.shown.items()])
        self.books = followed(self.site, self.books, telemetry)
        if self.ticks != 1 and self.ticks % 10:
            return
        price = current_price(BOOK, self.now, self.site.stale.price)
        snapshot = replace(Scene(self.site).snapshot(), at=self.now, book=BOOK, price=price, pue=PUE)
        workloads = Workloads(at=self.now, synced=True, fleets={}, jobs={}, pools={})
        settled, self.books = settle(self.site, self.books, snapshot, workloads, telemetry)
        self.lines += [item for item in settled if isinstance(item, Posting)]
        self.rows |= {item.key: item for item in settled if isinstance(item, Reconciled)}

    def restart(self) -> None:
        """All that is not on record is lost."""
        self.books = Books(marks=self.books.marks, charged=self.books.charged, reconciled=dict(self.rows))

    def kwh(self, *accounts: str, start: datetime | None = None) -> float:
        return sum(line.energy_kwh for line in self.lines if line.account in accounts and start in (None, line.start))

    def metered_kwh(self, meter: str, start: datetime | None = None) -> float:
        return sum(row.metered_kwh for row in self.rows.values() if row.meter == meter and start in (None, row.start))

    def covered(self, meter: str) -> set[datetime]:
        """Intervals that the meter counted from their start to their end."""
        seconds: dict[datetime, float] = {}
        for row in self.rows.values():
            if row.meter == meter:
                seconds[row.start] = seconds.get(row.start, 0.0) + row.covered_s
        return {start for start, of in seconds.items() if of >= QUARTER.total_seconds() - 1e-6}

    def closes(self) -> None:
        """What comes by is what is booked, of every interval that a meter counted."""
        for start in self.covered("grid"):
            booked_kwh = self.kwh("mining", "hpc", "overhead", "residual", start=start)
            assert booked_kwh == pytest.approx(self.metered_kwh("grid", start), abs=1e-3)
        posted = {line.subject for line in self.lines if line.account == Account.RESIDUAL}
        assert posted <= {"meter grid"}
        rows_kwh = sum(row.residual_kwh for row in self.rows.values() if row.meter == "grid")
        assert self.kwh("residual") == pytest.approx(rows_kwh, abs=1e-6)
        for line in self.lines:
            assert line.cost_usd == pytest.approx(line.energy_kwh * line.price_usd_per_mwh / 1000.0, abs=1e-9)


def test_what_the_meter_counts_beyond_the_devices_is_on_record_and_paid_for() -> None:
    world = World()
    world.run(90)
    world.closes()
    assert world.covered("grid") == {NOW + n * QUARTER for n in range(1, 6)}
    drawn_kwh = sum(KW.values()) * PUE * (timedelta(minutes=90) - TICK).total_seconds() / 3600.0  # the first sets marks
    assert world.metered_kwh("grid") == pytest.approx(drawn_kwh * 1.03)
    assert world.kwh("residual") == pytest.approx(drawn_kwh * 0.03)
    feeder = [row for row in world.rows.values() if row.meter == "a"]
    share = KW["old/rack-0"] / sum(KW.values())
    assert sum(row.residual_kwh for row in feeder) == pytest.approx(drawn_kwh * 0.03 * share)
    sums = totals(world.lines)
    assert sums.residual_kwh == pytest.approx(drawn_kwh * 0.03)
    paid = sum(line.energy_kwh * line.price_usd_per_mwh / 1000.0 for line in world.lines)
    assert float(sums.energy_cost_usd) == pytest.approx(paid, abs=0.005)
    balance = world.books.balances["grid"]
    assert (balance.metered_kwh, balance.residual_kwh) == pytest.approx((drawn_kwh * 1.03, drawn_kwh * 0.03))


def test_without_meters_nothing_is_booked_but_what_devices_say() -> None:
    world, bare = World(), World(site=small_site())
    for of in (world, bare):
        of.run(90)
    assert [line for line in world.lines if line.account != Account.RESIDUAL] == bare.lines
    assert bare.rows == {}
    assert totals(bare.lines).residual_kwh is None


def test_a_power_block_is_set_against_what_the_meter_counts() -> None:
    charged = replace(METERED, grid=replace(METERED.grid, charges=(Ppa(800.0, 38.0, 3.0),)))
    world = World(site=charged)
    world.run(90)
    for (_, start, _), line in world.books.charged.items():
        if start in world.covered("grid"):
            assert line.energy_kwh == pytest.approx(world.metered_kwh("grid", start))


@pytest.mark.parametrize("of", [("grid", "a"), ("old/rack-0",), ("old/rack-0", "grid", "h100-node-0")])
def test_what_counts_and_is_late_by_an_hour_corrects_its_intervals(of: tuple[str, ...]) -> None:
    world, steady = World(), World()
    for it in (world, steady):
        it.run(30)
    world.off |= set(of)
    for it in (world, steady):
        it.run(60)
    world.off.clear()
    for it in (world, steady):
        it.run(30)
    world.closes()
    for account in ("mining", "hpc", "overhead", "residual"):
        assert world.kwh(account) == pytest.approx(steady.kwh(account))
    assert world.metered_kwh("grid") == pytest.approx(steady.metered_kwh("grid"))


def test_of_a_silent_hour_of_a_meter_without_a_counter_nothing_is_invented() -> None:
    world = World(uncounted={"grid"})
    world.run(32)
    world.off.add("grid")
    world.run(60)
    world.off.clear()
    world.run(43)
    world.closes()
    assert all(row.estimated_kwh == row.metered_kwh for row in world.rows.values() if row.meter == "grid")
    silent = timedelta(minutes=60) + TICK  # up to the first reading after it
    drawn_kwh = sum(KW.values()) * PUE * 1.03 * (timedelta(minutes=135) - TICK - silent).total_seconds() / 3600.0
    assert world.metered_kwh("grid") == pytest.approx(drawn_kwh)
    for n in (3, 4):  # nobody counted there
        assert world.kwh("residual", start=NOW + n * QUARTER) == 0.0
    assert world.kwh("residual") == pytest.approx(drawn_kwh * 0.03 / 1.03)


def test_a_counter_that_is_reset_while_it_is_watched_loses_nothing() -> None:
    world, steady = World(), World()
    for it in (world, steady):
        it.run(37)
    world.counters["grid"] = 0.0
    for it in (world, steady):
        it.run(60)
    world.closes()
    assert world.metered_kwh("grid") == pytest.approx(steady.metered_kwh("grid"), rel=0.005)
    assert world.kwh("residual") == pytest.approx(steady.kwh("residual"), rel=0.1)


def test_of_a_counter_that_was_reset_while_nobody_looked_nothing_is_taken() -> None:
    world = World()
    world.run(30)
    world.off.add("grid")
    world.run(60)
    world.restart()
    world.off.clear()
    world.counters["grid"] = 1e6
    world.run(45)
    world.closes()
    assert world.kwh("residual", start=NOW + 4 * QUARTER) == 0.0
    counted = timedelta(minutes=135 - 60) - 2 * TICK
    drawn_kwh = sum(KW.values()) * PUE * counted.total_seconds() / 3600.0
    assert world.kwh("residual") == pytest.approx(0.03 * drawn_kwh)


def test_a_jump_of_the_meter_is_parked_and_booked_nowhere() -> None:
    world, steady = World(), World()
    for it in (world, steady):
        it.run(37)
    world.counters["grid"] += 5e12
    for it in (world, steady):
        it.run(60)
    world.closes()
    (parked,) = [line for line in world.lines if line.account == Account.UNACCOUNTED]
    assert (parked.subject, parked.cost_usd) == ("meter_energy_joules_total grid", 0.0)
    assert parked.quantity == pytest.approx(5e12 / 3.6e9, rel=1e-3)
    assert world.metered_kwh("grid") == pytest.approx(steady.metered_kwh("grid"), rel=0.01)


def test_a_suspect_counter_is_not_booked_and_made_up_for_later() -> None:
    world, steady = World(), World()
    for it in (world, steady):
        it.run(30)
    show = world._show

    def suspect(of: str, kw: float) -> None:
        show(of, kw)
        if of == "grid":
            for metric in METRICS[of]:
                world.shown[metric, of] = replace(
                    world.shown[metric, of], value=1.0, quality=Quality.SUSPECT, reason="it stands still"
                )

    world._show = suspect  # type: ignore[method-assign]
    for it in (world, steady):
        it.run(30)
    assert world.kwh("residual", start=NOW + 3 * QUARTER) == 0.0
    world._show = show  # type: ignore[method-assign]
    for it in (world, steady):
        it.run(30)
    world.closes()
    assert world.metered_kwh("grid") == pytest.approx(steady.metered_kwh("grid"))
    assert world.kwh("residual") == pytest.approx(steady.kwh("residual"))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["run", "restart", "off", "on", "reset", "uncounted", "counted"]),
        st.sampled_from(sorted(METRICS)),
        st.sampled_from([1.0, 4.5, 15.0, 33.0]),
    ),
    min_size=2,
    max_size=14,
)


@given(events=EVENTS, losses=st.floats(-0.03, 0.06))
@settings(max_examples=60)
def test_over_any_row_of_faults_every_interval_that_the_meter_counted_closes_to_the_wh(
    events: list[tuple[str, str, float]], losses: float
) -> None:
    world = World(losses=losses)
    world.run(20)
    for what, of, minutes in events:
        if what == "restart":
            world.restart()
        elif what == "off":
            world.off.add(of)
        elif what == "on":
            world.off.discard(of)
        elif what == "reset":
            world.counters[of] = 0.0
        elif what == "uncounted":
            world.uncounted.add(of)
        elif what == "counted":
            world.uncounted.discard(of)
        world.run(minutes)
    world.closes()
    most_kwh = world.true_j["grid"] / 3.6e6
    assert world.metered_kwh("grid") <= most_kwh * 1.001 + 1e-6  # nothing twice
    for row in world.rows.values():
        assert row.covered_s <= QUARTER.total_seconds() + 1e-6


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["run", "restart", "off", "on", "reset", "uncounted", "counted"]),
            st.sampled_from([1.0, 4.5, 15.0, 33.0]),
        ),
        min_size=2,
        max_size=10,
    ),
    losses=st.floats(-0.03, 0.06),
)
@settings(max_examples=60)
def test_whatever_becomes_of_the_meter_its_residual_is_the_losses_of_the_time_that_it_counted(
    events: list[tuple[str, float]], losses: float
) -> None:
    world = World(losses=losses)
    world.run(20)
    for what, minutes in events:
        if what == "restart":
            world.restart()
        elif what == "off":
            world.off.add("grid")
        elif what == "on":
            world.off.discard("grid")
        elif what == "reset" and world.counters["grid"] > WATCHED_J:
            world.counters["grid"] = 0.0
        elif what == "uncounted":
            world.uncounted.add("grid")
        elif what == "counted":
            world.uncounted.discard("grid")
        world.run(minutes)
    world.closes()
    # By interval it may differ: what a counter makes up for was done before it says so.
    expected_kwh = world.metered_kwh("grid") * losses / (1.0 + losses)
    assert world.kwh("residual") == pytest.approx(expected_kwh, abs=0.02 * sum(KW.values()) / 4.0)
