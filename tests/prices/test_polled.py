"""A price server that fails in every way: old prices stay, and the problem is said."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from orchestrator.adapters.prices.polled import MAX_BODY_BYTES, PolledPrices

START = datetime(2023, 9, 6, 23, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
EVERY = timedelta(minutes=1)


def body(usd_per_mwh: float, index: int = 0) -> bytes:
    start = START + index * QUARTER
    return json.dumps(
        {
            "prices": [
                {
                    "interval_start_utc": start.isoformat(),
                    "interval_end_utc": (start + QUARTER).isoformat(),
                    "real_time_usd_per_mwh": usd_per_mwh,
                }
            ]
        }
    ).encode()


def answer(content: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content


class Server:
    """A real server on the loopback that answers each connection with raw bytes, and may then keep it open."""

    def __init__(self) -> None:
        self.raw = answer(body(100.0))
        self.hold = False
        self.asked = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.raw)
            await writer.drain()
            if self.hold:
                await reader.read()  # until the client gives up
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    listening = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/prices"
    try:
        yield served
    finally:
        listening.close()
        await listening.wait_closed()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as opened:
        yield opened


async def test_it_asks_when_its_time_has_come_and_not_before(server: Server, client: httpx.AsyncClient) -> None:
    source = PolledPrices(server.url, client, EVERY)
    for seconds in (0, 1, 59, 60, 61, 125):
        await source.read(START + timedelta(seconds=seconds))
    assert server.asked == 3
    assert source.problem is None


GARBAGE = {
    "a 500": answer(body(1.0), "500 Internal Server Error"),
    "a 204": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "a redirect": answer(b"", "302 Found\r\nLocation: /other"),
    "no JSON": answer(b"<html>busy</html>"),
    "nothing": answer(b""),
    "bytes of no text": answer(b"\xff\xfe\x00\x01"),
    "deep nesting": answer(b"[" * 100_000),
    "a number of 5000 digits": answer(b"9" * 5000),
    "NaN": answer(b'{"prices": [{"real_time_usd_per_mwh": NaN}]}'),
    "a string": answer(body(1.0).replace(b"1.0", b'"1.0"')),
    "null": answer(body(1.0).replace(b"1.0", b"null")),
    "an absurd price": answer(body(1e9)),
    "another shape": answer(b'[{"price": 1}]'),
    "an empty list": answer(b'{"prices": []}'),
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + body(1.0),
    "a huge body": answer(b" " * (MAX_BODY_BYTES + 1)),
    "bad gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde",
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_refused_whole_and_the_old_price_stays(
    server: Server, client: httpx.AsyncClient, name: str
) -> None:
    source = PolledPrices(server.url, client, EVERY, timeout=timedelta(seconds=20))
    good = await source.read(START)
    assert good.real_time[0].usd_per_mwh == 100.0
    server.raw = GARBAGE[name]
    assert await source.read(START + EVERY) == good
    assert source.problem is not None
    assert server.url in source.problem
    assert len(source.problem) < 400
    server.raw = answer(body(-20.0))
    assert (await source.read(START + 2 * EVERY)).real_time[0].usd_per_mwh == -20.0
    assert source.problem is None


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
async def test_a_server_that_hangs_is_given_up(server: Server, client: httpx.AsyncClient, sent: bytes) -> None:
    source = PolledPrices(server.url, client, EVERY, timeout=timedelta(seconds=0.2))
    server.raw, server.hold = sent, True
    assert (await source.read(START)).real_time == ()
    assert source.problem is not None
    assert "no whole answer in 0.2 s" in source.problem


async def test_a_server_that_is_not_there_is_a_problem_not_an_error(client: httpx.AsyncClient) -> None:
    listening = await asyncio.start_server(_refuse, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    source = PolledPrices(f"http://127.0.0.1:{port}/", client, EVERY)
    assert (await source.read(START)).real_time == ()
    assert source.problem is not None


async def test_the_log_says_once_that_it_fails_and_once_that_it_is_back(
    server: Server, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator.adapters.prices.polled")
    with_key = server.url.replace("://", "://user:secret@") + "?api_key=secret"
    source = PolledPrices(with_key, client, EVERY, timeout=timedelta(seconds=20))
    await source.read(START)
    server.raw = GARBAGE["a 500"]
    for number in (1, 2):
        await source.read(START + number * EVERY)
    server.raw = answer(body(100.0))
    for number in (3, 4):
        await source.read(START + number * EVERY)
    assert caplog.messages == [
        f"the price source fails: {server.url} failed: status 500, 200 is needed; the prices known before stay",
        "the price source answers again",
    ]


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_two_readers_at_once_ask_once(server: Server, client: httpx.AsyncClient) -> None:
    source = PolledPrices(server.url, client, EVERY)
    await asyncio.gather(source.read(START), source.read(START))
    assert server.asked == 1


async def test_answers_add_to_what_was_known(server: Server, client: httpx.AsyncClient) -> None:
    source = PolledPrices(server.url, client, EVERY)
    await source.read(START)
    server.raw = answer(body(7.0, index=1))
    book = await source.read(START + QUARTER)
    assert [price.usd_per_mwh for price in book.real_time] == [100.0, 7.0]
