"""The programs that stand for the site's devices: an agent for each rack, an exporter for each row of GPU nodes."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site

RACK_PROGRAM = "orchestrator.sim.racks.asic_exporter"
NODES_PROGRAM = "orchestrator.sim.gpus.gpu_exporter"


@dataclass(frozen=True, slots=True)
class Device:
    """A program that runs as long as the site does."""

    process: str
    arguments: tuple[str, ...]
    ready: tuple[Path, ...]
    """Files that it writes once it listens."""


def devices(site: Site, run_dir: Path, seed: int, nodes_per_exporter: int) -> Iterator[Device]:
    """One program for each rack and one for each `nodes_per_exporter` nodes of a pool."""
    for fleet, rack in site.racks():
        yield _rack(fleet, rack, run_dir, seed)
    for pool in site.pools:
        for names in rows(pool, nodes_per_exporter):
            yield _nodes(pool, names, run_dir)


def rows(pool: GpuPool, nodes_per_exporter: int) -> Iterator[tuple[str, ...]]:
    """The pool's nodes by exporter, which is named after the first of them."""
    names = pool.node_names()
    for first in range(0, len(names), nodes_per_exporter):
        yield names[first : first + nodes_per_exporter]


def target_name(device: str) -> str:
    """Of a rack or a node: its file in the folders of a run directory."""
    return device.replace("/", "_")


def _rack(fleet: Fleet, rack: str, run_dir: Path, seed: int) -> Device:
    modes = [f"{mode.name}:{mode.power_w!r}:{mode.hashrate_ths!r}" for mode in fleet.modes]
    flat = target_name(rack)
    return Device(
        process=f"asic_{flat}",
        arguments=(
            *("-m", RACK_PROGRAM),
            *("--run", str(run_dir)),
            *("--rack", rack),
            *("--model", fleet.model),
            *("--machines", str(fleet.machines_per_rack)),
            *itertools.chain.from_iterable(("--mode", mode) for mode in modes),
            *("--sleep-w", repr(fleet.sleep_w)),
            *("--warm-up-s", repr(fleet.warm_up.total_seconds())),
            *("--seed", str(seed)),
        ),
        ready=(run_dir / "targets" / f"{flat}.json",),
    )


def _nodes(pool: GpuPool, names: tuple[str, ...], run_dir: Path) -> Device:
    return Device(
        process=f"gpu_{names[0]}",
        arguments=(
            *("-m", NODES_PROGRAM),
            *("--run", str(run_dir)),
            *("--pool", pool.name),
            *("--nodes", ",".join(names)),
            *("--gpus-per-node", str(pool.gpus_per_node)),
            *("--gpu-model", pool.gpu_model),
            *("--gpu-power-w", repr(pool.gpu_power_w)),
            *("--gpu-min-power-w", repr(pool.gpu_min_power_w)),
            *("--gpu-idle-w", repr(pool.gpu_idle_w)),
            *("--node-overhead-w", repr(pool.node_overhead_w)),
        ),
        ready=(run_dir / "targets" / f"{names[0]}.json", *(run_dir / "endpoints" / name for name in names)),
    )
