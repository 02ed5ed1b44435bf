"""Program: simulated tenants of a cluster. They create suspended Jobs from a template (docs/mock-site.md)."""

import argparse
import logging
import math
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.work import Job
from orchestrator.sim.cluster.connection import ConnectionUnknownError, connect, own_namespace
from orchestrator.sim.jobs.arrivals import label, pool_stream
from orchestrator.sim.jobs.job_template import (
    MANAGED_BY,
    MANAGER,
    PREFIX,
    Document,
    TemplateError,
    filled,
    read_template,
    time_lapsed,
    unfinished,
)
from orchestrator.sim.metrics_server import ALL_ADDRESSES, routed, serve
from orchestrator.sim.process import sigterm_within, start_in_pod

LOOK_S = 5.0
"""Between two looks at the Jobs."""
PAGE = 500

log = logging.getLogger(__name__)


class PoolTenants:
    """The stream of jobs for one pool, and the one that is due next."""

    def __init__(self, pool: GpuPool, tenants: Sequence[Tenant], start: datetime, seed: int, speed: float) -> None:
        self.pool = pool.name
        self._start = start
        self._speed = speed
        end = datetime.max.replace(tzinfo=UTC)
        self._stream: Iterator[Job] = pool_stream(pool, tenants, start, end, seed)
        self._next = next(self._stream, None)

    def due(self, now: datetime) -> Job | None:
        """The next job in time-lapse, if its time has come; without a name."""
        job = self._next
        if job is None or (job.submitted_at - self._start) / self._speed > now - self._start:
            return None
        return time_lapsed(job, self._speed)

    def take(self) -> None:
        """The due job is created."""
        self._next = next(self._stream, None)


class TenantJobs:
    """Creates Jobs as they are due, as long as fewer than `most_open` of their pool are unfinished."""

    def __init__(
        self,
        client: httpx.Client,
        namespace: str,
        template: Document,
        pools: Sequence[PoolTenants],
        sla: dict[str, SlaClass],
        most_open: int,
    ) -> None:
        self._client = client
        self._path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._template = template
        self._pools = pools
        self._sla = sla
        self._most_open = most_open
        self._told = ""

    def step(self, now: datetime) -> None:
        """Create what is due at `now`; what the cluster refuses is tried again at the next step."""
        try:
            counts = self._open()
            for pool in self._pools:
                while counts[pool.pool] < self._most_open and (job := pool.due(now)) is not None:
                    self._create(job, now)
                    pool.take()
                    counts[pool.pool] += 1
            self._told = ""
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            text = str(error) or type(error).__name__
            if text != self._told:
                log.warning("%s; trying again", text)
            self._told = text

    def _open(self) -> Counter[str]:
        """Unfinished Jobs of ours by pool."""
        counts: Counter[str] = Counter()
        query = {"labelSelector": f"{MANAGED_BY}={MANAGER}", "limit": str(PAGE)}
        while True:
            answer = self._client.get(self._path, params=query)
            _raise_for(answer)
            document: Document = answer.json()
            for job in document["items"]:
                if unfinished(job):
                    counts[job["metadata"].get("annotations", {}).get(f"{PREFIX}pool", "")] += 1
            following = document["metadata"].get("continue")
            if not following:
                return counts
            query["continue"] = following

    def _create(self, job: Job, now: datetime) -> None:
        named = replace(job, name=f"{label(job.tenant)}-{secrets.token_hex(3)}")
        document = filled(self._template, named, self._sla[job.tenant].value, now)
        _raise_for(self._client.post(self._path, json=document))
        run_s = named.run_time.total_seconds()
        log.info("%s: %d GPUs of %s for %.0f s at full power", named.name, named.gpus, named.pool, run_s)


def _raise_for(answer: httpx.Response) -> None:
    if not answer.is_success:
        text = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
        raise httpx.HTTPStatusError(text, request=answer.request, response=answer)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tenants", description=__doc__)
    parser.add_argument("--template", type=Path, required=True, help="a Job as YAML or JSON")
    parser.add_argument("--pool", type=_pool, action="append", required=True, help="name:GPUs")
    parser.add_argument("--tenant", type=_tenant, action="append", required=True, help="name:SLA class")
    parser.add_argument("--open", type=int, required=True, help="most unfinished Jobs of a pool")
    parser.add_argument("--speed", type=float, default=60.0, help="at 60, a job of 7 h takes 7 min")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--look-s", type=float, default=LOOK_S, help="between two looks at the Jobs")
    parser.add_argument("--api-server", help="URL; default: that of the pod's cluster")
    parser.add_argument("--host", default=ALL_ADDRESSES)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    if options.open < 1 or not 0.0 < options.speed < math.inf or not options.look_s > 0.0:
        parser.error("--open: 1 or more; --speed and --look-s: over 0")
    try:
        template = read_template(options.template)
        client, namespace = connect(options.api_server), own_namespace()
    except (TemplateError, ConnectionUnknownError) as error:
        parser.error(str(error))

    start_in_pod("tenants")
    serve(routed(None), options.host, options.port)
    start = datetime.now(UTC)
    pools = [PoolTenants(pool, options.tenant, start, options.seed, options.speed) for pool in options.pool]
    sla = {tenant.name: tenant.sla for tenant in options.tenant}
    jobs = TenantJobs(client, namespace, template, pools, sla, options.open)
    jobs.step(datetime.now(UTC))
    while not sigterm_within(options.look_s):
        jobs.step(datetime.now(UTC))
    return 0


def _pool(text: str) -> GpuPool:
    """Only its name and how many GPUs it has are looked at."""
    name, _, gpus = text.rpartition(":")
    if not name or not gpus.isdigit() or int(gpus) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not name:GPUs")
    return GpuPool(
        name=name,
        gpu_model="",
        feeder="",
        nodes=int(gpus),
        gpus_per_node=1,
        gpu_power_w=0.0,
        gpu_min_power_w=0.0,
        gpu_idle_w=0.0,
        node_overhead_w=0.0,
    )


def _tenant(text: str) -> Tenant:
    """Only its name and class are looked at."""
    name, _, sla = text.rpartition(":")
    try:
        return Tenant(name, SlaClass(sla), usd_per_gpu_h=0.0, credit_share=0.0, interruptions_per_hour=0)
    except ValueError:
        allowed = ", ".join(SlaClass)
        raise argparse.ArgumentTypeError(f"{text!r} is not name:SLA class, one of {allowed}") from None


if __name__ == "__main__":
    raise SystemExit(main())
