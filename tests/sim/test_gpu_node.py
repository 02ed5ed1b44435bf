import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.sim.gpus.gpu_node import NodeModel

T0 = 1_694_030_400.0


def test_idle_gpus_draw_idle_power_and_the_node_its_overhead(pool: GpuPool) -> None:
    node = NodeModel("h100-node-0", pool, T0)
    assert node.gpu_power_w == pytest.approx(8 * 70.0)
    assert node.power_w == pytest.approx(1800.0 + 8 * 70.0)


def test_busy_gpus_draw_94_to_99_percent_of_their_limit(pool: GpuPool) -> None:
    node = NodeModel("h100-node-0", pool, T0)
    node.run("acme-0001", [0, 1, 2], 1.0, T0)
    powers = [gpu.power_w for gpu in node.gpus(T0)]
    assert all(0.94 * 700 <= power_w <= 0.99 * 700 for power_w in powers[:3])
    assert powers[3:] == [70.0] * 5
    assert len(set(powers[:3])) == 3, "GPUs differ a little"
    assert [gpu.job for gpu in node.gpus(T0)] == ["acme-0001"] * 3 + [None] * 5
    assert node.gpus(T0)[0].temperature_c > node.gpus(T0)[3].temperature_c + 20


@given(limit_w=st.floats(1.0, 2000.0), utilisation=st.floats(0.0, 1.0))
def test_power_follows_the_limit_and_never_exceeds_it(limit_w: float, utilisation: float) -> None:
    pool = GpuPool("h100", "H100", "a", 1, 8, 700.0, 200.0, 70.0, 1800.0)
    node = NodeModel("h100-node-0", pool, T0)
    node.run("acme-0001", range(8), utilisation, T0)
    node.set_limit(limit_w, T0)
    assert node.limit_w == min(max(limit_w, 200.0), 700.0)
    assert all(70.0 <= gpu.power_w <= node.limit_w for gpu in node.gpus(T0))


def test_energy_is_the_integral_of_power_for_node_and_gpus(pool: GpuPool) -> None:
    node = NodeModel("h100-node-0", pool, T0)
    powers = []
    for number, (job, gpus) in enumerate([("a-1", [0, 1]), ("b-1", [2, 3, 4]), ("a-1", [0, 1, 5])]):
        node.run(job, gpus, 1.0, T0 + 100 * number)
        powers.append(node.power_w)
    node.set_limit(400.0, T0 + 300)
    powers.append(node.power_w)
    node.free("b-1", T0 + 400)
    powers.append(node.power_w)
    assert powers[-1] < powers[3] < powers[2]
    assert node.energy_j(T0 + 500) == pytest.approx(100 * sum(powers))
    gpus_j = sum(gpu.energy_j for gpu in node.gpus(T0 + 500))
    assert gpus_j + 500 * 1800.0 == pytest.approx(node.energy_j(T0 + 500))


def test_freed_gpus_fall_to_idle(pool: GpuPool) -> None:
    node = NodeModel("h100-node-0", pool, T0)
    idle_w = node.power_w
    node.run("acme-0001", [6, 7], 1.0, T0)
    assert node.holder([7], besides="other-0001") == "acme-0001"
    node.free("acme-0001", T0 + 1)
    node.free("acme-0001", T0 + 2)
    assert node.power_w == pytest.approx(idle_w)
    assert node.holder([7], besides="other-0001") is None
