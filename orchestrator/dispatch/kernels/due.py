"""Who must run at any price, compiled."""

from datetime import timedelta

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.dispatch.kernels.blocks import Flags, Floats, Ints
from orchestrator.domain.sla import SlaClass
from orchestrator.observe.phase import Phase

DEADLINE_MARGIN = timedelta(minutes=20)
"""A flexible job with less slack than this must run."""

BUDGET_SPAN = timedelta(hours=1)
"""Over which a tenant's interruptions are counted."""

SAME_TIME_S = 1e-6
"""Unix seconds as floats are good to less than this."""

_FLEXIBLE = SlaClass.FLEXIBLE.number
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)
_DEADLINE_MARGIN_S, _BUDGET_SPAN_S = DEADLINE_MARGIN.total_seconds(), BUDGET_SPAN.total_seconds()


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
