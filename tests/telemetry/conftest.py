"""A small site whose telemetry comes from exporters of any make, by either adapter."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pytest

from orchestrator.settings import Settings, load_settings
from tests.exporter import Exporter

EXPORTERS = Path(__file__).parent / "exporters"

SITE = """
name: small
timezone: UTC
grid: {limit_kw: 200, measurement_uncertainty: 0.01}
feeders: [{name: a, limit_kw: 200}]
cooling: {pue_by_temperature: [{temperature_c: 20, pue: 1.1}]}
fleets:
  - name: s21
    model: Antminer S21
    feeder: a
    racks: 3
    machines_per_rack: 10
    default_mode: normal
    modes:
      - {name: eco, power_w: 2800, hashrate_ths: 175}
      - {name: normal, power_w: 3500, hashrate_ths: 200}
    sleep_w: 15
    warm_up_s: 480
    min_on_s: 900
    min_off_s: 900
gpu_pools:
  - name: h100
    gpu_model: NVIDIA H100 80GB HBM3
    feeder: a
    nodes: 2
    gpus_per_node: 4
    gpu_power_w: 700
    gpu_min_power_w: 200
    gpu_idle_w: 70
    node_overhead_w: 1800
tenants: [{name: lab, sla: flexible, usd_per_gpu_h: 2.5, credit_share: 0.2, interruptions_per_hour: 4}]
prices: {kind: push}
hashprice: {usd_per_ph_day: 60}
weather: {temperature_c: 20}
stale:
  price_max_age_s: 1200
  price_fallback_usd_per_mwh: 50
  telemetry_max_age_s: 60
  temperature_max_age_s: 7200
  temperature_assume_c: 35
  hashprice_max_age_s: 172800
  hashprice_assume_usd_per_ph_day: 60
controls: {tick_s: 60, verify_within_s: 120, lease_s: 300, price_persistence_s: 3600}
"""

SmallSite = Callable[..., Settings]


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> SmallSite:
    """Settings of the small site with these lines under `telemetry`; `url` is a Prometheus server's."""

    def make(telemetry: str, url: str | None = None) -> Settings:
        kind = "kind: scrape" if url is None else f"kind: prometheus\n  url: {url}"
        lines = "".join(f"  {line}\n" for line in telemetry.strip("\n").splitlines())
        path = tmp_path_factory.mktemp("site") / "small.yaml"
        path.write_text(f"{SITE}telemetry:\n  {kind}\n{lines}")
        return load_settings(path, {})

    return make


@dataclass(frozen=True, slots=True)
class Shown:
    """What one exporter of a scene shows, and the labels that its target has."""

    page: Callable[[], str]
    labels: Mapping[str, str] = field(default_factory=dict)


def documented(name: str) -> str:
    """The page of an exporter in its documented format."""
    return (EXPORTERS / f"{name}.prom").read_text()


class Scenes:
    """Exporters of many sites at once, told apart by the label `site` of their targets."""

    def __init__(self, folder: Path, scenes: Mapping[str, tuple[Sequence[Shown], bool]]) -> None:
        self._exporters: list[Exporter] = []
        self.folder = folder
        for name, (shown, honor_labels) in scenes.items():
            groups = []
            for one in shown:
                exporter = Exporter()
                exporter.page = one.page
                self._exporters.append(exporter)
                groups.append({"targets": [exporter.target], "labels": {"site": name, **one.labels}})
            for root in (self.targets(name), folder / ("honored" if honor_labels else "renamed")):
                root.mkdir(parents=True, exist_ok=True)
                (root / f"{name}.json").write_text(json.dumps(groups))

    def targets(self, name: str) -> Path:
        """The folder of one scene's targets, for the scraper."""
        return self.folder / "targets" / name

    def __enter__(self) -> "Scenes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for exporter in self._exporters:
            exporter.close()


def prometheus_config(folder: Path) -> str:
    """Of a server that scrapes all scenes, those of `renamed` as it does by default: the target's labels first."""
    jobs = "".join(
        f"  - job_name: {job}\n    honor_labels: {honored}\n"
        f"    file_sd_configs: [{{files: ['{folder}/{job}/*.json'], refresh_interval: 1s}}]\n"
        for job, honored in (("honored", "true"), ("renamed", "false"))
    )
    return f"global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}\nscrape_configs:\n{jobs}"
