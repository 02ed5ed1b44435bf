"""Which GPUs of a pool a job gets."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from orchestrator.domain.site import GpuPool

Placement = Mapping[str, Sequence[int]]
"""GPU indexes by node."""


def place(pool: GpuPool, gpus: int, taken: Mapping[str, AbstractSet[int]]) -> Placement | None:
    """`gpus` free GPUs on as few nodes as first fit finds, emptiest nodes first; None if too few are free."""
    free = {
        node: [gpu for gpu in range(pool.gpus_per_node) if gpu not in taken.get(node, frozenset())]
        for node in pool.node_names()
    }
    placement: dict[str, Sequence[int]] = {}
    left = gpus
    for node in sorted(free, key=lambda name: -len(free[name])):
        if left == 0:
            break
        if free[node]:
            placement[node] = free[node][:left]
            left -= len(placement[node])
    return placement if left == 0 else None
