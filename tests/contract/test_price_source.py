"""What every PriceSource does: one suite over the replayed, the polled and the pushed source."""

import json
import math
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Protocol

import httpx
import pytest

from orchestrator.adapters.prices.document import PriceDocumentError, parse_price_document
from orchestrator.adapters.prices.merged import MergedPrices
from orchestrator.adapters.prices.polled import PolledPrices
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.domain.market import Market, Price, PriceBook
from orchestrator.ports import PriceSource

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
DAY = datetime(2023, 9, 6, 5, tzinfo=UTC)
"""Midnight in Chicago."""
NOON = DAY + 12 * HOUR

REAL_TIME = tuple(Price(DAY + n * QUARTER, DAY + (n + 1) * QUARTER, 20.0 + n, Market.REAL_TIME) for n in range(96))
DAY_AHEAD = tuple(Price(DAY + n * HOUR, DAY + (n + 1) * HOUR, 30.0 - 2 * n, Market.DAY_AHEAD) for n in range(24))


def document(prices: Sequence[Price]) -> dict[str, object]:
    return {
        "prices": [
            {
                "interval_start_utc": price.start.isoformat(),
                "interval_end_utc": price.end.isoformat(),
                f"{price.market}_usd_per_mwh": price.usd_per_mwh,
            }
            for price in prices
        ]
    }


class Upstream(Protocol):
    """A source with the means to feed it and to make what feeds it fail."""

    source: PriceSource

    def give(self, prices: Sequence[Price], now: datetime) -> None:
        """Make `prices` known."""

    def fail(self, now: datetime) -> None:
        """Make what feeds the source fail from now on."""


class Replay:
    def __init__(self) -> None:
        self.source: PriceSource = ReplayedPrices(REAL_TIME + DAY_AHEAD, "America/Chicago")

    def give(self, prices: Sequence[Price], now: datetime) -> None:
        """All is in the file already."""

    def fail(self, now: datetime) -> None:
        """A file that was read cannot fail."""


class Push:
    def __init__(self) -> None:
        self._pushed = PushedPrices()
        self.source: PriceSource = self._pushed

    def give(self, prices: Sequence[Price], now: datetime) -> None:
        self._pushed.accept(parse_price_document(document(prices)), now)

    def fail(self, now: datetime) -> None:
        garbage = document(REAL_TIME[:2])
        garbage["prices"][1]["real_time_usd_per_mwh"] = float("nan")  # type: ignore[index]  # a list, just made
        with pytest.raises(PriceDocumentError):
            self._pushed.accept(parse_price_document(garbage), now)


class Poll:
    def __init__(self, url: str, answers: "Answers", client: httpx.AsyncClient) -> None:
        self.source: PriceSource = PolledPrices(url, client, timedelta(0))
        self._answers = answers
        self._given: list[Price] = []

    def give(self, prices: Sequence[Price], now: datetime) -> None:
        self._given += prices
        self._answers.body = json.dumps(document(self._given)).encode()

    def fail(self, now: datetime) -> None:
        self._answers.status = 500


class Answers:
    status = 200
    body = b'{"prices": []}'


@asynccontextmanager
async def polled() -> AsyncIterator[Poll]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers.status)
            self.send_header("Content-Length", str(len(answers.body)))
            self.end_headers()
            self.wfile.write(answers.body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            yield Poll(f"http://127.0.0.1:{server.server_address[1]}/prices", answers, client)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(params=["replayed", "polled", "pushed", "merged"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    if request.param == "replayed":
        yield Replay()
    elif request.param == "polled":
        async with polled() as poll:
            yield poll
    elif request.param == "pushed":
        yield Push()
    else:
        push = Push()
        push.source = MergedPrices(push.source, push.source)
        yield push


def pairs(book: PriceBook) -> Iterator[tuple[Price, Price]]:
    yield from pairwise(book.real_time)
    yield from pairwise(book.day_ahead)


async def test_shows_the_price_in_force(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, NOON)
    for now in (NOON, NOON + QUARTER - timedelta(seconds=1), NOON + QUARTER):
        price = (await upstream.source.read(now)).real_time_at(now)
        assert price == REAL_TIME[(now - DAY) // QUARTER]


async def test_knows_no_real_time_price_of_the_future(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, DAY)
    for step in range(0, 96, 7):
        now = DAY + step * QUARTER + timedelta(minutes=3)
        book = await upstream.source.read(now)
        assert book.real_time == REAL_TIME[: step + 1]


async def test_shows_the_day_ahead_prices_of_the_whole_day(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, NOON)
    assert (await upstream.source.read(NOON)).day_ahead == DAY_AHEAD


async def test_is_empty_before_the_first_price(upstream: Upstream) -> None:
    assert await upstream.source.read(DAY - timedelta(days=30)) == PriceBook()


async def test_answers_the_same_when_read_twice(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, NOON)
    assert await upstream.source.read(NOON) == await upstream.source.read(NOON)


async def test_does_not_build_a_new_book_while_nothing_changes(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, NOON)
    book = await upstream.source.read(NOON)
    assert await upstream.source.read(NOON + timedelta(minutes=14)) is book


async def test_an_earlier_book_stays_as_it_was(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, DAY)
    book = await upstream.source.read(NOON)
    before = book.real_time
    await upstream.source.read(NOON + 5 * HOUR)
    assert book.real_time == before


async def test_keeps_what_it_knew_when_its_upstream_fails(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, NOON)
    await upstream.source.read(NOON)
    upstream.fail(NOON)
    later = NOON + QUARTER
    book = await upstream.source.read(later)
    assert book.real_time == REAL_TIME[:50]
    assert book.real_time_at(later) == REAL_TIME[49]
    assert book.day_ahead == DAY_AHEAD


async def test_gives_finite_sorted_prices_that_do_not_overlap(upstream: Upstream) -> None:
    upstream.give(tuple(reversed(REAL_TIME + DAY_AHEAD)), NOON)
    book = await upstream.source.read(DAY + timedelta(days=1))
    assert len(book.real_time) == 96
    assert all(math.isfinite(price.usd_per_mwh) for price in book.real_time + book.day_ahead)
    assert all(earlier.end <= later.start for earlier, later in pairs(book))


async def test_forgets_prices_of_more_than_four_weeks_ago(upstream: Upstream) -> None:
    upstream.give(REAL_TIME + DAY_AHEAD, NOON)
    await upstream.source.read(NOON)
    upstream.fail(NOON)
    book = await upstream.source.read(NOON + timedelta(days=29))
    assert book.real_time == REAL_TIME[48:]
    assert await upstream.source.read(DAY + timedelta(days=30)) == PriceBook()


async def test_a_correction_replaces_the_price() -> None:
    async with polled() as poll:
        for upstream in (Push(), poll):
            upstream.give(REAL_TIME + DAY_AHEAD, NOON)
            await upstream.source.read(NOON)
            settled = Price(REAL_TIME[40].start, REAL_TIME[40].end, -7.5, Market.REAL_TIME)
            if isinstance(upstream, Poll):
                upstream._given.clear()
            upstream.give((settled,), NOON)
            book = await upstream.source.read(NOON)
            assert book.real_time_at(settled.start) == settled
            assert len(book.real_time) == 49
            assert book.day_ahead == DAY_AHEAD
