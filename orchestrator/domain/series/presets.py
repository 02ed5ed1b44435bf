"""What well-known exporters call their series: the presets of `telemetry.presets`.

Names, labels and units are those of each exporter's own documentation, named beside it. A preset has what its exporter
measures and no more.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from orchestrator.domain.observation import Metric
from orchestrator.domain.series.series import Combine, Label, Series, SeriesMap

MOCK = "wattshift-mock"
_SEEN = "asic_last_seen_timestamp_seconds"
"""When the machines of a rack last answered."""
_RACK = (Label("fleet"), Label("rack"))
_HOST = (Label("Hostname"),)
_JOB = (Label("job"),)
_GPU_POWER = Series(
    Metric.GPU_POWER, "DCGM_FI_DEV_POWER_USAGE", _HOST, parts=("gpu",), combine=Combine.SUM, repeats=True
)
"""Every MIG instance of a GPU shows the power of the whole GPU (dcgm-exporter issue 257), so does every pod on it."""

OWN = (
    Series(Metric.JOB_PROGRESS, "hpc_job_progress_gpu_seconds", _JOB, repeats=True),
    Series(Metric.JOB_CHECKPOINT, "hpc_job_checkpoint_gpu_seconds", _JOB, repeats=True),
    Series(Metric.METER_POWER, Metric.METER_POWER.value, (Label("meter"),)),
    Series(Metric.METER_ENERGY, Metric.METER_ENERGY.value, (Label("meter"),)),
)
"""What is told in our own names, whichever exporters the site has: what jobs say of themselves, each of a job's pods
the same, and meters."""

PRESETS: Mapping[str, tuple[Series, ...]] = MappingProxyType(
    {
        MOCK: (
            Series(Metric.ASIC_POWER, "asic_power_watts", _RACK, seen=_SEEN),
            Series(Metric.ASIC_ENERGY, "asic_energy_joules_total", _RACK, seen=_SEEN),
            Series(Metric.ASIC_HASHRATE, "asic_hashrate_hashes_per_second", _RACK, seen=_SEEN),
            Series(Metric.ASIC_HASHES, "asic_hashes_total", _RACK, seen=_SEEN),
            Series(Metric.ASIC_TEMPERATURE, "asic_temperature_celsius", _RACK, seen=_SEEN),
            _GPU_POWER,
            Series(Metric.NODE_POWER, "kepler_platform_watts", _HOST),
            Series(Metric.NODE_ENERGY, "kepler_node_platform_joules_total", _HOST),
        ),
        # dcgm-exporter, etc/default-counters.csv and the labels of internal/pkg/rendermetrics. It measures GPUs alone:
        # a node is its GPUs and the site file's node_overhead_w.
        "dcgm": (_GPU_POWER, replace(_GPU_POWER, metric=Metric.NODE_POWER, with_overhead=True)),
        # Kepler from 0.10 on, docs/user/metrics.md: the BMC's power. Which of several PowerControl entries is the node,
        # or whether they add up, only the site knows.
        "kepler": (Series(Metric.NODE_POWER, "kepler_platform_watts", (Label("node_name"),)),),
        # Kepler before 0.10: no power, and energy as a counter for each mode (idle, dynamic), which add up.
        "kepler-0.9": (
            Series(
                Metric.NODE_ENERGY,
                "kepler_node_platform_joules_total",
                (Label("instance"),),
                parts=("mode",),
                combine=Combine.SUM,
                expected=2,
            ),
        ),
        # nvidia_gpu_exporter, docs/METRICS.md. Its series carry the GPU's uuid and no host: the host is what Prometheus
        # calls the target.
        "nvidia-smi": tuple(
            Series(
                metric,
                "nvidia_smi_power_draw_watts",
                (Label("instance", r"([^:]+)(?::\d+)?", r"\1"),),
                parts=("uuid",),
                combine=Combine.SUM,
                with_overhead=metric is Metric.NODE_POWER,
            )
            for metric in (Metric.GPU_POWER, Metric.NODE_POWER)
        ),
        # prometheus-asic (asic.py), on pyasic: one series a machine, by its address; TH/s. Which rack an address is in
        # only the site knows: a rack's name is taken from labels that scraping puts on.
        "pyasic-exporter": (
            Series(Metric.ASIC_POWER, "asic_miner_status_power", _RACK, parts=("ip",), combine=Combine.SUM),
            Series(
                Metric.ASIC_HASHRATE,
                "asic_miner_status_ths_rt",
                _RACK,
                parts=("ip",),
                combine=Combine.SUM,
                factor=1e12,
            ),
            Series(
                Metric.ASIC_TEMPERATURE,
                "asic_miner_temperature_avg_temperature",
                _RACK,
                parts=("ip",),
                combine=Combine.MAX,
            ),
        ),
    }
)

MOCK_MAP = SeriesMap((*PRESETS[MOCK], *OWN))
"""What the simulated devices and jobs tell, whatever the site is."""
