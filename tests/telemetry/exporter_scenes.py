"""Exporters as their documentation has them, and sites as they are found: what is shown, mapped and read."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.observation import Metric
from tests.telemetry.conftest import Shown, documented

NODE = "h100-node-0"
RACK = "s21/rack-0"
GPUS_W = 612.437 + 598.21 + 640.118 + 71.904
MACHINES_W = sum(3400 + 7 * number for number in range(10))
MACHINES_THS = sum(198.5 + 0.25 * number for number in range(10))


@dataclass(frozen=True, slots=True)
class Scene:
    """What exporters show, what the site file says of it, and what is read."""

    shown: Sequence[Shown]
    telemetry: str
    values: Mapping[tuple[Metric, str], float] = field(default_factory=dict)
    suspect: Mapping[tuple[Metric, str], str] = field(default_factory=dict)
    """Why, as a regular expression."""
    missing: Sequence[tuple[Metric, str]] = ()
    told: str = ""
    """What is told all the same, as a regular expression; empty for nothing."""
    honor_labels: bool = True
    kinds: Sequence[str] = ("scrape", "prometheus")


def page(name: str) -> Callable[[], str]:
    text = documented(name)
    return lambda: text


def text(lines: str) -> Callable[[], str]:
    return lambda: lines


def machines(count: int, first: int = 0, label: bool = True) -> Callable[[], str]:
    """Machines of a rack by the mock's names, one series each."""

    def made() -> str:
        lines = [
            f'asic_power_watts{{fleet="s21",rack="rack-0",machine="m{number}"}} {3400 + 7 * number}\n'
            for number in range(first, first + count)
        ]
        return "".join(lines) + f'asic_last_seen_timestamp_seconds{{fleet="s21",rack="rack-0"}} {time.time()}\n'

    return made


def half_rack(watts: float) -> Callable[[], str]:
    """A rack's exporter that stands for a part of its machines."""
    labels = '{fleet="s21",rack="rack-0"}'
    return lambda: f"asic_power_watts{labels} {watts}\nasic_last_seen_timestamp_seconds{labels} {time.time()}\n"


PYASIC = {"fleet": "s21", "rack": "rack-0"}
BY_ADDRESS = r"""
presets: [pyasic-exporter]
labels:
  fleet: {name: s21}
  rack: {label: ip, pattern: '10\.3\.(\d+)\.\d+', name: 'rack-\1'}
"""

SCENES: Mapping[str, Scene] = {
    "dcgm-alone": Scene(
        [Shown(page("dcgm"))],
        "presets: [dcgm]",
        {(Metric.GPU_POWER, NODE): GPUS_W, (Metric.NODE_POWER, NODE): GPUS_W + 1800.0},
    ),
    "dcgm-mig": Scene(
        [Shown(page("dcgm-mig"))],
        "presets: [dcgm]",
        {(Metric.GPU_POWER, NODE): GPUS_W, (Metric.NODE_POWER, NODE): GPUS_W + 1800.0},
    ),
    "dcgm-lost-gpu": Scene(
        [Shown(page("dcgm-lost-gpu"))],
        "presets: [dcgm]",
        {(Metric.NODE_POWER, NODE): GPUS_W - 71.904 + 700.0 + 1800.0},
        told=r"h100-node-0: 3 of 4 answer; the others count at 700 W \(line \d+: telemetry.presets\)",
    ),
    "dcgm-blank": Scene(
        [Shown(page("dcgm-blank"))],
        "presets: [dcgm]",
        {(Metric.NODE_POWER, NODE): GPUS_W - 71.904 + 700.0 + 1800.0},
        told=r"h100-node-0: 3 of 4 answer; the others count at 700 W",
    ),
    "dcgm-pod-host": Scene(
        [Shown(page("dcgm-pod-host"), {"node": NODE})],
        "presets: [dcgm]",
        missing=[(Metric.NODE_POWER, NODE)],
        told=r"the site file has no dcgm-exporter-x7k2p \(line \d+: telemetry.presets\)",
    ),
    "dcgm-pod-host-mapped": Scene(
        [Shown(page("dcgm-pod-host"), {"node": NODE})],
        "presets: [dcgm]\nlabels: {node: {label: node}}",
        {(Metric.NODE_POWER, NODE): GPUS_W + 1800.0},
    ),
    "dcgm-pod-host-relabelled": Scene(
        [Shown(page("dcgm-pod-host"), {"Hostname": NODE})],
        "presets: [dcgm]",
        {(Metric.NODE_POWER, NODE): GPUS_W + 1800.0},
        honor_labels=False,
        kinds=("prometheus",),
    ),
    "dcgm-names": Scene(
        [Shown(page("dcgm-pod-host"))],
        f"presets: [dcgm]\nnames: {{dcgm-exporter-x7k2p: {NODE}}}",
        {(Metric.NODE_POWER, NODE): GPUS_W + 1800.0},
    ),
    "kepler": Scene(
        [Shown(page("kepler")), Shown(page("dcgm"))],
        "presets: [dcgm, kepler]",
        {(Metric.NODE_POWER, NODE): 3851.5, (Metric.GPU_POWER, NODE): GPUS_W},
        missing=[(Metric.NODE_ENERGY, NODE)],
    ),
    "kepler-under-mock-names": Scene(
        [Shown(page("kepler"))],
        "",
        missing=[(Metric.NODE_POWER, NODE)],
        told="no label.*'?Hostname",
    ),
    "two-power-controls": Scene(
        [Shown(page("kepler-two-controls"))],
        "presets: [kepler]",
        suspect={(Metric.NODE_POWER, NODE): "2 series of kepler_platform_watts for one device"},
        told="2 series of kepler_platform_watts",
    ),
    "two-power-controls-picked": Scene(
        [Shown(page("kepler-two-controls"))],
        "presets: [kepler]\nseries: [{quantity: node_power, match: {power_control_id: PC1}}]",
        {(Metric.NODE_POWER, NODE): 3851.5},
    ),
    "two-power-controls-added": Scene(
        [Shown(page("kepler-two-controls"))],
        "presets: [kepler]\nseries: [{quantity: node_power, part: [power_control_id], expected: 2}]",
        {(Metric.NODE_POWER, NODE): 3851.5 + 412.25},
    ),
    "two-power-controls-highest": Scene(
        [Shown(page("kepler-two-controls"))],
        "presets: [kepler]\nseries: [{quantity: node_power, combine: max}]",
        {(Metric.NODE_POWER, NODE): 3851.5},
    ),
    "joules-by-mode": Scene(
        [Shown(page("kepler-0.9"))],
        "presets: [kepler-0.9]",
        {(Metric.NODE_ENERGY, NODE): 2e8},
        honor_labels=False,
    ),
    "one-mode-of-two": Scene(
        [Shown(text('kepler_node_platform_joules_total{instance="h100-node-0",mode="dynamic"} 1e8\n'))],
        "presets: [kepler-0.9]",
        missing=[(Metric.NODE_ENERGY, NODE)],
        told="1 of 2 answer, which makes no",
        honor_labels=False,
    ),
    "nvidia-smi": Scene(
        [Shown(page("nvidia-smi"), {"instance": f"{NODE}:9835"})],
        "presets: [nvidia-smi]",
        {(Metric.GPU_POWER, NODE): GPUS_W, (Metric.NODE_POWER, NODE): GPUS_W + 1800.0},
    ),
    "pyasic": Scene(
        [Shown(page("pyasic"), PYASIC)],
        "presets: [pyasic-exporter]",
        {
            (Metric.ASIC_POWER, RACK): MACHINES_W,
            (Metric.ASIC_HASHRATE, RACK): MACHINES_THS * 1e12,
            (Metric.ASIC_TEMPERATURE, RACK): 76.0,
        },
    ),
    "pyasic-by-address": Scene(
        [Shown(page("pyasic"))],
        BY_ADDRESS,
        {(Metric.ASIC_POWER, RACK): MACHINES_W, (Metric.ASIC_HASHRATE, RACK): MACHINES_THS * 1e12},
    ),
    "pyasic-silent-machine": Scene(
        [Shown(text("".join(line for line in documented("pyasic").splitlines(True) if "10.3.0.20" not in line)))],
        BY_ADDRESS,
        {
            (Metric.ASIC_POWER, RACK): MACHINES_W - 3463.0 + 3500.0,
            (Metric.ASIC_HASHRATE, RACK): (MACHINES_THS - 200.75) * 1e12,
        },
        told=r"s21/rack-0: 9 of 10 answer; the others count at 3500 W",
    ),
    "a-series-a-machine": Scene(
        [Shown(machines(10))],
        "",
        suspect={(Metric.ASIC_POWER, RACK): "10 series of asic_power_watts for one device"},
        told="10 series of asic_power_watts for one device: say which label tells parts apart",
    ),
    "a-series-a-machine-mapped": Scene(
        [Shown(machines(10))],
        "series: [{quantity: rack_power, part: [machine]}]",
        {(Metric.ASIC_POWER, RACK): MACHINES_W},
    ),
    "some-machines-silent": Scene(
        [Shown(machines(9))],
        "series: [{quantity: rack_power, part: [machine]}]",
        {(Metric.ASIC_POWER, RACK): MACHINES_W - 3463.0 + 3500.0},
        told=r"9 of 10 answer; the others count at 3500 W \(line \d+: telemetry.series\[0\]\)",
    ),
    "too-many-machines": Scene(
        [Shown(machines(11))],
        "series: [{quantity: rack_power, part: [machine]}]",
        suspect={(Metric.ASIC_POWER, RACK): "11 series of asic_power_watts, 10 are expected"},
        told="11 series of asic_power_watts, 10 are expected",
    ),
    "machines-on-two-exporters": Scene(
        [Shown(machines(6)), Shown(machines(4, first=6))],
        "series: [{quantity: rack_power, part: [machine]}]",
        {(Metric.ASIC_POWER, RACK): MACHINES_W},
    ),
    "two-exporters-of-a-rack": Scene(
        [Shown(half_rack(17_000.0)), Shown(half_rack(16_500.0))],
        "",
        suspect={(Metric.ASIC_POWER, RACK): "2 series of asic_power_watts for one device"},
        told="2 series of asic_power_watts for one device",
    ),
    "two-exporters-of-a-rack-mapped": Scene(
        [Shown(half_rack(17_000.0)), Shown(half_rack(16_500.0))],
        "series: [{quantity: rack_power, part: [instance], expected: 2}]",
        {(Metric.ASIC_POWER, RACK): 33_500.0},
    ),
    "two-counters-of-a-node": Scene(
        [
            Shown(text(f'kepler_node_platform_joules_total{{Hostname="{NODE}"}} 7e6\n')),
            Shown(text(f'kepler_node_platform_joules_total{{Hostname="{NODE}"}} 9e6\n')),
        ],
        "",
        missing=[(Metric.NODE_ENERGY, NODE)],
        told="2 series of kepler_node_platform_joules_total for one device",
    ),
    "pods-of-a-job": Scene(
        [
            Shown(text('hpc_job_progress_gpu_seconds{job="train",pod="train-0"} 1200\n')),
            Shown(text('hpc_job_progress_gpu_seconds{job="train",pod="train-1"} 1190\n')),
        ],
        "",
        {(Metric.JOB_PROGRESS, "train"): 1200.0},
    ),
    "exported-job": Scene(
        [Shown(text('hpc_job_progress_gpu_seconds{job="train"} 1200\nhpc_job_progress_gpu_seconds{job="eval"} 30\n'))],
        "",
        {(Metric.JOB_PROGRESS, "train"): 1200.0, (Metric.JOB_PROGRESS, "eval"): 30.0},
        honor_labels=False,
    ),
    "a-line-without-labels": Scene(
        [Shown(text(f'kepler_platform_watts 5\nkepler_node_platform_joules_total{{Hostname="{NODE}"}} 7e6\n'))],
        "",
        {(Metric.NODE_ENERGY, NODE): 7e6},
        told="no label.*Hostname",
    ),
    "other-unit": Scene(
        [Shown(text(f'pdu_outlet_power_kilowatts{{host="{NODE}",outlet="1"}} 3.25\n'))],
        "series: [{quantity: node_power, metric: pdu_outlet_power_kilowatts, labels: {node: {label: host}}, unit: kW}]",
        {(Metric.NODE_POWER, NODE): 3250.0},
    ),
    "scaled": Scene(
        [Shown(text(f'meter_pulses_total{{host="{NODE}"}} 4000\n'))],
        """
labels: {node: {label: host}}
series: [{quantity: node_energy, metric: meter_pulses_total, unit: Wh, scale: 0.5}]
""",
        {(Metric.NODE_ENERGY, NODE): 4000 * 0.5 * 3600.0},
    ),
    "one-pool-by-another-exporter": Scene(
        [Shown(page("dcgm")), Shown(text('pdu_watts{host="h100-node-1"} 3000\n'))],
        """
presets: [dcgm]
series: [{quantity: node_power, only: [h100], metric: pdu_watts, labels: {node: {label: host}}}]
""",
        {(Metric.NODE_POWER, "h100-node-1"): 3000.0, (Metric.GPU_POWER, NODE): GPUS_W},
        missing=[(Metric.NODE_POWER, NODE)],
    ),
    "an-expression": Scene(
        [Shown(machines(10))],
        r"""
series:
  - quantity: rack_power
    expr: 'sum by (fleet, rack) (asic_power_watts{site="an-expression"}) / 1000'
    timed_by: 'asic_power_watts{site="an-expression"}'
    unit: kW
""",
        {(Metric.ASIC_POWER, RACK): MACHINES_W},
        kinds=("prometheus",),
    ),
    "newest-of-two": Scene(
        [Shown(text(f'kepler_platform_watts{{Hostname="{NODE}"}} 3100\n'))] * 2,
        "series: [{quantity: node_power, combine: last}]",
        {(Metric.NODE_POWER, NODE): 3100.0},
    ),
}
