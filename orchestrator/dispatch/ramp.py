"""How fast power may go: not up at all where nobody sees it."""

from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Kind, Target


def in_the_dark(snapshot: Snapshot, target: Target) -> bool:
    """The source of its readings is down: there is no measured room for it to go up into."""
    if target.kind is Kind.FLEET:
        return snapshot.fleets[target.name].dark_since is not None
    pool = snapshot.jobs[target.name].job.pool if target.kind is Kind.JOB else target.name
    return snapshot.pools[pool].dark_since is not None
