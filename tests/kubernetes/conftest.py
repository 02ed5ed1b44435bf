"""A fake API server, and the controller's own access to it."""

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from kubernetes.aio.client import Configuration

from orchestrator.adapters.workloads.kubernetes.api import ClusterApi

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

NAMESPACE = "test"

SITE = """
name: tiny
timezone: UTC
grid: {limit_kw: 500, measurement_uncertainty: 0.01}
feeders:
  - {name: a, limit_kw: 500}
cooling:
  pue_by_temperature: [{temperature_c: 20, pue: 1.05}]
fleets:
  - name: s21
    model: Antminer S21
    feeder: a
    racks: 2
    machines_per_rack: 10
    default_mode: normal
    modes: [{name: normal, power_w: 3500, hashrate_ths: 200}]
    sleep_w: 15
    warm_up_s: 0
    min_on_s: 0
    min_off_s: 0
prices: {kind: push}
hashprice: {usd_per_ph_day: 60}
weather: {temperature_c: 20}
telemetry: {kind: prometheus, url: "http://127.0.0.1:9"}
stale:
  price_max_age_s: 900
  price_fallback_usd_per_mwh: 60
  telemetry_max_age_s: 60
  temperature_max_age_s: 7200
  temperature_assume_c: 38
  hashprice_max_age_s: 172800
  hashprice_assume_usd_per_ph_day: 55
controls: {tick_s: 1, verify_within_s: 60, lease_s: 300, price_persistence_s: 3600}
kubernetes: {name: w}
"""


def _load() -> ModuleType:
    """The tests are no package, so what they share is loaded by its path."""
    name = "wattshift_fake_api"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fake_api.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
async def fake_api() -> AsyncIterator["FakeApi"]:
    async with _load().running_api() as api:
        yield api


@pytest.fixture
async def cluster_api(fake_api: "FakeApi") -> AsyncIterator[ClusterApi]:
    """Access to the namespace `test` of the fake."""
    api = ClusterApi(Configuration(host=fake_api.url), NAMESPACE)
    yield api
    await api.close()


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    """A site of one fleet on a cluster; its prices are pushed, and its Prometheus is not there."""
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path
