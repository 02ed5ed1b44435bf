"""The simulated market: what it serves, at which time, and that our own reader takes it."""

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import httpx
import pytest

from orchestrator.adapters.prices.document import parse_price_document
from orchestrator.adapters.prices.polled import PolledPrices
from orchestrator.domain.market import Market
from orchestrator.sim.market.price_tape import Player, PriceFileError, Tape, read_tape

if TYPE_CHECKING:
    from tests.sim.pods.conftest import Pods

EXAMPLE = Path(__file__).parents[3] / "examples" / "ercot-2023-09-06.csv"
CENTRAL = ZoneInfo("America/Chicago")
NOW = datetime(2026, 1, 5, 12, 2, 30, tzinfo=UTC)


@pytest.fixture
def day() -> Tape:
    return read_tape(EXAMPLE)


def document_at(tape: Tape, now: datetime, *, speed: float, from_s: float) -> dict[str, object]:
    return Player(NOW, from_s, speed).document(tape, now)


def test_the_price_moves_with_real_time_at_its_speed(day: Tape) -> None:
    from_s = day.position_of(time(18, 0), CENTRAL)
    for later_s, price in ((0, 736.54), (14, 736.54), (15, 769.84), (30, 4029.88)):
        now = NOW + timedelta(seconds=later_s)
        real_time = [
            price
            for price in parse_price_document(document_at(day, now, speed=60.0, from_s=from_s))
            if price.market is Market.REAL_TIME
        ]
        assert real_time[-1].covers(now)
        assert real_time[-1].usd_per_mwh == day.real_time_at(from_s + later_s * 60.0)
        assert len(real_time) == 13, "the current slot and the hour before"
        assert all(price.start <= now for price in real_time)


def test_a_slot_that_is_over_keeps_the_price_at_its_end(day: Tape) -> None:
    end = datetime(2026, 1, 5, 12, 5, tzinfo=UTC)
    before = end - timedelta(seconds=1)
    later = end + timedelta(minutes=9)
    slots = [
        {
            price.start: price.usd_per_mwh
            for price in parse_price_document(document_at(day, now, speed=60.0, from_s=3600.0))
            if price.market is Market.REAL_TIME
        }
        for now in (before, later)
    ]
    start = end - timedelta(minutes=5)
    assert slots[0][start] == slots[1][start] == day.real_time_at(3600.0 + (before - NOW).total_seconds() * 60.0)


def test_at_real_speed_day_ahead_prices_are_the_files(day: Tape) -> None:
    now = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    prices = parse_price_document(Player(now, 0.0, 1.0).document(day, now))
    ahead = [price for price in prices if price.market is Market.DAY_AHEAD and price.start >= now]
    assert len(ahead) == 288, "to the end of the file's day"
    assert day.day_ahead is not None
    assert [price.usd_per_mwh for price in ahead[::3]] == list(day.day_ahead)


def test_in_time_lapse_a_day_ahead_slot_is_a_mean_up_to_the_end_of_the_day(day: Tape) -> None:
    now = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    prices = parse_price_document(Player(now, 0.0, 60.0).document(day, now))
    ahead = [price for price in prices if price.market is Market.DAY_AHEAD and price.start >= now]
    assert len(ahead) == 5, "24 min"
    assert day.day_ahead is not None
    assert ahead[0].usd_per_mwh == pytest.approx(sum(day.day_ahead[:20]) / 20, abs=1e-4)
    assert ahead[-1].usd_per_mwh == pytest.approx(sum(day.day_ahead[80:]) / 16, abs=1e-4)


def test_the_day_begins_again_at_its_end(day: Tape) -> None:
    for position_s in (0.0, 900.0, 40_000.0):
        assert day.real_time_at(position_s) == day.real_time_at(position_s + day.length_s)
    now = NOW + timedelta(seconds=day.length_s / 60.0)
    prices = parse_price_document(document_at(day, now, speed=60.0, from_s=0.0))
    current = [price for price in prices if price.market is Market.REAL_TIME][-1]
    assert current.usd_per_mwh == day.real_time[0]


@pytest.mark.parametrize("speed", [0.5, 1.0, 7.3, 60.0, 3600.0, 100_000.0])
def test_our_reader_takes_the_document_at_any_moment(day: Tape, speed: float) -> None:
    for minutes in range(0, 3000, 37):
        now = NOW + timedelta(minutes=minutes, seconds=minutes % 60)
        assert parse_price_document(document_at(day, now, speed=speed, from_s=50_000.0))


def test_a_start_that_is_not_in_the_file_is_named(day: Tape) -> None:
    assert day.position_of(time(0, 0), CENTRAL) == 0.0
    assert day.position_of(time(18, 15), CENTRAL) == 18.25 * 3600.0
    short = Tape(day.start, day.row, day.real_time[:4], None)
    with pytest.raises(ValueError, match="18:00 in America/Chicago is not in 2023-09-06T05:00:00Z to 2023-09-06T06:00"):
        short.position_of(time(18, 0), CENTRAL)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "the header needs interval_start_utc"),
        ("time,price\n1,2\n", "the header needs interval_start_utc"),
        ("interval_start_utc,real_time_usd_per_mwh\n2023-09-06T05:00:00Z,1\n", "two rows"),
        ("interval_start_utc,real_time_usd_per_mwh\nnoon,1\n", ":2: interval_start_utc: 'noon'"),
        ("interval_start_utc,real_time_usd_per_mwh\n2023-09-06T05:00:00Z,nan\n", ":2: real_time_usd_per_mwh: 'nan'"),
        ("interval_start_utc,real_time_usd_per_mwh\n2023-09-06T05:00:00Z\n", ":2: real_time_usd_per_mwh: ''"),
        (
            "interval_start_utc,real_time_usd_per_mwh\n"
            "2023-09-06T05:00:00Z,1\n2023-09-06T05:15:00Z,1\n2023-09-06T06:00:00Z,1\n",
            ":4: interval_start_utc 2023-09-06T06:00:00Z: rows must follow",
        ),
    ],
)
def test_a_file_that_is_no_day_of_prices_says_where(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(PriceFileError, match=re.escape(named)):
        read_tape(path)


async def test_the_program_serves_prices_that_move_and_a_file_that_changed(pods: "Pods", tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(EXAMPLE.read_text())
    start_at = ("--start-at", "16:00", "--timezone", "America/Chicago")
    process, port = pods.start("market.price_feed", "--file", str(path), "--speed", "3600", *start_at)
    pods.wait_up(port)

    def current() -> float:
        status, document = pods.ask(port, "GET", "/prices")
        assert status == 200
        real_time = [price for price in parse_price_document(document) if price.market is Market.REAL_TIME]
        assert real_time[-1].start <= datetime.now(UTC)
        return real_time[-1].usd_per_mwh

    first = current()
    pods.wait(lambda: current() != first, "the price to move")
    _, document = pods.ask(port, "GET", "/prices")
    assert (document["simulated"], document["speed"]) == (True, 3600.0)
    async with httpx.AsyncClient() as client:
        now = datetime.now(UTC)
        source = PolledPrices(f"http://127.0.0.1:{port}/prices", client, timedelta(seconds=1))
        book = await source.read(now)
        assert source.problem is None
        assert book.real_time_at(now) is not None
        assert book.day_ahead_at(now) is not None
    flat = "interval_start_utc,real_time_usd_per_mwh\n2023-09-06T05:00:00Z,-7\n2023-09-06T05:15:00Z,-7\n"
    path.write_text(flat)
    pods.wait(lambda: current() == -7.0, "the new file")
    path.write_text("garbage")
    pods.wait(lambda: current() == -7.0 and "the prices read before stay" in str(pods.logs()), "the bad one to be told")
    assert pods.ask(port, "POST", "/prices", "{}")[0] == 405
    assert pods.ask(port, "GET", "/elsewhere")[0] == 404
    process.terminate()
    assert process.wait(60.0) == 0
