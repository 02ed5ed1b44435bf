"""Leader election: of the replicas of a controller, one at a time acts.

The rules are those of client-go: the holder of a Lease writes `renewTime` again and again, and who waits takes over
once it has not seen the Lease change for its whole duration. Only durations by one's own monotonic clock count, so
clocks may differ; ADR 12 says why the official client's election is not used.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.adapters.workloads.kubernetes.api import LEASES, MERGE_PATCH, ApiError, ClusterApi, Document
from orchestrator.adapters.workloads.kubernetes.times import stamp

log = logging.getLogger(__name__)

CONFLICT = 409
_FAILURES = (ApiError, TimeoutError, ValueError, LookupError)
"""The last two: something before the server answered that is no Lease."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations by the wall, s. `renew_deadline_s` must be below `lease_s`, and a renewal must fit in several times."""

    lease_s: float = 10.0
    """A leader that was killed is followed after this and a look at most, which leaves 4 s of the 15 s allowed to open
    the store and read the cluster."""
    renew_every_s: float = 2.0
    """Two renewals may be lost before the deadline."""
    renew_deadline_s: float = 6.0
    """The leader stops by itself then. What it sent last has the rest of the lease, 4 s, to arrive."""
    look_every_s: float = 1.0
    """How often who waits looks, and who failed to renew tries again: a released lease is taken within this."""
    request_s: float = 2.0
    """A server that says nothing has failed after this; half a deadline would leave a single try."""


class Election:
    """One candidate for the Lease `name`. Call `win`, then `keep` while leading, then `release`; then again.

    `identity` must be another for each start of a process: a container that was killed and restarted in its pod is
    not the leader that it was.
    """

    def __init__(
        self,
        api: ClusterApi,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self.leader = ""
        """Who has the Lease, as far as was seen; empty where nobody has."""
        self._api = api
        self._name = name
        self._timing = timing or Timing()
        self._clock = clock
        self._leading = False
        self._renewed_at = 0.0
        """When the last renewal that succeeded was sent."""
        self._spec: Document = {}
        self._version = ""
        """Of the Lease as last seen; empty where it has to be looked at before it is written."""
        self._failing = False
        self._changed_at = 0.0
        """When the Lease was first seen as it is."""

    @property
    def held(self) -> bool:
        """Whether this candidate may act: it leads, and the last renewal was sent less than the deadline ago."""
        return self._leading and self._left_s > 0

    async def win(self) -> None:
        """Stand until elected."""
        while not await self.look():
            wait_s, expires_in_s = self._timing.look_every_s, self._expires_in_s
            await asyncio.sleep(expires_in_s if 0 < expires_in_s < wait_s else wait_s)

    async def keep(self) -> None:
        """Renew; returns once the leadership is lost."""
        while self.held:
            failing = self._clock() - self._renewed_at > self._timing.renew_every_s
            wait_s = self._timing.look_every_s if failing else self._timing.renew_every_s
            await asyncio.sleep(min(wait_s, max(self._left_s, 0.0)))
            await self.look()

    async def look(self) -> bool:
        """Take or renew the Lease if that is allowed; whether it is held then.

        A server that fails, refuses or is silent changes nothing but that time passes.
        """
        if self._leading and not self.held:
            self._step_down(f"not renewed within {self._timing.renew_deadline_s:g} s")
            return False
        within_s = min(self._timing.request_s, self._left_s) if self._leading else self._timing.request_s
        try:
            async with asyncio.timeout(within_s):
                await self._take_or_renew()
            self._failing = False
        except _FAILURES as error:
            self._version = ""  # what was sent may have arrived all the same
            if not ((isinstance(error, ApiError) and error.status == CONFLICT) or self._failing):
                self._failing = True  # said once, not every second
                log.warning("the lease %s cannot be read or written: %s", self._name, _words(error))
        if self._leading and not self.held:
            self._step_down(f"not renewed within {self._timing.renew_deadline_s:g} s")
        return self.held

    async def release(self) -> None:
        """Let the next one in at once. Acts no more from the call on, whether the server can be reached or not."""
        if not self._leading:
            return
        self._leading = False
        try:
            async with asyncio.timeout(self._timing.request_s):
                await self._look_at()
                if self.leader == self.identity:
                    now = stamp(datetime.now(UTC))
                    await self._write(
                        {"holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now}
                    )
        except _FAILURES as error:
            log.warning("the lease %s runs out by itself; it could not be released: %s", self._name, _words(error))
        self._version = ""

    async def _take_or_renew(self) -> None:
        if not (self._leading and self._version):
            await self._look_at()
        if self.leader not in ("", self.identity) and self._expires_in_s > 0:
            if self._leading:
                self._step_down(f"{self.leader} has the lease")
            return
        now = stamp(datetime.now(UTC))  # for people: nobody compares it with a clock
        spec: Document = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(round(self._timing.lease_s), 1),
            "renewTime": now,
        }
        if self.leader != self.identity:
            transitions = int(self._spec.get("leaseTransitions") or 0) + bool(self._version)
            spec |= {"acquireTime": now, "leaseTransitions": transitions}
        sent_at = self._clock()
        await self._write(spec)
        if not self._leading:
            self._leading = True
            log.info("%s leads", self.identity)
        self._renewed_at = sent_at

    async def _look_at(self) -> None:
        """By a list of one: `list` is all that has to be granted."""
        path, query = LEASES.path(self._api.namespace), {"fieldSelector": f"metadata.name={self._name}"}
        found = (await self._api.request("GET", path, query=query))["items"]
        if found:
            self._saw(found[0])
        else:
            self._spec, self._version, self.leader = {}, "", ""

    async def _write(self, spec: Document) -> None:
        """Written only over what was seen: of two who saw the same, the server refuses the second with a conflict."""
        if self._version:
            body: Document = {"metadata": {"resourceVersion": self._version}, "spec": spec}
            path = LEASES.path(self._api.namespace, self._name)
            self._saw(await self._api.request("PATCH", path, body=body, content_type=MERGE_PATCH))
        else:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "labels": {"app.kubernetes.io/managed-by": "wattshift"}},
                "spec": spec,
            }
            self._saw(await self._api.request("POST", LEASES.path(self._api.namespace), body=body))

    def _saw(self, lease: Document) -> None:
        spec = lease.get("spec") or {}
        if spec != self._spec:
            self._changed_at = self._clock()
        self._spec, self._version = spec, lease["metadata"]["resourceVersion"]
        self.leader = spec.get("holderIdentity") or ""

    def _step_down(self, why: str) -> None:
        self._leading = False
        self._version = ""
        log.warning("%s leads no more: %s", self.identity, why)

    @property
    def _left_s(self) -> float:
        """Until the deadline of the renewal."""
        return self._renewed_at + self._timing.renew_deadline_s - self._clock()

    @property
    def _expires_in_s(self) -> float:
        """Until another's Lease, as its holder promised to renew it, counts as left behind."""
        duration_s = float(self._spec.get("leaseDurationSeconds") or self._timing.lease_s)
        return self._changed_at + duration_s - self._clock()


def _words(error: Exception) -> str:
    return str(error) or "no answer in time"
