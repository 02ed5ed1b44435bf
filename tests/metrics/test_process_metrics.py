"""What a controller says of itself."""

import pytest
from prometheus_client import CollectorRegistry

from orchestrator.adapters.store.engine import read_url, shared
from orchestrator.runtime.observability.metrics import LeaderMetrics, process_registry


def test_a_demo_says_that_its_time_is_simulated_and_how_fast_it_runs() -> None:
    registry = process_registry("texas", simulated=True, speed=60.0)
    labels = {"site": "texas", "simulated": "true", "speed": "60"}
    assert registry.get_sample_value("wattshift_site_info", labels) == 1.0
    assert registry.get_sample_value("wattshift_site_speed_ratio", {"site": "texas"}) == 60.0
    assert registry.get_sample_value("process_start_time_seconds") is not None


@pytest.mark.parametrize("leads", [True, False])
def test_who_leads_is_read_at_each_scrape(leads: bool) -> None:
    led = [not leads]
    registry = CollectorRegistry()
    registry.register(LeaderMetrics("texas", lambda: led[0], store_shared=True))
    led[0] = leads
    assert registry.get_sample_value("wattshift_leader", {"site": "texas"}) == float(leads)
    assert registry.get_sample_value("wattshift_store_shared", {"site": "texas"}) == 1.0


@pytest.mark.parametrize(
    ("url", "is_shared"),
    [
        ("sqlite:////var/lib/wattshift/w.db", False),
        ("sqlite://", False),
        ("postgresql://w@db/w", True),
        ("postgresql+psycopg://w@db/w", True),
    ],
)
def test_a_store_is_shared_where_it_is_a_server(url: str, is_shared: bool) -> None:
    assert shared(read_url(url)) is is_shared
