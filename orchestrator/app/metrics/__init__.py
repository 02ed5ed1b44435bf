"""The controller's own metrics, `wattshift_*`, as Prometheus asks for them. `families` lists them all."""

from orchestrator.app.metrics.process import LeaderMetrics, process_registry
from orchestrator.app.metrics.site_metrics import SiteMetrics

__all__ = ["LeaderMetrics", "SiteMetrics", "process_registry"]
