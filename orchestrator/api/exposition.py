"""A registry as text for Prometheus, in the classic format or as OpenMetrics 1.0.

`prometheus_client` escapes each label of each sample anew in every scrape, in OpenMetrics letter by letter, which for
a site of 1,000 fleets is most of a scrape's time. Here a series is rendered once and remembered, since labels hardly
change. The result is the library's to the byte, to which the tests hold it. Only exemplars, timestamps, native
histograms and `_created` series, of which we have none, are not rendered.
"""

from functools import lru_cache

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.utils import floatToGoString
from starlette.responses import Response

SERIES_KEPT = 100_000
"""Their names, some 100 bytes each."""
_ENDINGS = {"counter": "_total", "info": "_info"}
_CLASSIC_KINDS = {"info": "gauge"}


def exposition(registry: CollectorRegistry, accept: str) -> Response:
    """All metrics of `registry`, as OpenMetrics if the Accept header asks for it."""
    _, media_type = choose_encoder(accept)
    if media_type.startswith("application/openmetrics-text"):
        return Response(_open_metrics(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
    return Response(_classic(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _classic(registry: CollectorRegistry) -> bytes:
    lines: list[str] = []
    for metric in registry.collect():
        name = metric.name + _ENDINGS.get(metric.type, "")
        text = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(f"# HELP {name} {text}\n# TYPE {name} {_CLASSIC_KINDS.get(metric.type, metric.type)}\n")
        lines.extend(_samples(metric))
    return "".join(lines).encode()


def _open_metrics(registry: CollectorRegistry) -> bytes:
    lines: list[str] = []
    for metric in registry.collect():
        lines.append(f"# HELP {metric.name} {_escaped(metric.documentation)}\n# TYPE {metric.name} {metric.type}\n")
        if metric.unit:
            lines.append(f"# UNIT {metric.name} {metric.unit}\n")
        lines.extend(_samples(metric))
    return "".join([*lines, "# EOF\n"]).encode()


def _samples(metric: Metric) -> list[str]:
    return [
        f"{_series(sample.name, tuple(sample.labels.items()))} {floatToGoString(sample.value)}\n"
        for sample in metric.samples
    ]


@lru_cache(maxsize=SERIES_KEPT)
def _series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels))
    return f"{name}{{{shown}}}" if shown else name


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
