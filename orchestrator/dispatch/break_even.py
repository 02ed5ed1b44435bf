"""What each fleet and job is worth: the prices of energy at which to switch it, and who must run at any price.

Functions that are compiled call none of another file, and read no constant of one: what numba keeps on disk would
outlive a change there.
"""

from datetime import timedelta

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.domain.units import HASHES_PER_PH_DAY, KWH_PER_MWH, SECONDS_PER_HOUR
from orchestrator.observe.columns import Flags, Floats, Ints, Phase, Sla

DEADLINE_MARGIN = timedelta(minutes=20)
"""A flexible job with less slack than this must run."""

BUDGET_SPAN = timedelta(hours=1)
"""Over which a tenant's interruptions are counted."""

SHORTEST_AWAY = timedelta(minutes=5)
"""ERCOT's dispatch interval: prices last no shorter."""

SAME_TIME_S = 1e-6
"""Unix seconds as floats are good to less than this."""

_FLEXIBLE = int(Sla.FLEXIBLE)
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)
_DEADLINE_MARGIN_S, _BUDGET_SPAN_S = DEADLINE_MARGIN.total_seconds(), BUDGET_SPAN.total_seconds()
_SHORTEST_AWAY_S = SHORTEST_AWAY.total_seconds()
_NO_DEADLINE_S = timedelta(days=1).total_seconds()


def step_values(step_hs: Floats, step_kw: Floats, hashprice_usd_per_ph_day: float, pue: float) -> Floats:
    """(fleets, S): what the rise of a rack by each step earns, USD per MWh more at the grid; 0 in the padding."""
    usd_per_hour = step_hs * SECONDS_PER_HOUR / HASHES_PER_PH_DAY * hashprice_usd_per_ph_day
    return np.divide(usd_per_hour, step_kw * pue / KWH_PER_MWH, out=np.zeros_like(step_kw), where=step_kw > 0.0)


@compiled
def fleet_prices(
    now: float,
    outlook_s: float,
    step_count: Ints,
    step_value: Floats,
    warm_up_s: Floats,
    min_off_s: Floats,
    woken_at: Floats,
    plan_stay: Floats,
    plan_wake: Floats,
) -> tuple[Floats, Floats]:
    """By fleet, the prices above which a rack should sleep and below which it should wake.

    A sleep is expected to last for the outlook, but after a recent wake-up half the time awake since. Prices that go
    to and fro would else put a fleet to sleep each time for an hour that never comes: in turn around the break-even
    each 15 minutes, that costs more than sleeping saves.
    """
    stay, wake = np.full(len(step_count), -np.inf), np.full(len(step_count), -np.inf)
    for row in range(len(step_count)):
        if not step_count[row]:
            continue
        if not np.isnan(plan_stay[row]):
            stay[row] = plan_stay[row]
            wake[row] = min(plan_wake[row], plan_stay[row])
            continue
        value = step_value[row, 0]
        away_s = min(max((now - woken_at[row]) / 2.0, min_off_s[row], _SHORTEST_AWAY_S), outlook_s)
        stay[row] = value * (1.0 + warm_up_s[row] / away_s)
        wake[row] = value * max(1.0 - warm_up_s[row] / outlook_s, 0.0)
    return stay, wake


@compiled
def job_prices(
    now: float,
    pue: float,
    outlook_s: float,
    pool: Ints,
    phase: Ints,
    gpus: Ints,
    on_gpus: Ints,
    left_s: Floats,
    deadline: Floats,
    restart_s: Floats,
    usd_per_gpu_h: Floats,
    credit_share: Floats,
    rise_w: Floats,
    plan_stay: Floats,
    plan_wake: Floats,
) -> tuple[Floats, Floats, Floats]:
    """By job: time it can still wait and meet its deadline, s (a day where it has none or it is past), and the prices
    above which it should pause and below which it should start.

    Pausing gives up what it earns in the outlook and in its restart, and risks the credit for a missed deadline. It
    loses no work: it writes a checkpoint when it is asked to stop. A plan may find a job that runs worth more than
    that, never less: by the plan alone jobs went to and fro twice as often, for 0.05 % of a month's profit.
    """
    slack_s, stay, wake = np.empty(len(pool)), np.empty(len(pool)), np.empty(len(pool))
    for row in range(len(pool)):
        slack_s[row] = _NO_DEADLINE_S
        if now < deadline[row] < np.inf:
            wait_s = 0.0 if phase[row] == _RUNNING else restart_s[row]
            slack_s[row] = deadline[row] - now - wait_s - left_s[row] / on_gpus[row]
        rise_kw = gpus[row] * rise_w[pool[row]] / 1000.0
        value = usd_per_gpu_h[row] * gpus[row] / (rise_kw * pue) * KWH_PER_MWH
        missed = max((outlook_s - slack_s[row]) / outlook_s, 0.0)
        stay[row] = value * (1.0 + restart_s[row] / outlook_s) + credit_share[row] * value * missed
        if np.isnan(plan_stay[row]):
            wake[row] = value * max(1.0 - restart_s[row] / outlook_s, 0.0)
        else:
            stay[row] = max(stay[row], plan_stay[row])
            wake[row] = min(plan_wake[row], stay[row])
    return slack_s, stay, wake


@compiled
def due(
    now: float,
    interruptions_left: Ints,
    tenant: Ints,
    sla: Ints,
    phase: Ints,
    held: Flags,
    done_s: Floats,
    interrupted_at: Floats,
    slack_s: Floats,
    by_name: Ints,
) -> Flags:
    """Jobs that must run: flexible ones that would miss their deadline, and those that hold GPUs which their tenants'
    budgets of interruptions do not let go.

    Those with the least work done are let go first. A job is stopped once in an hour at most, so that counting jobs
    counts interruptions; one that runs on for its deadline is not counted.
    """
    must_run = np.zeros(len(tenant), dtype=np.bool_)
    candidates = np.zeros(len(interruptions_left), dtype=np.int64)
    asked = np.zeros(len(tenant), dtype=np.bool_)
    for row in range(len(tenant)):
        if sla[row] == _FLEXIBLE and slack_s[row] < _DEADLINE_MARGIN_S - SAME_TIME_S:
            must_run[row] = True
            continue
        if phase[row] != _RUNNING and phase[row] != _STOPPING:
            continue
        must_run[row] = True
        if held[row] or now - interrupted_at[row] < _BUDGET_SPAN_S - SAME_TIME_S:
            continue
        asked[row] = True
        candidates[tenant[row]] += 1
    in_turn = by_name
    for number in range(len(candidates)):
        if interruptions_left[number] < candidates[number]:
            in_turn = by_name[np.argsort(done_s[by_name], kind="mergesort")]
            break
    left = interruptions_left.copy()
    for row in in_turn:
        if asked[row] and left[tenant[row]] > 0:
            left[tenant[row]] -= 1
            must_run[row] = False
    return must_run
