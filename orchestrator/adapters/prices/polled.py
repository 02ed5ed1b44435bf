"""Prices from an HTTP server that is asked again and again."""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx

from orchestrator.adapters.prices.document import PriceDocumentError, parse_price_document
from orchestrator.adapters.prices.known_prices import KnownPrices
from orchestrator.domain.market import Price, PriceBook

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Some four times a document of MAX_ENTRIES."""


class PolledPrices:
    """A PriceSource that GETs a price document (`document.py`) from `url` every `every` of site time.

    An answer that fails, is late, too long or not wholly sound is not taken: the prices known before stay, their age
    shows, and `problem` and the log say what happened until an answer is taken again.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        every: timedelta,
        *,
        timeout: timedelta = timedelta(seconds=2),
    ) -> None:
        """`timeout` is wall time for a whole answer; `read` takes no longer than this."""
        self.problem: str | None = None
        self._url = url
        self._shown_url = re.sub(r"//[^/@]*@", "//", url.partition("?")[0])
        """Without what may be a key."""
        self._client = client
        self._every = every
        self._timeout_s = timeout.total_seconds()
        self._asked_at: datetime | None = None
        self._recent = KnownPrices()

    def recall(self, prices: Sequence[Price], now: datetime) -> None:
        """Take what was known before a restart; the next answer corrects it."""
        self._recent.take(prices, now)

    async def read(self, now: datetime) -> PriceBook:
        # Noted before the answer comes: a second reader meanwhile gets what is known and does not ask again.
        if self._asked_at is None or now - self._asked_at >= self._every:
            self._asked_at = now
            before = self.problem
            await self._ask(now)
            if self.problem and not before:
                log.warning("the price source fails: %s; the prices known before stay", self.problem)
            elif before and not self.problem:
                log.info("the price source answers again")
        return self._recent.book(now)

    async def _ask(self, now: datetime) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._body()
            prices = parse_price_document(json.loads(body))
        except TimeoutError:
            self.problem = f"{self._shown_url} gave no whole answer in {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, _RefusedError) as error:
            self.problem = f"{self._shown_url} failed: {error or type(error).__name__}"
        except PriceDocumentError as error:
            first = str(error).splitlines()[0]
            self.problem = f"{self._shown_url} gave prices that are refused, {error.count} problems, the first {first}"
        except (ValueError, RecursionError) as error:  # no JSON, or nested beyond reason
            self.problem = f"{self._shown_url} gave no JSON: {error}"
        else:
            self._recent.take(prices, now)
            self.problem = None

    async def _body(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _RefusedError(f"status {answer.status_code}, 200 is needed")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _RefusedError(f"an answer of more than {MAX_BODY_BYTES} bytes")
        return bytes(body)


class _RefusedError(Exception):
    """An answer that is not looked into."""
