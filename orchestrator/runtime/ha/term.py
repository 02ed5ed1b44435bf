"""One term of leading: the store, the driver and the site over them, opened in this order and closed in the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from orchestrator.adapters.store import SqlStore
from orchestrator.clock import wall_clock
from orchestrator.domain.site.site import Site
from orchestrator.ports import WorkloadDriver
from orchestrator.runtime.feeds import Sources
from orchestrator.runtime.live_site import LiveSite

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

KEPT = timedelta(days=400)
"""How long observations are kept; decisions and the ledger always are."""


class ClusterDriver(WorkloadDriver, Protocol):
    """A workload driver with a view that has to be built up."""

    async def start(self) -> None:
        """Returns when the view is in step; ApiError and ClusterError where that cannot be."""
        ...

    async def stop(self) -> None: ...


@contextlib.asynccontextmanager
async def open_term(
    site: Site, sources: Sources, store_url: str, driver: ClusterDriver, spans: "Spans | None" = None
) -> AsyncIterator[LiveSite]:
    """The site, ready to start. Opening the store migrates it and takes it over from whoever wrote to it.

    StoreError, ApiError and ClusterError where it cannot be opened.
    """
    with contextlib.closing(await _open(store_url)) as store:
        try:
            await driver.start()
            yield LiveSite(site, wall_clock(), sources, driver, store, spans=spans)
        finally:
            await driver.stop()


async def _open(url: str) -> SqlStore:
    """In a thread, since a migration may take long. One that is no longer waited for is closed when it is open."""

    def open_and_prune() -> SqlStore:
        store = SqlStore.open(url)
        try:
            store.prune(datetime.now(UTC) - KEPT)
        except BaseException:
            store.close()
            raise
        return store

    opening = asyncio.ensure_future(asyncio.to_thread(open_and_prune))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise


def _close_late(opening: asyncio.Future[SqlStore]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
