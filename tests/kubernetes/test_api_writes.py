"""What a controller that no longer leads may still send."""

import pytest

from orchestrator.adapters.workloads.kubernetes.api import CONFIG_MAPS, ApiError, ClusterApi


async def test_nothing_is_written_while_it_may_not_be_and_reading_goes_on(cluster_api: ClusterApi) -> None:
    leads = True
    cluster_api.write_only_while(lambda: leads)
    await cluster_api.create(CONFIG_MAPS, {"metadata": {"name": "one"}, "data": {"changed": "no"}})
    leads = False
    with pytest.raises(ApiError, match="not the leader any more"):
        await cluster_api.patch(CONFIG_MAPS, "one", {"data": {"changed": "yes"}})
    with pytest.raises(ApiError, match="not the leader any more"):
        await cluster_api.create(CONFIG_MAPS, {"metadata": {"name": "two"}})
    found = await cluster_api.get(CONFIG_MAPS, "one")
    assert found is not None
    assert found["data"] == {"changed": "no"}
    leads = True
    assert (await cluster_api.patch(CONFIG_MAPS, "one", {"data": {"changed": "yes"}}))["data"] == {"changed": "yes"}
