"""The series of one scrape, put into the families of the table."""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from orchestrator.runtime.observability.metrics.all_families import FAMILIES
from orchestrator.runtime.observability.metrics.family import Kind

Labels = dict[str, str]


class Sheet:
    """Families are called by their names without the prefix."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._samples: dict[str, list[Sample]] = {}

    def put(self, name: str, value: float, **labels: str) -> None:
        sample = Sample(FAMILIES[name].name, {"site": self._site, **labels}, value)
        self._samples.setdefault(name, []).append(sample)

    def column(self, name: str, rows: Iterable[tuple[Labels, float]]) -> None:
        """Many series whose labels, the site's among them, are made already."""
        metric = FAMILIES[name].name
        self._samples[name] = [Sample(metric, labels, value) for labels, value in rows]

    def families(self) -> Iterator[Metric]:
        """In the order of the table; those without series are left out."""
        for name, family in FAMILIES.items():
            samples = self._samples.get(name)
            if samples:
                unit = "" if family.kind is Kind.INFO else family.unit
                metric = Metric(family.base, family.help, family.kind.value, unit)
                metric.samples = samples
                yield metric
