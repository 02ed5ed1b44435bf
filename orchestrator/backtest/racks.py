"""The racks of every fleet in a backtest, counted by step: what they draw, hash and lose by warming up."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.site import SLEEP, Fleet, Site
from orchestrator.planning.columns import FleetColumns, Floats, Ints, hull

LONG_AGO_S = 86_400.0
"""Before the start no rack was moved for this long."""


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
        at = start.timestamp() - LONG_AGO_S
        steps = [hull(fleet) for fleet in site.fleets]
        shape = (len(site.fleets), max((len(of_fleet) for of_fleet in steps), default=0))
        step_kw, step_hs = np.zeros(shape), np.zeros(shape)
        at_step = np.zeros(shape, dtype=np.int64)
        for row, (fleet, of_fleet) in enumerate(zip(site.fleets, steps, strict=True)):
            for number, step in enumerate(of_fleet):
                step_kw[row, number] = step.rise_kw
                step_hs[row, number] = (_hs(fleet, step.to_mode) - _hs(fleet, step.from_mode)) * fleet.machines_per_rack
                if awake and fleet.rack_kw(step.to_mode) <= fleet.rack_kw(fleet.default_mode):
                    at_step[row, number] = fleet.racks
        feeders = [feeder.name for feeder in site.feeders]
        racks = np.array([fleet.racks for fleet in site.fleets], dtype=np.int64)
        self.columns = FleetColumns(
            feeder=np.array([feeders.index(fleet.feeder) for fleet in site.fleets], dtype=np.int64),
            racks=racks,
            movable=racks.copy(),
            held=np.zeros(len(racks), dtype=np.bool_),
            step_count=np.array([len(of_fleet) for of_fleet in steps], dtype=np.int64),
            step_kw=step_kw,
            step_hs=step_hs,
            at_step=at_step,
            asleep_kw=np.array([fleet.rack_kw(SLEEP) for fleet in site.fleets], dtype=np.float64),
            draw_share=np.ones(len(racks)),
            warm_up_s=np.array([fleet.warm_up.total_seconds() for fleet in site.fleets], dtype=np.float64),
            min_on_s=np.array([fleet.min_on.total_seconds() for fleet in site.fleets], dtype=np.float64),
            min_off_s=np.array([fleet.min_off.total_seconds() for fleet in site.fleets], dtype=np.float64),
            woken_at=np.full(len(racks), at),
            slept_at=np.full(len(racks), at),
        )
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
        kw = fleets.racks * fleets.asleep_kw + (fleets.at_step * fleets.step_kw).sum(axis=1)
        rate = (fleets.at_step * fleets.step_hs).sum(axis=1)
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


def _hs(fleet: Fleet, mode: str) -> float:
    """Hashes per second of one machine."""
    return 0.0 if mode == SLEEP else fleet.mode(mode).hashrate_ths * 1e12
