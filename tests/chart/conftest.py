import os
import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def helm() -> None:
    """Helm on the PATH; without it these tests are skipped, or fail where a cluster is required."""
    if shutil.which("helm"):
        return
    if os.environ.get("WATTSHIFT_REQUIRE_CLUSTER") == "1":
        pytest.fail("no helm on the PATH, and WATTSHIFT_REQUIRE_CLUSTER=1")
    pytest.skip("no helm on the PATH: the chart is not tested")
