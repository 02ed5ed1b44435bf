"""What wakes the control loop: its tick, a new price, and an action that is still to be seen in the meter.

Orders and pushed prices wake it too, by a call from the API (`live_site.py`). Times of waiting are of the wall clock.
"""

import time
from datetime import timedelta

from orchestrator.adapters.prices.polled import PolledPrices
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.clock import SiteClock
from orchestrator.controller import VERIFY_EVERY
from orchestrator.domain.market import PriceBook
from orchestrator.runtime.schedule import Schedule, Work

SHORTEST_TICK_S = 1.0
"""On the wall: a tick scrapes the whole site."""
SHORTEST_VERIFY_S = 0.5


class WakeUps:
    """Has the loop go round by `look`, which reads the meters first, or by `on_price`, which answers at once."""

    def __init__(
        self,
        clock: SiteClock,
        tick: timedelta,
        prices: ReplayedPrices | PolledPrices | PushedPrices,
        *,
        look: Work,
        on_price: Work,
    ) -> None:
        """`tick` is site time."""
        self.schedule = Schedule()
        self._clock = clock
        self._tick = tick
        self._prices = prices
        self._look = look
        self._on_price = on_price
        self._polled: PriceBook | None = None

    def start(self) -> None:
        """Begin with a look at once."""
        every_s = max(self._clock.wall_seconds(self._tick), SHORTEST_TICK_S)
        self.schedule.every("tick", every_s, self._look, at_once=True)
        if isinstance(self._prices, ReplayedPrices):
            self._await_price(self._prices)
        elif isinstance(self._prices, PolledPrices):
            self.schedule.every("poll", SHORTEST_TICK_S, self._poll)
        self.schedule.start()

    def look_soon(self) -> None:
        """Before the next tick: an action is under way."""
        if self.schedule.running:
            wait_s = max(self._clock.wall_seconds(VERIFY_EVERY), SHORTEST_VERIFY_S)
            self.schedule.once("verify", wait_s, self._look)

    def _await_price(self, prices: ReplayedPrices) -> None:
        """Only replayed prices are known to come."""

        async def come() -> None:
            self._await_price(prices)
            await self._on_price()

        change = prices.next_change(self._clock.at(time.time()))
        if change is not None:
            self.schedule.once("price", self._clock.wall_at(change) - time.time(), come)

    async def _poll(self) -> None:
        book = await self._prices.read(self._clock.at(time.time()))
        before, self._polled = self._polled, book
        if before is not None and book != before:
            await self._on_price()
