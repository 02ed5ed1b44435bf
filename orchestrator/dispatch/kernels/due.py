"""Who must run at any price, compiled."""

import numpy as np

from orchestrator.compiled import compiled, part
from orchestrator.dispatch.anti_cycling import SAME_TIME_S, stopped_lately
from orchestrator.dispatch.kernels.rows import Jobs, Moment
from orchestrator.dispatch.kernels.tranches import Flags, Floats, Places
from orchestrator.domain.sla import DEADLINE_MARGIN, SlaClass
from orchestrator.observe.phase import Phase

_stopped_lately = part(stopped_lately)
_SLACK_KEPT = tuple(of_class.rules.slack_kept for of_class in SlaClass)
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)
_DEADLINE_MARGIN_S = DEADLINE_MARGIN.total_seconds()


@compiled
def due(jobs: Jobs, slack_s: Floats, moment: Moment, places: Places) -> Flags:
    """Jobs that must run: those that wait for their deadline and would miss it, and those that hold GPUs which their
    tenants' budgets of interruptions do not let go.

    Those with the least work done are let go first; one that runs on for its deadline is not counted.
    """
    count, tenant, phase, by_name = len(jobs.pool), jobs.tenant, jobs.phase, places.jobs_by_name
    must_run, asked = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    candidates = np.zeros(len(moment.interruptions_left), dtype=np.int64)
    for row in range(count):
        if _SLACK_KEPT[jobs.sla[row]] and slack_s[row] < _DEADLINE_MARGIN_S - SAME_TIME_S:
            must_run[row] = True
            continue
        if phase[row] != _RUNNING and phase[row] != _STOPPING:
            continue
        must_run[row] = True
        if jobs.held[row] or _stopped_lately(moment.at, jobs.interrupted_at[row]):
            continue
        asked[row] = True
        candidates[tenant[row]] += 1
    in_turn = by_name
    for number in range(len(candidates)):
        if moment.interruptions_left[number] < candidates[number]:
            done_s = jobs.work_s - jobs.left_s
            in_turn = by_name[np.argsort(done_s[by_name], kind="mergesort")]
            break
    left = moment.interruptions_left.copy()
    for row in in_turn:
        if asked[row] and left[tenant[row]] > 0:
            left[tenant[row]] -= 1
            must_run[row] = False
    return must_run
