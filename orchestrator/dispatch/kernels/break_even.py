"""What each fleet and job is worth: the prices of energy at which to switch it, compiled."""

from datetime import timedelta

import numpy as np

from orchestrator.compiled import compiled, part
from orchestrator.dispatch.anti_cycling import expected_away_s
from orchestrator.dispatch.kernels.rows import Fleets, Jobs, Moment, PoolColumns, Switches
from orchestrator.dispatch.kernels.tranches import Floats
from orchestrator.domain.units import KWH_PER_MWH
from orchestrator.observe.phase import Phase

_expected_away_s = part(expected_away_s)
_RUNNING = int(Phase.RUNNING)
_NO_DEADLINE_S = timedelta(days=1).total_seconds()


@compiled
def fleet_prices(fleets: Fleets, step_value: Floats, moment: Moment, planned: Switches) -> tuple[Floats, Floats]:
    """By fleet, the prices above which a rack should sleep and below which it should wake.

    `step_value` (fleets, S): what the rise of a rack by each step earns, USD per MWh more at the grid.
    """
    count = len(fleets.step_count)
    stay, wake, persistence_s = np.full(count, -np.inf), np.full(count, -np.inf), moment.price_persistence_s
    for row in range(count):
        if not fleets.step_count[row]:
            continue
        if not np.isnan(planned.fleet_stay[row]):
            stay[row] = planned.fleet_stay[row]
            wake[row] = min(planned.fleet_wake[row], planned.fleet_stay[row])
            continue
        value, warm_up_s = step_value[row, 0], fleets.warm_up_s[row]
        away_s = _expected_away_s(moment.at, fleets.woken_at[row], fleets.min_off_s[row], persistence_s)
        stay[row] = value * (1.0 + warm_up_s / away_s)
        wake[row] = value * max(1.0 - warm_up_s / persistence_s, 0.0)
    return stay, wake


@compiled
def job_prices(jobs: Jobs, pools: PoolColumns, moment: Moment, planned: Switches) -> tuple[Floats, Floats, Floats]:
    """By job: time it can still wait and meet its deadline, s (a day where it has none or it is past), and the prices
    above which it should pause and below which it should start.

    Pausing gives up what it earns while the price lasts and in its restart, and risks the credit for a missed deadline.
    It loses no work: it writes a checkpoint when it is asked to stop. A plan may find a job that runs worth more than
    that, never less: by the plan alone jobs went to and fro twice as often, for 0.05 % of a month's profit.
    """
    count, now, persistence_s, rise = len(jobs.pool), moment.at, moment.price_persistence_s, rise_w(pools)
    slack_s, stay, wake = np.empty(count), np.empty(count), np.empty(count)
    for row in range(count):
        restart_s, deadline, gpus = jobs.restart_s[row], jobs.deadline[row], jobs.gpus[row]
        slack_s[row] = _NO_DEADLINE_S
        if now < deadline < np.inf:
            wait_s = 0.0 if jobs.phase[row] == _RUNNING else restart_s
            slack_s[row] = deadline - now - wait_s - jobs.left_s[row] / jobs.on_gpus[row]
        rise_kw = gpus * rise[jobs.pool[row]] / 1000.0
        value = jobs.usd_per_gpu_h[row] * gpus / (rise_kw * moment.pue) * KWH_PER_MWH
        missed = max((persistence_s - slack_s[row]) / persistence_s, 0.0)
        stay[row] = value * (1.0 + restart_s / persistence_s) + jobs.credit_share[row] * value * missed
        if np.isnan(planned.job_stay[row]):
            wake[row] = value * max(1.0 - restart_s / persistence_s, 0.0)
        else:
            stay[row] = max(stay[row], planned.job_stay[row])
            wake[row] = min(planned.job_wake[row], stay[row])
    return slack_s, stay, wake


@compiled
def rise_w(pools: PoolColumns) -> Floats:
    """By pool, what a GPU that works draws above an idle one."""
    return np.maximum(pools.gpu_power_w - pools.gpu_idle_w, 0.0)
