"""A simulated rack of ASIC miners: power, heat and hash in closed form, advanced by explicit time.

The machines of a rack are alike but for when they start to hash after a wake-up, so the rack is one cohort and a
step costs the same at 6 machines and at 600. Between two events (a new setpoint, a fault, a repair) every quantity
has a closed form, so the size of the steps changes nothing.
"""

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import NamedTuple

from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.sim.spread import Spread

RAMP_UP_S = 10.0
RAMP_DOWN_S = 5.0
"""Time constants with which power follows a setpoint: fans and regulators take seconds."""
RETUNE_S = 10.0
"""A machine that changes mode while awake hashes nothing for this long."""
HEAT_S = 90.0
CHIP_IDLE_RISE_C = 5.0
CHIP_LOAD_RISE_C = 45.0
"""Chips above outdoor air: asleep, and more at full power, reached with time constant HEAT_S."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often machines break and for how long. Assumed, not measured: some 5 % fail and 9 % hang in a year."""

    fail_per_machine_h: float = 6e-6
    repair_s: float = 4 * 3600.0
    """Mean; from the failure until the machine hashes again."""
    hang_per_machine_h: float = 1e-5
    reset_s: float = 1200.0
    """Mean time until a watchdog resets a hung machine."""


NO_FAULTS = FaultRates(fail_per_machine_h=0.0, hang_per_machine_h=0.0)


class RackReport(NamedTuple):
    """What a rack's agent knows of it. A rack of which no machine answers keeps its last report, whose age shows."""

    at: float
    """When the machines last answered, unix seconds of site time."""
    mode: str
    power_w: float
    power_limit_w: float
    """Nameplate of the setpoint, all machines."""
    hashrate_hs: float
    temperature_c: float
    energy_j: float
    hashes: float
    hashing: int
    warming: int
    asleep: int
    failed: int
    hung: int


class RackModel:
    """One rack of a fleet from `at` (unix seconds of site time) on; asleep, or warm in the mode `awake`."""

    def __init__(
        self,
        fleet: Fleet,
        rack: str,
        *,
        seed: int,
        at: float,
        awake: str | None = None,
        faults: FaultRates | None = None,
        outdoor_c: float = 30.0,
        spread: Spread | None = None,
    ) -> None:
        self.name = rack
        self.setpoint = SLEEP
        self.energy_j = 0.0
        """Drawn since `at`, all machines, whether they answer or not."""
        self.hashes = 0.0
        self._fleet = fleet
        self._at = at
        self._random = Random(f"{seed}/{rack}")  # noqa: S311  a simulation, no secret
        self._faults = faults or FaultRates()
        spread = spread or Spread()
        warm_up_s = fleet.warm_up.total_seconds()
        self._warm_s = sorted(self._random.uniform(*spread.warm_up) * warm_up_s for _ in range(fleet.machines_per_rack))
        self._warm_sum_s = [0.0, *accumulate(self._warm_s)]
        self._power_share = self._random.uniform(*spread.rack_power)
        self._hash_share = self._random.uniform(*spread.rack_hash)
        self._healthy = fleet.machines_per_rack
        self._failed = 0
        self._hung = 0
        self._hung_w = 0.0
        self._silent_since: RackReport | None = None
        self._events: list[tuple[float, int, str]] = []
        self._event_count = 0
        self._expect("fail", self._faults.fail_per_machine_h)
        self._expect("hang", self._faults.hang_per_machine_h)
        self._outdoor_c = outdoor_c
        self._wake_at = self._retune_until = at
        self._aim(awake or SLEEP)
        if awake is not None:
            self._wake_at = at - self._warm_s[-1] - 1.0  # all of them, whatever floats round to
        self._unit_w = self._target_w
        self._temperature_c = self._target_c

    def advance(self, to: float) -> None:
        """Let time pass until `to`; a time already passed changes nothing."""
        while self._events and self._events[0][0] <= to:
            at, _, kind = heapq.heappop(self._events)
            self._pass(at)
            self._happen(kind)
        self._pass(to)

    def set_mode(self, mode: str, at: float) -> None:
        """Follow setpoint `mode` (or SLEEP) from `at` on; hung machines do not. KeyError for an unknown mode."""
        self.advance(at)
        if mode == self.setpoint:
            return
        asleep = self.setpoint == SLEEP
        self._aim(mode)
        if mode != SLEEP and asleep:
            self._wake_at = at
        elif mode != SLEEP:
            self._retune_until = at + RETUNE_S

    def fail(self, machines: int, at: float, repair_s: float | None = None) -> None:
        """Let up to `machines` working machines fail; back after `repair_s`, or never if None."""
        self.advance(at)
        for _ in range(min(machines, self._healthy)):
            self._healthy -= 1
            self._failed += 1
            if repair_s is not None:
                self._schedule("repaired", repair_s)

    def hang(self, at: float) -> None:
        """Let every working machine hang: power stays, nothing is hashed, no setpoint is followed, until `reset`."""
        self.advance(at)
        last = self.report()
        while self._healthy:
            self._hang_one()
        if self._hung:
            self._silent_since = last._replace(hashing=0, warming=0, asleep=0, hung=self._hung)

    def reset(self, at: float) -> None:
        """Restart all hung machines; they follow the setpoint again, with a warm-up if it is not sleep."""
        self.advance(at)
        if self._silent_since is not None:
            self._unit_w = self._hung_w / self._hung
            self._wake_at = at
        self._healthy += self._hung
        self._hung, self._hung_w = 0, 0.0
        self._silent_since = None

    @property
    def power_w(self) -> float:
        """True power at the last advance, all machines, whether they answer or not."""
        return self._healthy * self._unit_w + self._hung_w

    def report(self) -> RackReport:
        """The agent's view at the last advance."""
        if self._silent_since is not None:
            return self._silent_since
        asleep = self.setpoint == SLEEP
        hashing = 0 if asleep or self._at < self._retune_until else self._warm(self._at - self._wake_at)
        return RackReport(
            at=self._at,
            mode=self.setpoint,
            power_w=self.power_w,
            power_limit_w=self._limit_w * self._fleet.machines_per_rack,
            hashrate_hs=hashing * self._unit_hs,
            temperature_c=self._temperature_c,
            energy_j=self.energy_j,
            hashes=self.hashes,
            hashing=hashing,
            warming=0 if asleep else self._healthy - hashing,
            asleep=self._healthy if asleep else 0,
            failed=self._failed,
            hung=self._hung,
        )

    def _aim(self, mode: str) -> None:
        """Set what power, hash and heat tend to."""
        if mode == SLEEP:
            self._limit_w, ths = self._fleet.sleep_w, 0.0
        else:
            known = self._fleet.mode(mode)
            self._limit_w, ths = known.power_w, known.hashrate_ths
        self.setpoint = mode
        self._target_w = self._limit_w * self._power_share
        self._unit_hs = ths * 1e12 * self._hash_share
        load = self._target_w / self._fleet.modes[-1].power_w
        self._target_c = self._outdoor_c + CHIP_IDLE_RISE_C + CHIP_LOAD_RISE_C * load

    def _pass(self, to: float) -> None:
        """Integrate power, heat and hash to `to`, during which nothing happens."""
        span_s = to - self._at
        if span_s <= 0.0:
            return
        unit_j = self._target_w * span_s
        off_w = self._unit_w - self._target_w
        if off_w:
            ramp_s = RAMP_DOWN_S if off_w > 0.0 else RAMP_UP_S
            left = math.exp(-span_s / ramp_s)
            unit_j += off_w * ramp_s * (1.0 - left)
            self._unit_w = self._target_w + off_w * left if abs(off_w * left) > 1e-6 else self._target_w
        self.energy_j += self._healthy * unit_j + self._hung_w * span_s
        self._temperature_c = self._target_c + (self._temperature_c - self._target_c) * math.exp(-span_s / HEAT_S)
        hash_from = max(self._at, self._retune_until)
        if self._unit_hs and to > hash_from:
            self.hashes += self._unit_hs * (self._machine_seconds(to) - self._machine_seconds(hash_from))
        self._at = to

    def _warm(self, awake_s: float) -> int:
        """Machines hashing `awake_s` after the wake-up. Those out of order count as the last to warm up."""
        return min(bisect_right(self._warm_s, awake_s), self._healthy)

    def _machine_seconds(self, at: float) -> float:
        """Seconds hashed by `at` since the wake-up, summed over the machines now healthy."""
        awake_s = at - self._wake_at
        warm = self._warm(awake_s)
        return warm * awake_s - self._warm_sum_s[warm]

    def _happen(self, kind: str) -> None:
        if kind == "fail":
            self._expect("fail", self._faults.fail_per_machine_h)
            if self._healthy:
                self._healthy -= 1
                self._failed += 1
                self._schedule("repaired", self._random.expovariate(1.0 / self._faults.repair_s))
        elif kind == "hang":
            self._expect("hang", self._faults.hang_per_machine_h)
            if self._healthy > 1:  # a whole rack hangs only when told to
                self._hang_one()
                self._schedule("reset", self._random.expovariate(1.0 / self._faults.reset_s))
        elif kind == "repaired":
            self._failed -= 1
            self._healthy += 1
        elif self._hung and self._silent_since is None:  # "reset" of one machine; a hung rack waits for reset()
            self._hung_w *= 1.0 - 1.0 / self._hung
            self._hung -= 1
            self._healthy += 1

    def _hang_one(self) -> None:
        self._hung_w += self._unit_w
        self._hung += 1
        self._healthy -= 1

    def _expect(self, kind: str, per_machine_h: float) -> None:
        """Draw when the next such fault of the rack comes."""
        if per_machine_h > 0.0:
            per_s = per_machine_h * self._fleet.machines_per_rack / 3600.0
            self._schedule(kind, self._random.expovariate(per_s))

    def _schedule(self, kind: str, in_s: float) -> None:
        self._event_count += 1
        heapq.heappush(self._events, (self._at + in_s, self._event_count, kind))
