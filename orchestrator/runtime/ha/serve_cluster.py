"""A site on a Kubernetes cluster in real time."""

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol

import httpx
from rich.console import Console

from orchestrator.adapters.store.engine import database_file, read_url
from orchestrator.adapters.workloads.kubernetes.api import ClusterApi, ClusterError, connect
from orchestrator.adapters.workloads.kubernetes.leader.election import Election, Timing
from orchestrator.adapters.workloads.kubernetes.leader.leader_label import LeaderLabel
from orchestrator.api.guard import require_key_unless_loopback
from orchestrator.clock import wall_clock
from orchestrator.domain.site.site import Site
from orchestrator.runtime.demo.run_folder import open_folder
from orchestrator.runtime.feeds import Sources, open_metrics, open_prices, open_series
from orchestrator.runtime.ha.candidate import Candidate
from orchestrator.runtime.ha.term import ClusterDriver
from orchestrator.runtime.http_server import answering, listen, url_of
from orchestrator.runtime.serve import NoDriverError
from orchestrator.runtime.signals import stop_event
from orchestrator.settings import Cluster, Settings

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

log = logging.getLogger(__name__)


class OpenDriver(Protocol):
    """Makes a driver for the API server, the site and the controller's objects, named after `name`."""

    def __call__(
        self, api: ClusterApi, site: Site, name: str, may_act: Callable[[], bool], *, identity: str
    ) -> ClusterDriver: ...


async def serve_cluster(
    settings: Settings,
    host: str,
    port: int,
    console: Console,
    *,
    open_driver: OpenDriver,
    timing: Timing | None = None,
    spans: "Spans | None" = None,
) -> None:
    """Serve until SIGINT or SIGTERM: the site while leading, else who leads.

    What cannot work at all is refused at the start, as by `serve`; NoDriverError where there is no cluster. What goes
    wrong later never ends the process.
    """
    cluster = settings.kubernetes
    if cluster is None:
        raise NoDriverError("the site file has no `kubernetes` section")
    require_key_unless_loopback(host, settings.api_key)
    file = database_file(read_url(settings.store_url))
    if file is not None:
        open_folder(file.parent)
    with listen(host, port) as bound:
        stopping = stop_event()
        # Two of them, so that no renewal of the lease waits for a connection behind a thousand moves.
        async with _connected(cluster) as api, _connected(cluster) as own, httpx.AsyncClient(trust_env=False) as client:
            election = Election(own, f"{cluster.name}-leader", _identity(), timing=timing)
            metrics = open_metrics(settings, settings.state_dir / "targets", client, wall_clock())
            candidate = Candidate(
                settings,
                Sources(open_prices(settings, client), open_series(settings), metrics),
                election,
                LeaderLabel(own, os.environ.get("POD_NAME")),
                open_driver=lambda: open_driver(
                    api, settings.site, cluster.name, lambda: election.held, identity=election.identity
                ),
                stopping=stopping,
                tell=lambda text: console.print(text, soft_wrap=True, markup=False),
                spans=spans,
            )
            async with answering(candidate.front, bound):
                log.info("answers at %s", url_of(bound))
                where = f"{settings.site.name}, namespace {api.namespace}"
                console.print(f"[bold green]Look at {url_of(bound)}[/]  ({where})", soft_wrap=True)
                await candidate.run()
            await metrics.close()


@contextlib.asynccontextmanager
async def _connected(cluster: Cluster) -> AsyncIterator[ClusterApi]:
    try:
        api = await connect(cluster.namespace, cluster.context)
    except ClusterError as error:
        raise NoDriverError(str(error)) from error
    try:
        yield api
    finally:
        await api.close()


def _identity() -> str:
    """Another one for each process, and its pod's name for people to see."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
