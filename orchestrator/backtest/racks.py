"""The racks of every fleet in a backtest, counted by step: what they draw, hash and lose by warming up."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from orchestrator.dispatch.baseline import warm
from orchestrator.domain.site.site import Site
from orchestrator.observe.columns import Floats, Ints


@dataclass(frozen=True, slots=True)
class FleetsSettled:
    """What the fleets did in one interval, a row each. Powers are IT power."""

    it_kw: Floats
    hashes: Floats
    woken: Ints
    """Racks woken at its start."""


class Racks:
    """Racks move at the start of an interval and draw what their mode's nameplate says.

    One that wakes draws full power and hashes nothing for its fleet's warm-up. Of racks that go to sleep those woken
    last go first: they have least to lose.
    """

    def __init__(self, site: Site, start: datetime, *, awake: bool) -> None:
        """Asleep, or warm if `awake`: in the default mode, or the next lower one that is worth using at some price."""
        self.columns = warm(site, start.timestamp())
        if not awake:
            self.columns = replace(self.columns, at_step=np.zeros_like(self.columns.at_step))
        self._warming: list[list[tuple[int, float]]] = [[] for _ in site.fleets]
        """By fleet, racks and the seconds of warm-up that they have left, the oldest first."""

    def move(self, at_step: NDArray[np.int64], at_s: float) -> Ints:
        """Put `at_step[f, s]` racks of each fleet in step `s` or above; how many of each were woken."""
        before = self.columns
        change = at_step[:, 0] - before.at_step[:, 0] if at_step.shape[1] else np.zeros(len(before), dtype=np.int64)
        self.columns = replace(
            before,
            at_step=at_step,
            woken_at=np.where(change > 0, at_s, before.woken_at),
            slept_at=np.where(change < 0, at_s, before.slept_at),
        )
        for row in np.flatnonzero(change):
            if change[row] > 0:
                self._warming[row].append((int(change[row]), float(before.warm_up_s[row])))
            else:
                self._put_to_sleep(int(row), -int(change[row]))
        return np.maximum(change, 0)

    def _put_to_sleep(self, row: int, racks: int) -> None:
        warming = self._warming[row]
        while racks and warming:
            count, left_s = warming.pop()
            if count > racks:
                warming.append((count - racks, left_s))
            racks = max(racks - count, 0)

    def settle(self, woken: Ints, interval_s: float) -> FleetsSettled:
        """Let an interval go by after `move`, which woke `woken`."""
        fleets = self.columns
        kw = fleets.racks * fleets.asleep_kw + (fleets.at_step * fleets.rise_kw).sum(axis=1)
        rate = (fleets.at_step * fleets.rise_hs).sum(axis=1)
        hashes = rate * interval_s
        for row, warming in enumerate(self._warming):
            if not warming:
                continue
            lost_s = sum(count * min(left_s, interval_s) for count, left_s in warming)
            hashes[row] -= rate[row] / max(int(fleets.at_step[row, 0]), 1) * lost_s
            self._warming[row] = [
                (count, left_s - interval_s) for count, left_s in warming if left_s - interval_s > 0.0
            ]
        return FleetsSettled(it_kw=kw, hashes=hashes, woken=woken)
