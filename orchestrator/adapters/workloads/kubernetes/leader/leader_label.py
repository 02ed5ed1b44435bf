"""The label on the controller's own pod that the Service selects."""

import asyncio
import contextlib
import logging

from orchestrator.adapters.workloads.kubernetes.api import PODS, ApiError, ClusterApi
from orchestrator.adapters.workloads.kubernetes.keys import LEADER

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 1.0
NOT_FOUND = 404


class LeaderLabel:
    """Says on the pod `pod` whether it leads; nothing outside of one. A server that fails is asked again."""

    def __init__(self, api: ClusterApi, pod: str | None) -> None:
        self._api = api
        self._pod = pod
        self._leads = False
        self._shown: bool | None = None
        self._task: asyncio.Task[None] | None = None
        if pod is None:
            log.warning("POD_NAME is not set, so no pod is labelled %s", LEADER)

    def show(self, leads: bool) -> None:
        """Put the label on or take it off, in the background. At the start too: a pod keeps it over a kill."""
        self._leads = leads
        if self._pod is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(self._pod))

    async def take_off(self, within_s: float) -> None:
        """Before the process ends. What cannot be done in that time is left: the pod ends too."""
        self.show(leads=False)
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within_s)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _write(self, pod: str) -> None:
        """One request after the other, so that the last one asked for is the last one written."""
        told = False
        while self._shown != self._leads:
            leads = self._leads
            try:
                await self._api.patch(PODS, pod, {"metadata": {"labels": {LEADER: "true" if leads else None}}})
                self._shown = leads
            except ApiError as error:
                if error.status == NOT_FOUND:
                    log.warning("there is no pod %s to label; POD_NAME names it", pod)
                    return
                if not told:
                    told = True
                    log.warning("the pod %s could not be labelled, trying on: %s", pod, error)
                await asyncio.sleep(AGAIN_AFTER_S)
