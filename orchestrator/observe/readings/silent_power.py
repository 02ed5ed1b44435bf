"""What a silent device counts at: the most that it was asked to draw since it was last read, IT power.

At nameplate only where nobody can say what it follows: it was never read, or was seen not to follow.
"""

from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.snapshot import Lowered
from orchestrator.domain.unread import Basis, Unread


class OfRack(NamedTuple):
    allowed_kw: float
    """By its accepted setpoint, and what it drew by it when it was last read."""
    most_kw: float
    """The same, or from what it was asked down and is not seen to have followed."""


def of_rack(setpoint_kw: float, draw_share: float, settled_kw: float, asked: Lowered | None) -> OfRack:
    """`draw_share` is that of its fleet, as last seen; `settled_kw` what it was read at since its setpoint changed,
    0 where it was not."""
    allowed_kw = setpoint_kw * max(draw_share, 1.0)
    if asked is not None:
        return OfRack(allowed_kw, max(allowed_kw, asked.from_kw))
    return OfRack(max(allowed_kw, settled_kw), max(allowed_kw, settled_kw))


def of_nodes(pool: GpuPool, expected_kw: float, seen_kw: float, silent: int, unknown: int) -> Mapping[Basis, Unread]:
    """Which node a job runs on is the driver's affair: `silent` nodes have together what the running jobs may draw
    (`expected_kw`, idle nodes among it) and those that answer do not (`seen_kw`); `unknown` ones count at nameplate."""
    return {
        Basis.NAMEPLATE: Unread(unknown, unknown * pool.node_nameplate_kw),
        Basis.JOBS: Unread(silent, pool.nodes_kw(silent, expected_kw - seen_kw)),
    }
