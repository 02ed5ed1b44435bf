"""What a controller says of itself, whether it leads or stands by."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import orchestrator
from orchestrator.runtime.observability.metrics.sheet import Sheet


def process_registry(site: str, *, simulated: bool = False, speed: float = 1.0) -> CollectorRegistry:
    """A registry with what every controller tells: its version and site, its CPU time, memory and open files."""
    registry = CollectorRegistry()
    registry.register(ProcessMetrics(site, simulated=simulated, speed=speed))
    ProcessCollector(registry=registry)
    return registry


class ProcessMetrics(Collector):
    """The version and the site."""

    def __init__(self, site: str, *, simulated: bool = False, speed: float = 1.0) -> None:
        self._site = site
        self._speed = speed
        self._labels = {"simulated": str(simulated).lower(), "speed": f"{speed:g}"}

    def collect(self) -> Iterator[Metric]:
        sheet = Sheet(self._site)
        sheet.put("build_info", 1.0, version=orchestrator.__version__)
        sheet.put("site_info", 1.0, **self._labels)
        sheet.put("site_speed_ratio", self._speed)
        return sheet.families()


class LeaderMetrics(Collector):
    """On a cluster: which of the replicas leads, and whether there are to be two of them."""

    def __init__(self, site: str, leads: Callable[[], bool], *, store_shared: bool) -> None:
        self._site = site
        self._leads = leads
        self._store_shared = store_shared

    def collect(self) -> Iterator[Metric]:
        sheet = Sheet(self._site)
        sheet.put("leader", float(self._leads()))
        sheet.put("store_shared", float(self._store_shared))
        return sheet.families()
