"""Simulated tenants, who submit jobs as their time comes."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.domain.work import Job

log = logging.getLogger(__name__)


class JobTaker(Protocol):
    """Takes in jobs as tenants submit them."""

    def submit(self, job: Job, now: datetime) -> None: ...


class SimulatedTenants:
    """`jobs` are in order of submission; `taker` takes them in."""

    def __init__(self, jobs: Sequence[Job], taker: JobTaker) -> None:
        self._jobs = jobs
        self._taker = taker
        self._next = 0

    def submit_due(self, now: datetime) -> None:
        """Hand over those whose time has come."""
        while self._next < len(self._jobs) and self._jobs[self._next].submitted_at <= now:
            job = self._jobs[self._next]
            self._next += 1
            if job.deadline is not None and job.deadline <= now:
                continue  # nobody was there to take it in time
            try:
                self._taker.submit(job, now)
            except (OSError, ValueError):
                log.exception("job %s was not taken in", job.name)
