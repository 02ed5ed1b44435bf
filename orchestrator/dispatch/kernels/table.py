"""The table of tranches in merit order, compiled."""

import numpy as np

from orchestrator.compiled import compiled, part
from orchestrator.dispatch.anti_cycling import STEP_HYSTERESIS, may_grow, must_stay_asleep, must_stay_awake
from orchestrator.dispatch.kernels.break_even import fleet_prices, job_prices, rise_w
from orchestrator.dispatch.kernels.due import due
from orchestrator.dispatch.kernels.rows import Fleets, Jobs, Moment, PoolColumns, Switches
from orchestrator.dispatch.kernels.tranches import Flags, Floats, Ints, Places, Rank, Tranches
from orchestrator.domain.sla import SlaClass
from orchestrator.observe.phase import Phase

_must_stay_awake = part(must_stay_awake)
_must_stay_asleep = part(must_stay_asleep)
_may_grow = part(may_grow)
_GUARANTEED, _DUE, _WORTH = int(Rank.GUARANTEED), int(Rank.DUE), int(Rank.WORTH)
_AT_ANY_PRICE = tuple(of_class.rules.at_any_price for of_class in SlaClass)
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)


@compiled
def lay_out(
    fleets: Fleets,
    jobs: Jobs,
    pools: PoolColumns,
    moment: Moment,
    planned: Switches,
    places: Places,
    step_value: Floats,
) -> Tranches:
    """The table, by a plan's prices where they are known.

    `step_value` (fleets, S): what the rise of a rack by each step earns, USD per MWh more at the grid.
    """
    fleet_stay, fleet_wake = fleet_prices(fleets, step_value, moment, planned)
    slack_s, job_stay, job_wake = job_prices(jobs, pools, moment, planned)
    switches = Switches(fleet_stay, fleet_wake, job_stay, job_wake)
    must_run = due(jobs, slack_s, moment, places)
    return _table(fleets, jobs, pools, moment, switches, places, step_value, must_run)


@compiled
def _table(  # noqa: PLR0912, PLR0915  # one walk over what there is; in parts it would be compiled several times
    fleets: Fleets,
    jobs: Jobs,
    pools: PoolColumns,
    moment: Moment,
    switches: Switches,
    places: Places,
    step_value: Floats,
    must_run: Flags,
) -> Tranches:
    """The tranches, laid out in the order in which equals go first (what runs, then fleets by name, then jobs by age),
    then sorted by value, then by rank, each without changing the order of equals."""
    now, at_step, step_count, phase = moment.at, fleets.at_step, fleets.step_count, jobs.phase
    step_gpus, on_gpus = jobs.step_gpus, jobs.on_gpus
    most = 2 * (fleets.rise_kw.size + len(jobs.pool))
    fleet, job = np.full(most, -1), np.full(most, -1)
    level, rank = np.zeros(most, dtype=np.int64), np.full(most, _WORTH)
    units, value = np.zeros(most, dtype=np.int64), np.zeros(most)
    least, bucket = np.ones(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    count = 0
    for running in (True, False):
        for row in places.fleets:
            stay, wake = switches.fleet_stay[row], switches.fleet_wake[row]
            for number in range(0 if fleets.held[row] else step_count[row]):
                if number:
                    stay = min(stay, step_value[row, number] * (1.0 + STEP_HYSTERESIS))
                    wake = min(wake, step_value[row, number] * (1.0 - STEP_HYSTERESIS))
                on = at_step[row, number]
                here = on if running else fleets.movable[row] - on
                if not running and fleets.dark[row]:
                    here = 0
                if not running and number == 0 and _must_stay_asleep(now, fleets.slept_at[row], fleets.min_off_s[row]):
                    here = 0
                if here <= 0:
                    continue
                keep_on = running and number == 0 and _must_stay_awake(now, fleets.woken_at[row], fleets.min_on_s[row])
                fleet[count], level[count], units[count] = row, number, here
                rank[count] = _DUE if keep_on else _WORTH
                value[count] = stay if running else wake
                bucket[count] = 2 if keep_on else 4
                count += 1
        for row in places.jobs:
            if jobs.held[row] or phase[row] == _STOPPING:
                continue
            runs = phase[row] == _RUNNING
            more = (jobs.gpus[row] - on_gpus[row]) // step_gpus[row] if runs else 0
            if running == runs:
                place = _WORTH
                if _AT_ANY_PRICE[jobs.sla[row]]:
                    place = _GUARANTEED
                elif must_run[row]:
                    place = _DUE
                job[count], rank[count] = row, place
                units[count] = (on_gpus[row] if runs else jobs.gpus[row]) // step_gpus[row]
                value[count] = switches.job_stay[row] if runs else switches.job_wake[row]
                least[count] = jobs.least_gpus[row] // step_gpus[row]
                bucket[count] = 4 if place == _WORTH else 2 * place + (0 if runs else 1)
                count += 1
            elif more > 0 and _may_grow(now, jobs.changed_at[row]):
                job[count], units[count], value[count], bucket[count] = row, more, switches.job_wake[row], 4
                count += 1
        if running:
            first_waiting = count
    order = _sorted(value[:count], bucket[:count])
    fleet, job, level = fleet[order], job[order], level[order]
    feeder, pool = np.zeros(count, dtype=np.int64), np.full(count, -1)
    gpus, unit_kw = np.zeros(count, dtype=np.int64), np.zeros(count)
    rise = rise_w(pools)
    for at in range(count):
        if fleet[at] >= 0:
            row = fleet[at]
            feeder[at] = fleets.feeder[row]
            unit_kw[at] = fleets.rise_kw[row, level[at]] * fleets.draw_share[row]
        else:
            row = job[at]
            pool[at] = jobs.pool[row]
            feeder[at] = pools.feeder[pool[at]]
            gpus[at] = step_gpus[row]
            unit_kw[at] = step_gpus[row] * rise[pool[at]] / 1000.0
    return Tranches(
        fleet,
        job,
        level,
        rank[order],
        order < first_waiting,
        units[order],
        unit_kw,
        value[order],
        feeder,
        pool,
        gpus,
        least[order],
        switches.fleet_stay,
        switches.fleet_wake,
        switches.job_stay,
        switches.job_wake,
    )


@compiled
def _sorted(value: Floats, bucket: Ints) -> Ints:
    """Rows by bucket, then by descending value, then as they are."""
    by_value = np.argsort(-value, kind="mergesort")
    start = np.zeros(6, dtype=np.int64)
    for row in range(len(bucket)):
        start[bucket[row] + 1] += 1
    start = np.cumsum(start)
    order = np.empty(len(value), dtype=np.int64)
    for row in by_value:
        order[start[bucket[row]]] = row
        start[bucket[row]] += 1
    return order
