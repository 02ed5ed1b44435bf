"""Which tests go to one worker of pytest-xdist: those that share what costs much or is one of a kind on a machine.

By their ids, since who deals them out has no more. Groups by marker (`--dist loadgroup`) are not seen under pytest 9.2.
"""

import re

from xdist.scheduler import LoadScopeScheduling

GROUPS = (
    ("one site on the cluster", r"tests/e2e/test_cluster\.py"),
    ("the cluster", r"tests/cluster/|tests/e2e/test_cluster_standby\.py"),
    ("the cluster", r"tests/contract/test_workload_driver\.py.*\[kubernetes"),
    ("the event day under Prometheus", r"tests/observability/test_\w+_answer\.py"),
    ("a day of the backtest's command", r"tests/backtest/test_command\.py::test_(strategies_side_by_side|a_seed)"),
    ("a site that runs on", r"tests/e2e/test_demo_live\.py::TestOnARunningSite"),
    ("exporters under Prometheus", r"tests/contract/test_metric_source\.py"),
)


class Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """The largest groups first, then each other test by itself to whom is free."""

    def _split_scope(self, nodeid: str) -> str:
        return next((name for name, ids in GROUPS if re.match(ids, nodeid)), nodeid)
