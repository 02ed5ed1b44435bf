"""The power block in the books: the line of an interval is the contract's formula, however often one posts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.charge_lines import CORRECTED, Charged, Posted, block_mark, post_charges
from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.ledger import MeterMark, Posting, totals
from orchestrator.accounting.metering import intervals, meter
from orchestrator.domain.market import Market, Price, PriceBook
from orchestrator.domain.observation import Metric
from orchestrator.domain.units import KWH_PER_MWH
from tests.accounting.test_block import PPAS
from tests.accounting.test_metering import ANY_SPEED, MINUTE, NOW, QUARTER, SITE, book, rack, read
from tests.power_block import contract_usd

POLICY = SITE.stale.price
SOLD = Ppa(800.0, 38.0, 3.0)
"""200 kWh a quarter."""


class Site:
    """Posts what one rack drew and the block, as settling does; PUE is 1.1."""

    def __init__(self, ppa: Ppa, prices: PriceBook) -> None:
        self.ppa, self.prices = ppa, prices
        self.marks: dict[tuple[Metric, str], MeterMark] = {}
        self.mark: MeterMark | None = None
        self.posted: Posted = {}
        self.lines: list[Posting] = []

    def settle(self, kwh: float, at: datetime, read_at: datetime | None = None) -> list[Posting]:
        metered, new, *_ = meter(
            SITE, read(rack(kwh / 1.1, read_at or at)), self.marks, self.prices, pue=1.1, hashprice_usd_per_ph_day=60.0
        )
        self.marks.update({(mark.metric, mark.subject): mark for mark in new})
        span = intervals(self.prices, self.mark.at if self.mark else at, at, POLICY)
        lines, self.posted = post_charges([self.ppa], self.posted, self.mark, at, span, metered)
        self.mark = block_mark(self.mark, [self.ppa], at)
        self.lines += [*metered, *lines]
        return lines

    def restart(self) -> None:
        """What is known of the block is read back from the lines, as the store does."""
        found: dict[tuple[str, datetime, float], Charged] = {}
        for line in self.lines:
            key = (self.ppa.name, line.start, line.price_usd_per_mwh)
            use = found.get(key, Charged(*key))
            if line.account == self.ppa.name:
                found[key] = replace(use, block_kwh=use.block_kwh + line.quantity * KWH_PER_MWH)
            else:
                found[key] = replace(use, energy_kwh=use.energy_kwh + line.energy_kwh)
        self.posted = found

    def of_block(self, start: datetime) -> tuple[float, float]:
        """USD and kWh of the block's lines of an interval."""
        lines = [line for line in self.lines if line.account == self.ppa.name and line.start == start]
        return sum(line.cost_usd for line in lines), sum(line.quantity for line in lines) * KWH_PER_MWH


def test_a_contract_begins_when_it_is_first_settled() -> None:
    site = Site(SOLD, book(50.0))
    assert site.settle(500.0, NOW + 5 * MINUTE) == []
    site.settle(500.0, NOW + QUARTER)
    assert site.of_block(NOW)[1] == pytest.approx(800.0 / 6)


def test_energy_drawn_late_in_the_interval_makes_up_for_what_was_left_before() -> None:
    """Nothing drawn for 10 minutes, then 200 kWh in 5: the block of the quarter is used, and no spread is paid."""
    site = Site(SOLD, book(50.0))
    site.settle(0.0, NOW)
    site.settle(0.0, NOW + 10 * MINUTE)
    assert site.of_block(NOW)[0] == pytest.approx((800.0 / 6) * (38.0 - 50.0 + 3.0) / 1000.0)
    site.settle(200.0, NOW + QUARTER)
    assert site.of_block(NOW) == pytest.approx((200.0 * (38.0 - 50.0) / 1000.0, 200.0))


def test_a_reading_that_comes_late_is_set_against_the_block_of_its_time() -> None:
    site = Site(SOLD, book(50.0, 900.0))
    site.settle(0.0, NOW)
    site.settle(150.0, NOW + QUARTER + MINUTE, read_at=NOW + QUARTER)
    site.settle(150.0, NOW + QUARTER + 2 * MINUTE, read_at=NOW + QUARTER)
    assert site.of_block(NOW)[0] == pytest.approx((200.0 * (38.0 - 50.0) + 50.0 * 3.0) / 1000.0)


def test_the_sum_is_what_the_contract_says_over_a_change_of_price_and_a_restart() -> None:
    site = Site(SOLD, book(50.0, 900.0, -20.0))
    site.settle(0.0, NOW)
    site.settle(120.0, NOW + QUARTER)
    site.settle(140.0, NOW + QUARTER + 5 * MINUTE)
    site.restart()
    site.settle(420.0, NOW + 2 * QUARTER)
    site.settle(500.0, NOW + 3 * QUARTER)
    paid = sum(contract_usd(SOLD, 0.25, kwh, market) for kwh, market in ((120.0, 50.0), (300.0, 900.0), (80.0, -20.0)))
    sums = totals(site.lines)
    assert float(sums.energy_cost_usd) == pytest.approx(paid, abs=0.005)
    of_block = sum(site.of_block(NOW + number * QUARTER)[0] for number in range(3))
    assert float(sums.charges_usd["ppa"]) == pytest.approx(of_block, abs=0.005)


def test_where_a_price_is_corrected_each_of_the_two_has_its_part_of_the_block() -> None:
    site = Site(SOLD, book(50.0))
    site.settle(0.0, NOW)
    site.settle(40.0, NOW + 5 * MINUTE)
    site.prices = book(60.0)
    site.settle(240.0, NOW + QUARTER)
    before, after = (
        SOLD.cost_usd(NOW, 800.0 / 12, 40.0, 50.0),
        SOLD.cost_usd(NOW, 800.0 / 6, 200.0, 60.0),
    )
    assert site.of_block(NOW)[0] == pytest.approx(before + after)


def test_what_no_reading_corrects_any_more_is_forgotten() -> None:
    site = Site(SOLD, book(50.0))
    site.settle(0.0, NOW)
    site.settle(120.0, NOW + QUARTER)
    site.prices = PriceBook.of([Price(NOW + CORRECTED, NOW + CORRECTED + QUARTER, 70.0, Market.REAL_TIME)])
    site.settle(120.0, NOW + CORRECTED + QUARTER)
    assert min(start for _, start, _ in site.posted) > NOW
    assert len(site.posted) <= CORRECTED / QUARTER + 1


@given(
    ppa=PPAS,
    prices=st.lists(st.floats(-500, 5000), min_size=1, max_size=5),
    drawn_kwh=st.lists(st.floats(0.0, 5e4), min_size=5, max_size=5),
    cuts=st.lists(st.floats(0.0, 1.0, exclude_min=True, exclude_max=True), max_size=12),
    restarts=st.sets(st.integers(0, 20)),
)
@ANY_SPEED
def test_the_line_of_an_interval_never_depends_on_how_it_is_split(
    ppa: Ppa, prices: Sequence[float], drawn_kwh: list[float], cuts: Sequence[float], restarts: set[int]
) -> None:
    """Power goes its own way in each quarter; settled at the quarters and at any moments between, and restarted."""
    site = Site(ppa, book(*prices))
    length = timedelta(minutes=15 * len(prices))
    moments = sorted(
        {*(NOW + number * QUARTER for number in range(len(prices) + 1)), *(NOW + cut * length for cut in cuts)}
    )

    def counter(at: datetime) -> float:
        whole, rest = divmod(at - NOW, QUARTER)
        return sum(drawn_kwh[:whole]) + (drawn_kwh[whole] if whole < 5 else 0.0) * (rest / QUARTER) ** 2

    for number, at in enumerate(moments):
        if number in restarts:
            site.restart()
        site.settle(counter(at), at)
    for number, price in enumerate(prices):
        usd, block_kwh = site.of_block(NOW + number * QUARTER)
        expected = ppa.cost_usd(NOW, ppa.block_kw / 4, drawn_kwh[number], price)
        size = (ppa.block_kw + sum(drawn_kwh)) * (abs(price) + ppa.price_usd_per_mwh + 200.0)
        assert block_kwh == pytest.approx(ppa.block_kw / 4)
        assert usd == pytest.approx(expected, abs=1e-9 * size)
