"""What each fleet and job is worth: the prices of energy at which to switch it, compiled."""

from datetime import timedelta

import numpy as np

from orchestrator.compiled import compiled, part
from orchestrator.dispatch.anti_cycling import expected_away_s
from orchestrator.dispatch.kernels.blocks import Floats, Ints
from orchestrator.domain.units import KWH_PER_MWH
from orchestrator.observe.phase import Phase

_expected_away_s = part(expected_away_s)
_RUNNING = int(Phase.RUNNING)
_NO_DEADLINE_S = timedelta(days=1).total_seconds()


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
    """By fleet, the prices above which a rack should sleep and below which it should wake."""
    stay, wake = np.full(len(step_count), -np.inf), np.full(len(step_count), -np.inf)
    for row in range(len(step_count)):
        if not step_count[row]:
            continue
        if not np.isnan(plan_stay[row]):
            stay[row] = plan_stay[row]
            wake[row] = min(plan_wake[row], plan_stay[row])
            continue
        value = step_value[row, 0]
        away_s = _expected_away_s(now, woken_at[row], min_off_s[row], outlook_s)
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
