"""HPC: pools of GPU nodes, and what they draw and get done under a power limit."""

from dataclasses import dataclass

from orchestrator.domain.site.machines import numbered

THROUGHPUT_AT_POWER_SHARE = (
    (0.333, 0.354),
    (0.417, 0.509),
    (0.500, 0.751),
    (0.583, 0.929),
    (0.667, 0.956),
    (0.750, 0.985),
    (0.833, 0.989),
    (0.917, 0.995),
    (1.000, 1.000),
)
"""(Power limit as a share of the full one, training speed as a share of full speed): medians over the Zeus
measurements of the NVIDIA A40 (100 to 300 W, time per epoch of up to 50 settings; Zeus, Apache-2.0)."""


@dataclass(frozen=True, slots=True)
class GpuPool:
    """Like nodes on one feeder. A node draws `node_overhead_w` and its GPUs' power, idle ones `gpu_idle_w`."""

    name: str
    gpu_model: str
    feeder: str
    nodes: int
    gpus_per_node: int
    gpu_power_w: float
    """Full power limit of one GPU."""
    gpu_min_power_w: float
    """Lowest power limit the GPU accepts."""
    gpu_idle_w: float
    node_overhead_w: float

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    def node_names(self) -> tuple[str, ...]:
        return numbered(f"{self.name}-node", self.nodes)

    @property
    def gpu_rise_kw(self) -> float:
        """What one GPU at full power draws more than an idle one."""
        return (self.gpu_power_w - self.gpu_idle_w) / 1000.0

    def rise_kw(self, gpus: int, gpu_limit_w: float) -> float:
        """IT power that so many busy GPUs draw above idle under a power limit."""
        return gpus * max(gpu_limit_w - self.gpu_idle_w, 0.0) / 1000.0

    def nodes_kw(self, nodes: int, left_kw: float) -> float:
        """What so many nodes draw of IT power that is left for them: idle each at least, nameplate at most."""
        return min(max(left_kw, nodes * self.node_idle_kw), nodes * self.node_nameplate_kw)

    def throughput(self, gpu_limit_w: float) -> float:
        """Share of full training speed under a power limit, linear between the measured points and below them to 0."""
        share = gpu_limit_w / self.gpu_power_w
        low_share, low = 0.0, 0.0
        for high_share, high in THROUGHPUT_AT_POWER_SHARE:
            if share <= high_share:
                return low + (high - low) * (share - low_share) / (high_share - low_share)
            low_share, low = high_share, high
        return 1.0

    @property
    def node_idle_kw(self) -> float:
        return (self.node_overhead_w + self.gpus_per_node * self.gpu_idle_w) / 1000.0

    @property
    def node_nameplate_kw(self) -> float:
        return (self.node_overhead_w + self.gpus_per_node * self.gpu_power_w) / 1000.0

    @property
    def idle_kw(self) -> float:
        return self.nodes * self.node_idle_kw

    @property
    def nameplate_kw(self) -> float:
        return self.nodes * self.node_nameplate_kw
