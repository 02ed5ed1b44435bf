"""Which GPUs of a pool a job gets."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from orchestrator.domain.site import GpuPool

Placement = Mapping[str, Sequence[int]]
"""GPU indexes by node."""


def free_gpus(pool: GpuPool, taken: Mapping[str, AbstractSet[int]]) -> int:
    """How many GPUs of the pool are in nobody's hands."""
    return sum(map(len, _free(pool, taken).values()))


def place(pool: GpuPool, gpus: int, taken: Mapping[str, AbstractSet[int]]) -> Placement | None:
    """`gpus` free GPUs on as few nodes as first fit finds, emptiest nodes first; None if too few are free."""
    free = _free(pool, taken)
    placement: dict[str, Sequence[int]] = {}
    left = gpus
    for node in sorted(free, key=lambda name: -len(free[name])):
        if left == 0:
            break
        if free[node]:
            placement[node] = free[node][:left]
            left -= len(placement[node])
    return placement if left == 0 else None


def _free(pool: GpuPool, taken: Mapping[str, AbstractSet[int]]) -> dict[str, list[int]]:
    return {
        node: [gpu for gpu in range(pool.gpus_per_node) if gpu not in taken.get(node, frozenset())]
        for node in pool.node_names()
    }
