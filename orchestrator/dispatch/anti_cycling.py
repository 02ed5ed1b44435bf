"""All that keeps the site from flapping, on one page: its figures, its rules, and where each is kept.

What could go to and fro, and what stops it:

- Racks asleep and awake: the fleet's minimum on and off times (`must_stay_awake`, `must_stay_asleep`), in dispatch by
  `dispatch.kernels.table`, in a plan by `optimizer.formulate`. They count from the driver's own record, so they survive
  re-planning and restarts.
- Racks at a price around their break-even: warming up costs, so they sleep above it and wake below it; how far apart is
  in `expected_away_s` and `SHORTEST_AWAY`, kept by `dispatch.kernels.break_even`. A plan weighs the same over the ways
  that prices may go (`optimizer.price_paths`); where it knows none it says nothing of fleets (`optimizer.plan_policy`).
- Racks between modes, which costs next to nothing: `STEP_HYSTERESIS`, kept by `dispatch.kernels.table`.
- Anything just switched on, at a cap that is all but full: `domain.headroom.START_MARGIN`; a plan fills no more than
  `domain.headroom.PLANNED_SHARE`.
- Racks on a reading that is not theirs yet: what a fleet draws of its nameplate is measured on racks that have settled
  (`observe.fleet_status.SETTLED_SHARE`), and while a fleet moves the share of before holds: else each move would set
  off another.
- Jobs stopped and started: a restart costs, as a warm-up does (`dispatch.kernels.break_even`); a plan may find a job
  that runs worth more than that, never less; waiting costs a plan `optimizer.first_step.SWITCH_DELAY_USD_PER_GPU_H2`.
- Jobs of one tenant, too many of them: its budget over `domain.sla.BUDGET_SPAN` (`Budget`), and the same job once in
  that time (`stopped_lately`), kept by `dispatch.kernels.due` and `dispatch.decide`.
- Elastic jobs growing and shrinking: `RESIZE_EVERY` (`may_grow`), kept by `dispatch.kernels.table`.
- Moves that are accepted and change nothing: sent again after a wait that doubles up to `MOST_DOUBLED` times
  (`wait_after`), and held meanwhile, by `controller.back_off`; what is on its way is not sent again at all.
- Plans: one in `optimizer.plan_policy.PLAN_EVERY`, and for what changes none sooner than
  `optimizer.plan_policy.AT_LEAST_APART`.

Compiled code calls these functions too: what this file imports of ours is part of what is compiled.
"""

from collections import deque
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.sla import BUDGET_SPAN

Ints = NDArray[np.int64]

SHORTEST_AWAY = timedelta(minutes=5)
"""ERCOT's dispatch interval: prices last no shorter."""

STEP_HYSTERESIS = 0.02
"""A throttle costs nearly nothing; this share of its value keeps it from following every cent."""

RESIZE_EVERY = timedelta(minutes=10)
"""An elastic job is not let grow again sooner: it pauses to share its work out anew."""

MOST_DOUBLED = 4
"""Times that the wait for a move without effect is doubled: at a limit of 60 s, from 2 to 32 minutes."""

SAME_TIME_S = 1e-6
"""Unix seconds as floats are good to less than this."""

_SHORTEST_AWAY_S = SHORTEST_AWAY.total_seconds()
_RESIZE_EVERY_S = RESIZE_EVERY.total_seconds()
_BUDGET_SPAN_S = BUDGET_SPAN.total_seconds()


def must_stay_awake(now: float, woken_at: float, min_on_s: float) -> bool:
    """A rack of the fleet was woken less than its minimum on time ago. Times are unix seconds, here and below."""
    return now < woken_at + min_on_s - SAME_TIME_S


def must_stay_asleep(now: float, slept_at: float, min_off_s: float) -> bool:
    """A rack of the fleet was put to sleep less than its minimum off time ago."""
    return now < slept_at + min_off_s - SAME_TIME_S


def expected_away_s(now: float, woken_at: float, min_off_s: float, price_persistence_s: float) -> float:
    """For how long a rack that is put to sleep now is expected to sleep: what a warm-up is weighed against.

    As long as the price is taken to last, but after a recent wake-up half the time awake since. Prices that go to and
    fro would else put a fleet to sleep each time for an hour that never comes: in turn around the break-even each 15
    minutes, that costs more than sleeping saves.
    """
    return min(max((now - woken_at) / 2.0, min_off_s, _SHORTEST_AWAY_S), price_persistence_s)


def may_grow(now: float, changed_at: float) -> bool:
    """An elastic job has run long enough on the GPUs it has."""
    return now - changed_at >= _RESIZE_EVERY_S - SAME_TIME_S


def stopped_lately(now: float, interrupted_at: float) -> bool:
    """A job was interrupted within the span of budgets: it is not stopped again, so that counting jobs counts
    interruptions."""
    return now - interrupted_at < _BUDGET_SPAN_S - SAME_TIME_S


class Budget:
    """Interruptions of each tenant within the span over which they are counted, for whoever keeps no record of them."""

    def __init__(self, allowed: Ints) -> None:
        """`allowed` (tenants,): interruptions in any such span."""
        self._allowed = allowed
        self._spent = np.zeros(len(allowed), dtype=np.int64)
        self._recent: deque[tuple[float, Ints]] = deque()

    def left(self, at_s: float) -> Ints:
        """(tenants,); negative where more were interrupted than allowed."""
        while self._recent and at_s - self._recent[0][0] >= _BUDGET_SPAN_S:
            self._spent -= self._recent.popleft()[1]
        return self._allowed - self._spent

    def spend(self, at_s: float, tenants: Ints) -> None:
        """A job of each of `tenants`, rows of the site file, was interrupted."""
        if len(tenants):
            counts = np.bincount(tenants, minlength=len(self._spent))
            self._spent += counts
            self._recent.append((at_s, counts))


def wait_after(tries: int, verify_within: timedelta) -> timedelta:
    """How long a target is left alone after so many moves that changed nothing."""
    return verify_within * 2.0 ** min(tries, MOST_DOUBLED + 1)
