"""A small site in a namespace of its own on a real cluster (`kind_cluster` in tests/conftest.py)."""

from collections.abc import AsyncIterator

import pytest

from tests.cluster.kind_cluster import KindCluster
from tests.cluster.world import World
from tests.sites import at_once, three_rack_site


@pytest.fixture
async def world(kind_cluster: KindCluster) -> AsyncIterator[World]:
    """A namespace without fleets, and no driver yet."""
    async with kind_cluster.namespace() as api:
        yield World(kind_cluster, api, at_once(three_rack_site()))
