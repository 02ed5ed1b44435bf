"""The table of blocks in merit order, compiled."""

import numpy as np

from orchestrator.compiled import compiled, part
from orchestrator.dispatch.anti_cycling import STEP_HYSTERESIS, may_grow, must_stay_asleep, must_stay_awake
from orchestrator.dispatch.kernels.blocks import Blocks, Flags, Floats, Ints, Places, Rank
from orchestrator.domain.sla import SlaClass
from orchestrator.observe.phase import Phase

_must_stay_awake = part(must_stay_awake)
_must_stay_asleep = part(must_stay_asleep)
_may_grow = part(may_grow)
_GUARANTEED, _DUE, _WORTH = int(Rank.GUARANTEED), int(Rank.DUE), int(Rank.WORTH)
_AT_ANY_PRICE = tuple(of_class.rules.at_any_price for of_class in SlaClass)
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)


@compiled
def table(  # noqa: PLR0912, PLR0915  # one walk over what there is; in parts it would be compiled several times
    now: float,
    places: Places,
    fleets: tuple[Ints, Ints, Flags, Ints, Floats, Floats],
    fleet_state: tuple[Ints, Floats, Floats, Floats, Floats, Floats],
    fleet_switches: tuple[Floats, Floats],
    jobs: tuple[Ints, Ints, Ints, Flags, Ints, Ints, Ints, Ints],
    job_state: tuple[Floats, Flags, Floats, Floats],
    pool_feeder: Ints,
    rise_w: Floats,
) -> Blocks:
    """The blocks, laid out in the order in which equals go first (what runs, then fleets by name, then jobs by age),
    then sorted by value, then by rank, each without changing the order of equals."""
    fleet_feeder, movable, fleet_held, step_count, step_kw, step_value = fleets
    at_step, draw_share, min_on_s, min_off_s, woken_at, slept_at = fleet_state
    fleet_stay, fleet_wake = fleet_switches
    job_pool, sla, phase, job_held, job_gpus, least_gpus, step_gpus, on_gpus = jobs
    changed_at, must_run, job_stay, job_wake = job_state
    most = 2 * (step_kw.size + len(job_pool))
    fleet, job = np.full(most, -1), np.full(most, -1)
    level, rank = np.zeros(most, dtype=np.int64), np.full(most, _WORTH)
    units, value = np.zeros(most, dtype=np.int64), np.zeros(most)
    least, bucket = np.ones(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    count = 0
    for running in (True, False):
        for row in places.fleets:
            stay, wake = fleet_stay[row], fleet_wake[row]
            for number in range(0 if fleet_held[row] else step_count[row]):
                if number:
                    stay = min(stay, step_value[row, number] * (1.0 + STEP_HYSTERESIS))
                    wake = min(wake, step_value[row, number] * (1.0 - STEP_HYSTERESIS))
                on = at_step[row, number]
                here = on if running else movable[row] - on
                if not running and number == 0 and _must_stay_asleep(now, slept_at[row], min_off_s[row]):
                    here = 0
                if here <= 0:
                    continue
                keep_on = running and number == 0 and _must_stay_awake(now, woken_at[row], min_on_s[row])
                fleet[count], level[count], units[count] = row, number, here
                rank[count] = _DUE if keep_on else _WORTH
                value[count] = stay if running else wake
                bucket[count] = 2 if keep_on else 4
                count += 1
        for row in places.jobs:
            if job_held[row] or phase[row] == _STOPPING:
                continue
            runs = phase[row] == _RUNNING
            more = (job_gpus[row] - on_gpus[row]) // step_gpus[row] if runs else 0
            if running == runs:
                place = _WORTH
                if _AT_ANY_PRICE[sla[row]]:
                    place = _GUARANTEED
                elif must_run[row]:
                    place = _DUE
                job[count], rank[count] = row, place
                units[count] = (on_gpus[row] if runs else job_gpus[row]) // step_gpus[row]
                value[count] = job_stay[row] if runs else job_wake[row]
                least[count] = least_gpus[row] // step_gpus[row]
                bucket[count] = 4 if place == _WORTH else 2 * place + (0 if runs else 1)
                count += 1
            elif more > 0 and _may_grow(now, changed_at[row]):
                job[count], units[count], value[count], bucket[count] = row, more, job_wake[row], 4
                count += 1
        if running:
            first_waiting = count
    order = _sorted(value[:count], bucket[:count])
    fleet, job, level = fleet[order], job[order], level[order]
    feeder, pool = np.zeros(count, dtype=np.int64), np.full(count, -1)
    gpus, unit_kw = np.zeros(count, dtype=np.int64), np.zeros(count)
    for at in range(count):
        if fleet[at] >= 0:
            row = fleet[at]
            feeder[at] = fleet_feeder[row]
            unit_kw[at] = step_kw[row, level[at]] * draw_share[row]
        else:
            row = job[at]
            pool[at] = job_pool[row]
            feeder[at] = pool_feeder[pool[at]]
            gpus[at] = step_gpus[row]
            unit_kw[at] = step_gpus[row] * rise_w[pool[at]] / 1000.0
    return Blocks(
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
        fleet_stay,
        fleet_wake,
        job_stay,
        job_wake,
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
