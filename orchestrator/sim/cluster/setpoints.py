"""The setpoints of a site on Kubernetes, as an agent follows them (docs/kubernetes.md).

The ConfigMap `<name>-setpoints` holds them; they count until the Lease of the same name runs out.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from orchestrator.domain.units import utc
from orchestrator.sim.agent import bad_reads_metric, lapse_over_s, power_limits
from orchestrator.sim.cluster.watch import SILENCE_S, WATCH_S, Document, ObjectWatch

KEY = "setpoints.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClusterSetpoints:
    generation: int
    racks: Mapping[str, str]
    """Mode or SLEEP by rack, `fleet/rack-n`."""
    agents: Mapping[str, str]
    """The pod that has each awake rack."""
    gpu_limit_w: Mapping[str, float]
    """By pool."""
    lapse_over_s: float = 0.0
    """Racks whose lease is out fall asleep over this time, one after the other."""


def parse_cluster_setpoints(text: str) -> ClusterSetpoints:
    """ValueError for anything that is not a whole setpoints document."""
    document = json.loads(text)
    try:
        return ClusterSetpoints(
            generation=int(document["generation"]),
            racks={str(rack): str(mode) for rack, mode in document["racks"].items()},
            agents={str(rack): str(pod) for rack, pod in document["agents"].items()},
            gpu_limit_w=power_limits(document["gpu_limit_w"]),
            lapse_over_s=lapse_over_s(document),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a setpoints document: {error!r}") from error


def lease_end(lease: Document) -> datetime:
    """When the Lease runs out; ValueError if it does not say."""
    try:
        spec = lease["spec"]
        return utc(datetime.fromisoformat(spec["renewTime"])) + timedelta(seconds=int(spec["leaseDurationSeconds"]))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"no renewTime and leaseDurationSeconds: {error!r}") from error


class SetpointWatch(Collector):
    """Follows both objects in threads of its own; `changed` is called there as soon as there is something new to do.

    What cannot be read is counted and logged, and the last good one stays, as it does when an object is deleted: then
    the lease runs out by itself.
    """

    def __init__(
        self,
        client: httpx.Client,
        namespace: str,
        name: str,
        changed: Callable[[], None],
        *,
        watch_s: float = WATCH_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.setpoints: ClusterSetpoints | None = None
        """The last good ones."""
        self.lease_until: datetime | None = None
        """None: never seen."""
        self.bad_reads = 0
        self._changed = changed
        self._lock = threading.Lock()
        core, coordination = f"/api/v1/namespaces/{namespace}", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}"
        self._watches = tuple(
            ObjectWatch(client, path, f"{name}-setpoints", seen, watch_s=watch_s, silence_s=silence_s)
            for path, seen in (
                (f"{core}/configmaps", self._take_setpoints),
                (f"{coordination}/leases", self._take_lease),
            )
        )

    def start(self) -> None:
        for watch in self._watches:
            threading.Thread(target=watch.run, daemon=True).start()

    def lapsed(self, now: datetime) -> bool:
        """Whether nobody answers for the setpoints any more."""
        return self.lease_until is None or now >= self.lease_until

    def collect(self) -> Iterable[Metric]:
        yield bad_reads_metric(self.bad_reads)

    def _take_setpoints(self, config_map: Document | None) -> None:
        if config_map is None:
            return
        try:
            fresh = parse_cluster_setpoints((config_map.get("data") or {})[KEY])
        except (ValueError, KeyError) as error:
            self._count_bad(f"key {KEY}: {error}")
            return
        if fresh != self.setpoints:
            self.setpoints = fresh
            self._changed()

    def _take_lease(self, lease: Document | None) -> None:
        if lease is None:
            return
        try:
            until = lease_end(lease)
        except ValueError as error:
            self._count_bad(f"lease: {error}")
            return
        was_out = self.lapsed(datetime.now(UTC))
        self.lease_until = until
        if was_out != self.lapsed(datetime.now(UTC)):
            self._changed()

    def _count_bad(self, text: str) -> None:
        with self._lock:
            self.bad_reads += 1
        log.warning("setpoints: %s; the last good ones stay", text)
