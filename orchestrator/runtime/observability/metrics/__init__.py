"""The controller's own metrics, `wattshift_*`, as Prometheus asks for them. `families` lists them all."""

from orchestrator.runtime.observability.metrics.process import LeaderMetrics, process_registry
from orchestrator.runtime.observability.metrics.site_metrics import SiteMetrics

__all__ = ["LeaderMetrics", "SiteMetrics", "process_registry"]
